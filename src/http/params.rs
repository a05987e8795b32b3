//! Query parameters, read strictly: a wrong value is an error that names its parameter, never a
//! silent default. Names that are not asked for are ignored.

use std::{borrow::Cow, ops::RangeInclusive};

use axum::http::Uri;
use smallvec::SmallVec;

use super::error::Fail;
use crate::{
    limits,
    log::{Offset, parse_offset},
    wire::code::Code,
};

/// The query of a request, decoded.
#[derive(Debug)]
pub(super) struct Params<'a>(SmallVec<[(Cow<'a, str>, Cow<'a, str>); 4]>);

impl<'a> Params<'a> {
    /// Decodes the query.
    pub(super) fn of(uri: &'a Uri) -> Result<Self, Fail> {
        let query = uri.query().unwrap_or_default();
        if query.len() > limits::QUERY_BYTES_MAX {
            let most = limits::QUERY_BYTES_MAX;
            return Err(Fail::new(
                Code::InvalidParameter,
                format!("the query has more than {most} bytes"),
            ));
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        if pairs.clone().nth(limits::QUERY_PARAMS_MAX).is_some() {
            let most = limits::QUERY_PARAMS_MAX;
            return Err(Fail::new(
                Code::InvalidParameter,
                format!("the query has more than {most} parameters"),
            ));
        }
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = |reason| Fail::parameter(name, format!("parameter `{name}`: {reason}"));
            Ok((decode(name).map_err(wrong)?, decode(value).map_err(wrong)?))
        });
        decoded.collect::<Result<_, Fail>>().map(Self)
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, Fail> {
        let mut values = self.0.iter().filter(|(given, _)| given == name);
        let value = values.next().map(|(_, value)| value.as_ref());
        if values.next().is_some() {
            return Err(wrong(name, "is given twice"));
        }
        Ok(value)
    }

    /// An offset.
    pub(super) fn offset(&self, name: &str) -> Result<Option<Offset>, Fail> {
        let Some(text) = self.get(name)? else { return Ok(None) };
        parse_offset(text).map(Some).map_err(|error| wrong(name, &format!("is {text:?}: {error}")))
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Fail> {
        let Some(text) = self.get(name)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            wrong(name, &format!("is {text:?}; it is a number from {least} to {most}"))
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Fail> {
        match self.get(name)? {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(text) => Err(wrong(name, &format!("is {text:?}; it is true or false"))),
        }
    }

    /// `on` or `off`.
    pub(super) fn switch(&self, name: &str) -> Result<Option<bool>, Fail> {
        match self.get(name)? {
            None => Ok(None),
            Some("on") => Ok(Some(true)),
            Some("off") => Ok(Some(false)),
            Some(text) => Err(wrong(name, &format!("is {text:?}; it is on or off"))),
        }
    }
}

/// A parameter that may not be what it is.
pub(super) fn wrong(name: &str, reason: &str) -> Fail {
    Fail::parameter(name, format!("parameter `{name}` {reason}"))
}

/// Decodes `%XX` in a path, where `+` stands for itself.
pub(super) fn decode_path(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if text.contains('+') {
        return decode(&text.replace('+', "%2B")).map(|text| Cow::Owned(text.into_owned()));
    }
    decode(text)
}

/// Decodes `%XX` and `+`.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = (bytes.next().and_then(hex), bytes.next().and_then(hex));
                let (Some(high), Some(low)) = digits else {
                    return Err("a percent sign is followed by two hexadecimal digits");
                };
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| "the text is not UTF-8")
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(query: &str) -> Uri {
        format!("/x?{query}").parse().unwrap()
    }

    #[test]
    fn values_are_decoded_and_unknown_names_ignored() {
        let uri = uri("a=%C3%A9+b&&n=7&unknown&flag=true");
        let params = Params::of(&uri).unwrap();
        assert_eq!(params.get("a").unwrap(), Some("é b"));
        assert_eq!(params.number("n", 1..=9).unwrap(), Some(7));
        assert_eq!(params.flag("flag").unwrap(), Some(true));
        assert_eq!(params.get("missing").unwrap(), None);
    }

    #[test]
    fn a_wrong_value_is_an_error_and_not_a_default() {
        for query in
            ["n=", "n=0", "n=10", "n=-1", "n=+5", "n=1e1", "n=5&n=6", "n=99999999999999999999"]
        {
            let uri = uri(query);
            assert!(Params::of(&uri).unwrap().number("n", 1..=9).is_err(), "{query}");
        }
        for query in ["a=%", "a=%4", "a=%zz", "a=%ff", "%ff=a"] {
            assert!(Params::of(&uri(query)).is_err(), "{query}");
        }
        let uri = uri("live=yes");
        assert!(Params::of(&uri).unwrap().flag("live").is_err());
    }
}
