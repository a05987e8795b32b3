//! One place in a state, named by a JSON pointer (RFC 6901), written without writing the rest.
//!
//! It refuses to know what the states are: whatever serializes can be pointed into. Invariant:
//! what is written is what the whole state has at that place as JSON.

use std::{fmt, io::Write};

use serde::{Serialize, Serializer, ser};

/// A place in the states of a session: a projection, and a way down from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    name: String,
    steps: Vec<String>,
}

impl Pointer {
    /// Reads `/messages/3/state`; `None` where the text is no pointer, or one to everything.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let steps = text.strip_prefix('/')?.split('/');
        let mut steps = steps.map(|step| step.replace("~1", "/").replace("~0", "~"));
        Some(Self { name: steps.next()?, steps: steps.collect() })
    }

    /// The projection.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes what stands at the way down in a state; false where nothing does, or where `out`
    /// takes no more.
    pub(super) fn write(&self, state: &impl Serialize, out: &mut impl Write) -> bool {
        match descend(state, &self.steps, out) {
            Ok(found) => found,
            Err(Stop::Full) => false,
            Err(Stop::Odd) => self.write_whole(state, out),
        }
    }

    /// The long way, for what has a form that the short one does not know.
    fn write_whole(&self, state: &impl Serialize, out: &mut impl Write) -> bool {
        let whole = serde_json::to_value(state).unwrap_or_default();
        let found = self.steps.iter().try_fold(&whole, |value, step| match value {
            serde_json::Value::Array(items) => items.get(index(step)?),
            value => value.get(step),
        });
        found.is_some_and(|found| serde_json::to_writer(out, found).is_ok())
    }
}

/// The place that a step names in a list.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || !step.starts_with('0');
    let digits = step.bytes().all(|byte| byte.is_ascii_digit());
    step.parse().ok().filter(|_| plain && digits)
}

/// Why a walk ended early.
#[derive(Debug)]
enum Stop {
    /// `out` takes no more.
    Full,
    /// A form that is not walked through.
    Odd,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the walk ended early")
    }
}

impl std::error::Error for Stop {}

impl ser::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Odd
    }
}

fn descend<T: Serialize + ?Sized, W: Write>(
    value: &T,
    steps: &[String],
    out: &mut W,
) -> Result<bool, Stop> {
    let Some((first, rest)) = steps.split_first() else {
        return serde_json::to_writer(out, value).map(|()| true).map_err(|_| Stop::Full);
    };
    value.serialize(Walk { first, rest, out })
}

/// Takes the first step into a value and passes by everything else. Says whether it was there.
struct Walk<'a, W> {
    first: &'a str,
    rest: &'a [String],
    out: &'a mut W,
}

/// The items of a list.
struct Items<'a, W> {
    walk: Walk<'a, W>,
    at: usize,
    wanted: Option<usize>,
    found: bool,
}

/// The fields of an object.
struct Fields<'a, W> {
    walk: Walk<'a, W>,
    is_next: bool,
    found: bool,
}

impl<'a, W: Write> Walk<'a, W> {
    fn items(self) -> Items<'a, W> {
        Items { wanted: index(self.first), walk: self, at: 0, found: false }
    }

    fn fields(self) -> Fields<'a, W> {
        Fields { walk: self, is_next: false, found: false }
    }
}

impl<W: Write> Items<'_, W> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        if self.wanted == Some(self.at) {
            self.found = descend(value, self.walk.rest, self.walk.out)?;
        }
        self.at += 1;
        Ok(())
    }
}

impl<W: Write> Fields<'_, W> {
    fn field<T: Serialize + ?Sized>(&mut self, is_it: bool, value: &T) -> Result<(), Stop> {
        if is_it && !self.found {
            self.found = descend(value, self.walk.rest, self.walk.out)?;
        }
        Ok(())
    }
}

/// Values without anything in them, and forms that are not walked through.
macro_rules! leaves {
    ($($name:ident($($kind:ty),*);)*) => {
        $(fn $name(self, $(_: $kind),*) -> Result<bool, Stop> { Ok(false) })*
    };
}

impl<'a, W: Write> Serializer for Walk<'a, W> {
    type Ok = bool;
    type Error = Stop;
    type SerializeSeq = Items<'a, W>;
    type SerializeTuple = Items<'a, W>;
    type SerializeTupleStruct = Items<'a, W>;
    type SerializeTupleVariant = ser::Impossible<bool, Stop>;
    type SerializeMap = Fields<'a, W>;
    type SerializeStruct = Fields<'a, W>;
    type SerializeStructVariant = ser::Impossible<bool, Stop>;

