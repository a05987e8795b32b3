//! The HTTP face: routes, extraction, encoding, and the one match from errors to answers.
//!
//! A handler extracts, makes one call, encodes. It refuses to know storage. Invariant: whatever
//! a client sends, it gets an answer in the documented form, and a write that was answered with
//! an error is not in the log, but for what the answer's `count` says.

use std::{any::Any, convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use futures_util::FutureExt;
use tower::{Service, ServiceBuilder, service_fn};
use tracing::{Instrument as _, Span};

pub(crate) use self::rates::{Network, Open};
pub use self::{
    access::PUBLIC,
    host::{Host, NoHost, Room},
    peer::{Peer, TrustedProxy},
    rates::{Allowance, RateLimits},
    state::App,
};
use self::{error::Fail, seen::Seen, unread::Line};
use crate::{log::StreamPath, wire::paths};

mod access;
mod body;
mod cors;
mod debug;
mod error;
mod extract;
mod foreign;
mod health;
mod host;
mod layers;
mod native;
mod openapi;
pub mod origin;
mod pace;
mod params;
pub mod peer;
mod protocol;
mod rates;
mod ready;
mod rejected;
mod route;
mod seen;
mod state;
mod subscriptions;
#[cfg(feature = "otlp")]
mod traceparent;
mod unread;

/// The service that answers every request. A defect in a handler costs one request, not the
/// connection's neighbours.
pub fn service(
    app: Arc<App>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send {
    let (router, cors) = (router(Arc::clone(&app)), cors::layer(app.origins()));
    let answering = service_fn(move |request: Request| {
        let (app, router) = (Arc::clone(&app), router.clone());
        let (seen, request) = Seen::of(request, app.log().metrics());
        let span = seen.span(&request);
        // Some kilobytes: unboxed they are moved from layer to layer, and every connection keeps
        // room for them while it is idle.
        Box::pin(async move {
            let answered = guarded(&app, router, request, span.clone()).await;
            let response = answered.unwrap_or_else(|panic| layers::panicked(&*panic, seen.id()));
            Ok(seen.finish(layers::finish(response, &app), &span, app.log().metrics()))
        })
    });
    ServiceBuilder::new().option_layer(cors).service(answering)
}

/// The answer, or what a defect left of it. No async function, which would keep the future twice.
fn guarded(
    app: &App,
    router: Router,
    request: Request,
    span: Span,
) -> impl Future<Output = Result<Response, Box<dyn Any + Send>>> + Send {
    AssertUnwindSafe(answer(app, router, request).instrument(span)).catch_unwind()
}

/// Appends, which are most of what a server does, go around the router: it would box them and
/// copy their path, a tenth of what an append costs (`docs/performance.md`).
async fn answer(app: &App, mut router: Router, mut request: Request) -> Response {
    let noted = access::note(app, &mut request);
    let admitted = match noted {
        Ok(()) => rates::admit(app, &mut request).await,
        over => over,
    };
    let refused =
        admitted.map(|()| access::stranger(app, &request).or_else(|| foreign::page(app, &request)));
    let (parts, mut body) = request.into_parts();
    let refused = match refused {
        Ok(refused) => refused.map(Fail::into_response),
        Err(over) => Some(rates::refused(app, over, &parts.extensions, &mut body).await),
    };
    if let Some(refused) = refused {
        return Line::of(&parts).answer(refused, &mut body).await;
    }
    if let Some(answered) = appended(app, &parts, &mut body).await {
        return match answered {
            Ok(response) => response,
            Err(fail) => Line::of(&parts).answer(fail.into_response(), &mut body).await,
        };
    }
    let (request, lent) = unread::lend(parts, body);
    let response = router.call(request).await.unwrap_or_else(|never| match never {});
    match lent {
        Some((line, lent)) => line.answer(response, &mut lent.back()).await,
        None => response,
    }
}

/// The answer to an append whose path says all by itself; `None` where the router is to be asked.
async fn appended(app: &App, parts: &Parts, body: &mut Body) -> Option<Result<Response, Fail>> {
    if parts.method != Method::POST {
        return None;
    }
    let path = parts.uri.path();
    let session = || paths::plain_session(path).map(StreamPath::session);
    let events = || paths::plain_events(path).map(StreamPath::parse);
    if let Some(stream) = session().or_else(events) {
        return Some(native::append::to_stream(app, stream, parts, body).await);
    }
    let stream = paths::plain_stream(path).map(StreamPath::parse)?;
    Some(protocol::append::to_stream(app, stream, parts, body).await)
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(paths::STREAMS, get(native::streams::list).post(native::append::message))
        .route(paths::SESSIONS, get(native::sessions::list))
        .route(paths::BUS, get(native::channels::bus))
        .route(paths::CHANNELS, get(native::channels::events))
        .route(paths::CHANNEL, get(native::channels::one))
        .route(paths::SESSION_EVENTS, get(native::events::of_path).post(native::append::to_path))
        .route(paths::SESSION_STREAM, get(native::follow::of_path))
        .route(paths::EVENTS, get(native::events::of_path).post(native::append::to_path))
        .route(paths::FOLLOW, get(native::follow::of_path))
        .route(
            paths::STREAM,
            put(native::streams::create).get(native::streams::show).delete(native::streams::delete),
        )
        .route(
            paths::PROTOCOL_STREAM,
            put(protocol::create::create)
                .post(protocol::append::append)
                .get(protocol::read::read)
                .head(protocol::read::head)
                .delete(protocol::create::delete),
        )
        .merge(subscriptions::router())
        .merge(native::commands::router())
        .merge(native::state::router())
        .merge(native::views::router())
        .merge(native::tokens::router())
        .route(paths::BACKUP, get(native::backup::take))
        .route(paths::CLOSE, post(native::streams::close))
        .route(paths::ROOT, get(health::root))
        .route(paths::HEALTH, get(health::live))
        .route(paths::READY, get(health::ready))
        .route(paths::METRICS, get(health::metrics))
        .route(paths::DEBUG, get(debug::debug))
        .route(paths::VERSION, get(health::version))
        .route(paths::OPENAPI, get(openapi::show))
        .fallback(layers::no_such_route)
        .method_not_allowed_fallback(layers::no_such_method)
        .with_state(app)
}
