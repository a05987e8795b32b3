//! Which events a reader wants: by channel, by type. Pure.

use super::View;
use crate::limits;

/// Channels and types that are wanted; an empty list wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    channels: Vec<Pattern>,
    types: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    is_prefix: bool,
}

/// Why a list of names is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Nothing between two commas, or nothing at all.
    #[error("the list has an empty name")]
    Empty,
    /// More names than a filter takes.
    #[error("the list has more than {} names", limits::FILTER_NAMES_MAX)]
    TooMany,
    /// A star that is not at the end.
    #[error("a star may stand at the end of a name only")]
    Star,
    /// Longer than a channel or type can be.
    #[error("a name has at most {} bytes", limits::NAME_BYTES_MAX)]
    TooLong,
}

impl Filter {
    /// A filter from lists of names separated by commas. A star at the end of a name stands for
    /// any end.
    ///
    /// # Errors
    /// The first rule that `names` breaks.
    pub fn with_channels(mut self, names: &str) -> Result<Self, FilterError> {
        self.channels = patterns(names)?;
        Ok(self)
    }

    /// The same for types.
    ///
    /// # Errors
    /// The first rule that `names` breaks.
    pub fn with_types(mut self, names: &str) -> Result<Self, FilterError> {
        self.types = patterns(names)?;
        Ok(self)
    }

    /// Everything is wanted.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.channels.is_empty() && self.types.is_empty()
    }

    /// This event is wanted.
    #[must_use]
    pub fn takes(&self, view: &View<'_>) -> bool {
        matches(&self.channels, view.channel()) && matches(&self.types, view.kind())
    }
}

fn matches(patterns: &[Pattern], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.takes(name))
}

impl Pattern {
    fn takes(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&self.text) } else { name == self.text }
    }
}

fn patterns(names: &str) -> Result<Vec<Pattern>, FilterError> {
    let found: Vec<Pattern> = names.split(',').map(pattern).collect::<Result<_, _>>()?;
    if found.len() > limits::FILTER_NAMES_MAX {
        return Err(FilterError::TooMany);
    }
    Ok(found)
}

fn pattern(name: &str) -> Result<Pattern, FilterError> {
    if name.is_empty() {
        return Err(FilterError::Empty);
    }
    if name.len() > limits::NAME_BYTES_MAX {
        return Err(FilterError::TooLong);
    }
    let (text, is_prefix) = match name.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (name, false),
    };
    if text.contains('*') {
        return Err(FilterError::Star);
    }
    Ok(Pattern { text: text.to_owned(), is_prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(filter: &Filter, channel: &str, kind: &str) -> bool {
        let event = format!(r#"{{"id":"x","channel":"{channel}","type":"{kind}","data":1}}"#);
        filter.takes(&View::of(event.as_bytes()))
    }

    #[test]
    fn an_event_must_be_of_a_wanted_channel_and_of_a_wanted_type() {
        let all = Filter::default();
        assert!(all.takes_all() && takes(&all, "message", "message.part"));
        let some = all.with_channels("message,todo").unwrap().with_types("message.*,a").unwrap();
        assert!(!some.takes_all());
        assert!(takes(&some, "message", "message.part"));
        assert!(takes(&some, "todo", "a"));
        assert!(!takes(&some, "diff", "a"));
        assert!(!takes(&some, "todo", "ab"));
        assert!(!takes(&some, "todo", "message"));
    }

    #[test]
    fn lists_that_could_be_misread_are_refused() {
        let parse = |names: &str| Filter::default().with_channels(names);
        assert_eq!(parse(""), Err(FilterError::Empty));
        assert_eq!(parse("a,,b"), Err(FilterError::Empty));
        assert_eq!(parse("a*b"), Err(FilterError::Star));
        assert_eq!(parse(&"x".repeat(200)), Err(FilterError::TooLong));
        assert_eq!(parse(&vec!["x"; 100].join(",")), Err(FilterError::TooMany));
        assert!(takes(&parse("*").unwrap(), "anything", "at.all"));
    }
}
