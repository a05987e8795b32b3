//! A look at the data of the types that come in thousands, without keeping anything of it.
//!
//! Invariant: what passes here passes the whole reading, too; what does not is read again whole,
//! to learn what is wrong.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use super::{FieldError, Kind, field};
use crate::limits;

impl Kind {
    /// Checks the data of an event of this kind.
    ///
    /// # Errors
    /// [`FieldError`], whose path begins with `data`.
    pub fn check(self, data: &str) -> Result<(), FieldError> {
        field::is_object(data)?;
        let passes = match self {
            Self::MessagePartDelta => serde_json::from_str::<Piece>(data).is_ok(),
            Self::TerminalOutput => serde_json::from_str::<Output>(data).is_ok(),
            _ => false,
        };
        if passes { Ok(()) } else { self.parse(data).map(drop) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by serde only")]
struct Piece {
    #[serde(alias = "messageID")]
    message_id: Text<1, { limits::EVENT_ID_BYTES_MAX }>,
    #[serde(alias = "partID")]
    part_id: Text<1, { limits::EVENT_ID_BYTES_MAX }>,
    field: Option<AnyText>,
    delta: AnyText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by serde only")]
struct Output {
    terminal_id: Option<Text<1, { limits::EVENT_ID_BYTES_MAX }>>,
    data: AnyText,
    source: Option<AnyText>,
}

type AnyText = Text<0, { usize::MAX }>;

/// A text whose bytes are within bounds; not kept.
struct Text<const MIN: usize, const MAX: usize>;

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Within<const MIN: usize, const MAX: usize>;
        impl<const MIN: usize, const MAX: usize> Visitor<'_> for Within<MIN, MAX> {
            type Value = Text<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text within bounds")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let fits = (MIN..=MAX).contains(&text.len());
                fits.then_some(Text).ok_or_else(|| E::custom("out of bounds"))
            }
        }
        from.deserialize_str(Within)
    }
}