    leaves! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<bool, Stop> {
        Err(Stop::Odd)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<bool, Stop> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<bool, Stop> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<bool, Stop> {
        Err(Stop::Odd)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a, W>, Stop> {
        Ok(self.items())
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a, W>, Stop> {
        Ok(self.items())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a, W>, Stop> {
        Ok(self.items())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Stop> {
        Err(Stop::Odd)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a, W>, Stop> {
        Ok(self.fields())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a, W>, Stop> {
        Ok(self.fields())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Stop> {
        Err(Stop::Odd)
    }
}

macro_rules! items {
    ($($form:ident, $add:ident;)*) => {$(
        impl<W: Write> ser::$form for Items<'_, W> {
            type Ok = bool;
            type Error = Stop;

            fn $add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
                self.item(value)
            }

            fn end(self) -> Result<bool, Stop> {
                Ok(self.found)
            }
        }
    )*};
}

items! {
    SerializeSeq, serialize_element;
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
}

impl<W: Write> ser::SerializeMap for Fields<'_, W> {
    type Ok = bool;
    type Error = Stop;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stop> {
        let key = serde_json::to_value(key).map_err(|_| Stop::Odd)?;
        self.is_next = key.as_str().ok_or(Stop::Odd)? == self.walk.first;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.field(self.is_next, value)
    }

    fn end(self) -> Result<bool, Stop> {
        Ok(self.found)
    }
}

impl<W: Write> ser::SerializeStruct for Fields<'_, W> {
    type Ok = bool;
    type Error = Stop;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        self.field(key == self.walk.first, value)
    }

    fn end(self) -> Result<bool, Stop> {
        Ok(self.found)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[derive(Serialize)]
    struct Outer {
        list: Vec<Tagged>,
        #[serde(rename = "a/b~c")]
        slashed: Option<u8>,
        pair: (u8, Shape),
        numbers: BTreeMap<u8, u8>,
        #[serde(flatten)]
        other: BTreeMap<String, Value>,
    }

    #[derive(Serialize)]
    #[serde(tag = "type", rename_all = "lowercase")]
    enum Tagged {
        Text(Text),
        Empty,
    }

    #[derive(Serialize)]
    struct Text {
        text: &'static str,
    }

    #[derive(Serialize)]
    enum Shape {
        Box { width: u8 },
    }

    fn outer() -> Outer {
        let other = BTreeMap::from([("deep".to_owned(), serde_json::json!({"x": [null, {}]}))]);
        let list = vec![Tagged::Text(Text { text: "hello" }), Tagged::Empty];
        let pair = (4, Shape::Box { width: 9 });
        Outer { list, slashed: Some(1), pair, numbers: BTreeMap::from([(7, 8)]), other }
    }

    fn at(pointer: &str) -> Option<String> {
        let pointer = Pointer::parse(&format!("/name{pointer}")).unwrap();
        assert_eq!(pointer.name(), "name");
        let mut out = Vec::new();
        pointer.write(&outer(), &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_place_of_a_value_is_found_and_nothing_else() {
        let whole = serde_json::to_value(outer()).unwrap();
        for pointer in [
            "",
            "/list",
            "/list/0",
            "/list/0/type",
            "/list/0/text",
            "/list/1/type",
            "/a~1b~0c",
            "/pair/0",
            "/pair/1/Box/width",
            "/numbers/7",
            "/deep",
            "/deep/x/0",
            "/deep/x/1",
        ] {
            let wanted = whole.pointer(pointer).unwrap();
            let found: Value = serde_json::from_str(&at(pointer).expect(pointer)).unwrap();
            assert_eq!(found, *wanted, "{pointer}");
        }
        for pointer in [
            "/",
            "/list/2",
            "/list/-",
            "/list/00",
            "/list/+0",
            "/list/0/text/0",
            "/other",
            "/deep/y",
            "/deep/x/0/z",
            "/pair/1/Box/height",
            "/numbers/8",
        ] {
            assert_eq!(at(pointer), None, "{pointer}");
        }
    }

    #[test]
    fn a_pointer_begins_with_a_slash_and_a_name() {
        assert_eq!(Pointer::parse(""), None);
        assert_eq!(Pointer::parse("messages"), None);
        assert_eq!(Pointer::parse("/").unwrap().name(), "");
        assert_eq!(Pointer::parse("/a/~01").unwrap().steps, ["~1"]);
    }
}
