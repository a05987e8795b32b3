//! The shapes in which writers send the same thing: flat, or within an object of its own; with
//! `ID` or `Id` at the end of a name. Pure.
//!
//! Invariant: what is not understood stays in the object.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};

use super::field::{FieldError, from_value};

/// How one kind of object may come.
pub(super) struct Shape {
    /// The field it may be within, such as `info`.
    pub within: &'static str,
    /// The field that names it.
    pub id: &'static str,
    /// Other names of that field, the last of them the weakest.
    pub id_names: &'static [&'static str],
}

impl Shape {
    /// Reads an object in either form.
    pub(super) fn read<'de, D: Deserializer<'de>, T: DeserializeOwned>(
        &self,
        from: D,
    ) -> Result<T, D::Error> {
        let map = Map::deserialize(from)?;
        self.of(map).map_err(|error| D::Error::custom(error.marked()))
    }

    /// The same of an object that is read already.
    pub(super) fn of<T: DeserializeOwned>(
        &self,
        mut map: Map<String, Value>,
    ) -> Result<T, FieldError> {
        match map.remove(self.within) {
            None => self.whole(map),
            Some(Value::Object(mut inner)) => {
                for (name, value) in map {
                    inner.entry(name).or_insert(value);
                }
                self.whole(inner).map_err(|error| error.below(self.within))
            }
            Some(_) => Err(FieldError::new(self.within, "must be an object")),
        }
    }

    fn whole<T: DeserializeOwned>(&self, mut map: Map<String, Value>) -> Result<T, FieldError> {
        self.rename(&mut map);
        from_value(Value::Object(map))
    }

    /// Brings the id under its one name.
    pub(super) fn rename(&self, map: &mut Map<String, Value>) {
        if map.contains_key(self.id) {
            return;
        }
        if let Some(value) = self.id_names.iter().find_map(|name| map.remove(*name)) {
            map.insert(self.id.to_owned(), value);
        }
    }
}
