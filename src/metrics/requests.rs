//! Requests by what was asked, how, and how it went. A table of fixed size, so that nobody can
//! make more series by asking for what is not there.
//!
//! It refuses to know routes; `http` says which kind one is.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
    registry::Unit,
};

use super::Latency;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What a request is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        /// The label of each, in the order of the kinds.
        const KINDS: &[&str] = &[$($text,)*];

        impl Kind {
            /// Its label.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// Events of a stream: pages, and with `POST` appends.
    Events = "events",
    /// Live reads.
    Live = "live",
    /// The Durable Streams protocol.
    Protocol = "protocol",
    /// Subscriptions of the protocol.
    Subscriptions = "subscriptions",
    /// Sessions and commands in them.
    Sessions = "sessions",
    /// States, and what is shown of them.
    State = "state",
    /// Streams: listed, made, closed, deleted.
    Streams = "streams",
    /// For operators: health, metrics, backups, tokens, the document of the interface.
    Operator = "operator",
    /// What is not there.
    Other = "other",
}

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
const STATUSES: [u16; 28] = [
    200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 414, 415, 416,
    422, 429, 431, 500, 501, 502, 503, 504, 507,
];
/// The statuses, and one place for all others.
const OUTCOMES: usize = STATUSES.len() + 1;
const CELLS: usize = KINDS.len() * METHODS.len() * OUTCOMES;

/// Requests that were answered. A clone counts with the same counters.
#[derive(Debug, Clone)]
pub struct Requests(Arc<Table>);

#[derive(Debug)]
struct Table {
    answered: [AtomicU64; CELLS],
    times: [Latency; KINDS.len()],
}

impl Default for Requests {
    fn default() -> Self {
        let answered = std::array::from_fn(|_| AtomicU64::new(0));
        Self(Arc::new(Table { answered, times: Default::default() }))
    }
}

impl Requests {
    /// Notes an answer, and the time until it began.
    pub fn note(&self, kind: Kind, method: &str, status: u16, time: Duration) {
        let last = METHODS.len() - 1;
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(last);
        let status = STATUSES.binary_search(&status).unwrap_or(STATUSES.len());
        let cell = (kind as usize * METHODS.len() + method) * OUTCOMES + status;
        if let Some(count) = self.0.answered.get(cell) {
            count.fetch_add(1, Relaxed);
        }
        if let Some(times) = self.0.times.get(kind as usize) {
            times.observe(time);
        }
    }
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests answered";
        let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for (cell, count) in self.0.answered.iter().enumerate() {
            let count = count.load(Relaxed);
            let (row, status) = (cell / OUTCOMES, cell % OUTCOMES);
            let (kind, method) = (row / METHODS.len(), row % METHODS.len());
            let (Some(kind), Some(method)) = (KINDS.get(kind), METHODS.get(method)) else {
                continue;
            };
            if count > 0 {
                let status = STATUSES.get(status).map_or("other".to_owned(), u16::to_string);
                let labels = [("kind", *kind), ("method", *method), ("status", &*status)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Time until the answer to a request began";
        let unit = Unit::Seconds;
        let mut family =
            encoder.encode_descriptor("request", help, Some(&unit), MetricType::Histogram)?;
        for (kind, times) in KINDS.iter().zip(&self.0.times) {
            times.encode(family.encode_family(&[("kind", *kind)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn an_answer_is_counted_by_kind_method_and_status() {
        let requests = Requests::default();
        for (kind, method, status) in [
            (Kind::Events, "GET", 200),
            (Kind::Other, "GET", 507),
            (Kind::Other, "BREW", 418),
            (Kind::Events, "GET", 200),
        ] {
            requests.note(kind, method, status, Duration::from_millis(1));
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(requests));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let counted: Vec<_> = text.lines().filter(|line| line.starts_with("requests_t")).collect();
        assert_eq!(
            counted,
            [
                r#"requests_total{kind="events",method="GET",status="200"} 2"#,
                r#"requests_total{kind="other",method="GET",status="507"} 1"#,
                r#"requests_total{kind="other",method="other",status="other"} 1"#,
            ]
        );
        assert!(text.contains(r#"request_seconds_count{kind="events"} 2"#), "{text}");
    }

    #[test]
    fn every_kind_has_a_row_of_its_own_under_its_label() {
        assert!(STATUSES.is_sorted());
        for (index, label) in KINDS.iter().enumerate() {
            assert_eq!(KINDS.iter().position(|other| other == label), Some(index));
        }
        assert_eq!(KINDS.get(Kind::Other as usize), Some(&Kind::Other.label()));
        assert_eq!(KINDS.get(Kind::Live as usize), Some(&Kind::Live.label()));
    }
}
