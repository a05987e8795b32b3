//! The trace that a request belongs to, as its `traceparent` says (W3C Trace Context). It looks at
//! the two headers of that standard and at no other.

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const NAMES: [&str; 2] = ["traceparent", "tracestate"];

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        NAMES.to_vec()
    }
}

/// Makes a span part of the trace that the request names, where it names one.
pub(super) fn join(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key("traceparent") {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    // Where nobody exports spans there is nothing to join.
    let _ = span.set_parent(parent);
}
