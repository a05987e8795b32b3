//! Spans on their way to a collector, over OTLP and HTTP. It refuses to know what is traced.
//!
//! Spans wait in a queue of the exporter's, which is bounded (2,048 unless `OTEL_BSP_MAX_QUEUE_SIZE`
//! says otherwise) and drops what finds no room: a collector that is away costs no request
//! anything.

use std::{future::poll_fn, pin::Pin};

use anyhow::Context as _;
use axum::http::{Request, Response};
use bytes::Bytes;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use reqwest::{Client, redirect};
use tokio::runtime::Handle;
use tracing::{Level, Subscriber};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use super::{settings::Settings, telemetry::is_ours};
use crate::{limits, tls};

/// The spans that are yet to be sent.
#[derive(Debug)]
pub(super) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Sends what is left, within a bound.
    pub(super) fn stop(self) {
        if let Err(error) = self.0.shutdown_with_timeout(limits::STOP_TRACES_WITHIN) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The layer that exports spans to the collector of the settings, over this runtime.
pub(super) fn layer<S>(
    settings: &Settings,
    endpoint: &str,
    runtime: Handle,
) -> anyhow::Result<(impl Layer<S> + use<S>, Exporter)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender::new(runtime)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces(endpoint))
        .build()
        .with_context(|| format!("preparing to send spans to {endpoint}"))?;
    let resource = Resource::builder().with_service_name(settings.otlp_service.clone()).build();
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let wanted = filter_fn(|metadata| {
        is_ours(metadata) && metadata.is_span() && *metadata.level() <= Level::DEBUG
    });
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("scrollback"))
        .with_location(false)
        .with_threads(false)
        .with_filter(wanted.with_max_level_hint(Level::DEBUG));
    Ok((layer, Exporter(provider)))
}

/// Where a collector takes spans: at its usual path, unless the URL has another one.
fn traces(endpoint: &str) -> String {
    let bare = endpoint.trim_end_matches('/');
    let has_path = bare.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if has_path { endpoint.to_owned() } else { format!("{bare}/v1/traces") }
}

/// Sends over our own HTTP client. The exporter has a thread of its own, without a runtime.
#[derive(Debug)]
struct Sender {
    client: Client,
    runtime: Handle,
}

impl Sender {
    fn new(runtime: Handle) -> anyhow::Result<Self> {
        tls::choose();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(limits::WEBHOOK_CONNECT_WITHIN)
            .timeout(limits::STOP_TRACES_WITHIN)
            .build()
            .context("preparing to send spans")?;
        Ok(Self { client, runtime })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.execute(request.try_into()?).await?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        // What a collector says beyond its status is of no use here.
        Ok(response)
    }
}

impl HttpClient for Sender {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let mut sending = Box::pin(self.send(request));
            poll_fn(|context| {
                let _inside = self.runtime.enter();
                sending.as_mut().poll(context)
            })
            .await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_takes_spans_at_its_usual_path_unless_told_otherwise() {
        for (given, used) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://collector/api/otlp", "https://collector/api/otlp"),
        ] {
            assert_eq!(traces(given), used);
        }
    }
}
