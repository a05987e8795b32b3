//! The texts of an event's data as a person reads them: its strings, not their JSON escapes.
//!
//! It refuses to know what is looked for. Invariant: no value is built; a text is handed on while
//! the data is read.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Hands on every string in JSON text, in its order; names of fields are none.
pub(super) fn each(json: &str, mut see: impl FnMut(&str)) -> serde_json::Result<()> {
    let mut from = serde_json::Deserializer::from_str(json);
    Texts(&mut see).deserialize(&mut from)
}

struct Texts<'a, F>(&'a mut F);

impl<'de, F: FnMut(&str)> DeserializeSeed<'de> for Texts<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str)> Visitor<'de> for Texts<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        (self.0)(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Texts(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(Texts(&mut *self.0))?;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_as_they_are_meant_and_nothing_else_is() {
        let mut seen = Vec::new();
        let json = r#"{"name":"a\nb","n":[1,-2,0.5,true,null,"\u00e4",{"x":["c"]}],"e":""}"#;
        each(json, |text| seen.push(text.to_owned())).unwrap();
        assert_eq!(seen, ["a\nb", "ä", "c", ""]);
        assert!(each("{", |_| {}).is_err());
    }
}
