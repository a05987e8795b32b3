//! The HTTP face: routes, extraction, encoding, and the one match from errors to answers.
//!
//! A handler extracts, makes one call, encodes. It refuses to know storage. Invariant: whatever
//! a client sends, it gets an answer in the documented form, and a write that was answered with
//! an error is not in the log, but for what the answer's `count` says.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::Response,
    routing::{get, post, put},
};
use tower::{Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;

pub use self::state::App;
use crate::wire::paths;

mod body;
mod error;
mod extract;
mod health;
mod layers;
mod native;
mod params;
mod state;

/// The service that answers every request.
pub fn service(
    app: Arc<App>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send {
    let metrics = Arc::clone(app.log().metrics());
    ServiceBuilder::new()
        .map_response(move |response: Response<_>| {
            layers::finish(response.map(Body::new), &metrics)
        })
        .layer(CatchPanicLayer::custom(layers::panicked))
        .service(router(app))
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(paths::STREAMS, get(native::streams::list).post(native::append::message))
        .route(paths::SESSION_EVENTS, get(native::events::of_path).post(native::append::to_path))
        .route(paths::SESSION_STREAM, get(native::follow::of_path))
        .route(paths::EVENTS, get(native::events::of_path).post(native::append::to_path))
        .route(paths::FOLLOW, get(native::follow::of_path))
        .route(
            paths::STREAM,
            put(native::streams::create).get(native::streams::show).delete(native::streams::delete),
        )
        .route(paths::CLOSE, post(native::streams::close))
        .route(paths::ROOT, get(health::root))
        .route(paths::HEALTH, get(health::live))
        .route(paths::READY, get(health::ready))
        .route(paths::METRICS, get(health::metrics))
        .route(paths::VERSION, get(health::version))
        .fallback(layers::no_such_route)
        .method_not_allowed_fallback(layers::no_such_method)
        .with_state(app)
}
