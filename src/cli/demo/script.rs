//! A recorded session as a script: its events with their times, and each of them as it would be
//! sent now. Pure but for the fresh ids. Invariant: all but id and timestamp stays as recorded.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::value::RawValue;
use ulid::Ulid;

/// One recorded event: its fields as they are written.
#[derive(Debug)]
pub(super) struct Line {
    fields: BTreeMap<String, Box<RawValue>>,
    recorded_ms: Option<u64>,
}

/// Reads a script; one JSON object a line.
pub(super) fn parse(text: &str) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = || format!("line {} is not an event", at + 1);
        let mut fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(line).with_context(wrong)?;
        fields.remove("id");
        fields.remove("offset");
        let recorded = fields.remove("timestamp").map(|ms| ms.get().parse());
        let recorded_ms = recorded.transpose().with_context(wrong)?;
        lines.push(Line { fields, recorded_ms });
    }
    ensure!(!lines.is_empty(), "there are no events to play");
    Ok(lines)
}

impl Line {
    /// Writes the event as it would be sent at `now_ms`, with an id of its own.
    pub(super) fn write_at(&self, now_ms: u64, out: &mut Vec<u8>) -> Result<()> {
        let id = Ulid::from_parts(now_ms, rand::random()).to_string();
        out.extend_from_slice(format!("{{\"id\":\"{id}\",\"timestamp\":{now_ms}").as_bytes());
        for (name, value) in &self.fields {
            out.push(b',');
            serde_json::to_writer(&mut *out, name)?;
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

/// When each event is due, from the start of the play.
pub(super) fn due(lines: &[Line], gap_max: Duration, speed: f64) -> Vec<Duration> {
    let mut at = Duration::ZERO;
    let mut before = None;
    lines
        .iter()
        .map(|line| {
            let gap = match (before, line.recorded_ms) {
                (Some(before), Some(now)) => Duration::from_millis(now.saturating_sub(before)),
                _ => Duration::ZERO,
            };
            before = line.recorded_ms.or(before);
            at += gap.min(gap_max).div_f64(speed);
            at
        })
        .collect()
}

/// Reads a speed: `4x`, `0.5x`, or the bare number.
pub(in crate::cli) fn speed(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('x').unwrap_or(text).parse::<f64>();
    match number {
        Ok(speed) if (0.01..=1_000_000.0).contains(&speed) => Ok(speed),
        _ => Err("write a speed such as 4x or 0.5x".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const TWO: &str = "{\"id\":\"A\",\"channel\":\"x\",\"timestamp\":1000,\"data\":{\"b\":1,\"a\":2},\"more\":[1]}\n\n\
                       {\"id\":\"B\",\"timestamp\":1500,\"data\":{}}\n";

    #[test]
    fn a_played_event_has_a_fresh_id_and_time_and_is_else_as_recorded() {
        let lines = parse(TWO).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        lines[0].write_at(77, &mut first).unwrap();
        lines[0].write_at(77, &mut second).unwrap();
        let (one, two): (Value, Value) =
            (serde_json::from_slice(&first).unwrap(), serde_json::from_slice(&second).unwrap());
        assert_ne!(one["id"], two["id"]);
        assert_ne!(one["id"], "A");
        assert_eq!(one["timestamp"], 77);
        assert_eq!(one["more"], serde_json::json!([1]));
        let text = String::from_utf8(first).unwrap();
        assert!(text.contains("\"data\":{\"b\":1,\"a\":2}"), "fields keep their order: {text}");
    }

    #[test]
    fn gaps_are_cut_and_then_sped_up() {
        let lines = parse(&TWO.replace("1500", "61000")).unwrap();
        let due = due(&lines, Duration::from_secs(2), 4.0);
        assert_eq!(due, [Duration::ZERO, Duration::from_millis(500)]);
    }

    #[test]
    fn what_is_no_script_is_refused_by_its_line() {
        assert!(parse("").is_err());
        assert!(parse("{}\n[1]").unwrap_err().to_string().contains("line 2"));
        assert!(parse("{\"timestamp\":\"x\"}").is_err());
    }

    #[test]
    fn speeds_are_read_with_and_without_their_sign() {
        assert_eq!(speed("4x"), Ok(4.0));
        assert_eq!(speed("0.5"), Ok(0.5));
        for text in ["", "x", "0x", "-1x", "nanx", "infx"] {
            assert!(speed(text).is_err(), "{text:?}");
        }
    }
}
