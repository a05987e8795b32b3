//! The text form of offsets: plain decimal digits, 0 to 2^53 - 1, no sign, no spaces.

use crate::limits;
pub use crate::store::{Offset, Position};

/// Why a text is not an offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OffsetError {
    /// Something else than decimal digits.
    #[error("an offset is written in decimal digits")]
    NotANumber,
    /// Beyond 2^53 - 1.
    #[error("an offset is at most {}", limits::OFFSET_MAX)]
    TooLarge,
}

/// Parses the text form.
///
/// # Errors
/// [`OffsetError`], for everything but decimal digits up to [`limits::OFFSET_MAX`].
pub fn parse_offset(text: &str) -> Result<Offset, OffsetError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(OffsetError::NotANumber);
    }
    match text.parse::<u64>() {
        Ok(number) if number <= limits::OFFSET_MAX => Ok(Offset(number)),
        _ => Err(OffsetError::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_offset_reads_back_from_its_text(number in 0..=limits::OFFSET_MAX) {
            prop_assert_eq!(parse_offset(&number.to_string()), Ok(Offset(number)));
        }
    }

    #[test]
    fn what_is_no_offset_is_refused() {
        for text in ["", "-1", "+1", " 1", "1.0", "0x1", "now", "１"] {
            assert_eq!(parse_offset(text), Err(OffsetError::NotANumber), "{text}");
        }
        for text in ["9007199254740992", "18446744073709551616", &"9".repeat(400)] {
            assert_eq!(parse_offset(text), Err(OffsetError::TooLarge), "{text}");
        }
    }
}
