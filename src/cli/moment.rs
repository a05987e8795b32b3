//! How people write a moment: `2026-11-20T10:00:00Z`, Unix milliseconds, or `2m ago`. Pure.
//!
//! It refuses to know what time it is: whoever asks says so.

use std::{str::FromStr, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::server::settings::parse_span;

/// A moment, as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Unix milliseconds.
    At(u64),
    /// So long before now.
    Ago(Duration),
}

impl Moment {
    /// The moment in Unix milliseconds.
    pub(super) fn unix_ms(self, now_ms: u64) -> u64 {
        match self {
            Self::At(ms) => ms,
            Self::Ago(span) => {
                now_ms.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
            }
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "now" {
            return Ok(Self::Ago(Duration::ZERO));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::At).map_err(|_| wrong(text));
        }
        let span = text.strip_suffix("ago").unwrap_or(text).trim_end();
        if let Ok(span) = parse_span(span) {
            return Ok(Self::Ago(span));
        }
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| wrong(text))?;
        u64::try_from(time.timestamp_millis()).map(Self::At).map_err(|_| wrong(text))
    }
}

fn wrong(text: &str) -> String {
    format!(
        "{text:?} is no moment; write 2026-11-20T10:00:00Z, Unix milliseconds, or a span before \
         now such as 2m, 3h or 1d"
    )
}

/// A time in full, UTC; the bare number where no calendar has it.
pub(super) fn rfc3339(unix_ms: u64) -> String {
    i64::try_from(unix_ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis).map_or_else(
        || unix_ms.to_string(),
        |time| time.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now_ms = 1_000_000;
        for (text, ms) in [
            ("1795165200000", 1_795_165_200_000),
            ("0", 0),
            ("2m ago", 880_000),
            ("2m", 880_000),
            ("90s ago", 910_000),
            ("500ms", 999_500),
            ("30d ago", 0),
            ("now", now_ms),
            ("2026-11-20T09:00:00Z", 1_795_165_200_000),
            ("2026-11-20T10:00:00.250+01:00", 1_795_165_200_250),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.unix_ms(now_ms), ms, "{text}");
        }
        for text in ["", "yesterday", "2 minutes ago", "-5", "ago", "1960-01-01T00:00:00Z", "2026"]
        {
            // A bare number is Unix milliseconds, whatever it looks like.
            assert_eq!(text.parse::<Moment>().is_ok(), text == "2026", "{text:?}");
        }
    }

    #[test]
    fn times_are_written_in_full() {
        assert_eq!(rfc3339(1_795_165_200_250), "2026-11-20T09:00:00.250Z");
        assert_eq!(rfc3339(u64::MAX), u64::MAX.to_string());
        let again: Moment = rfc3339(1_795_165_200_250).parse().unwrap();
        assert_eq!(again, Moment::At(1_795_165_200_250));
    }
}
