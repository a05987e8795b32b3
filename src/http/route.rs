//! Which route a path is of, for counters and traces: known before the router looks, because
//! appends go around it.
//!
//! Pure. Invariant: whatever path is asked for, it is one of the names here.

use crate::{
    metrics::Kind,
    wire::paths::{self, plain_events, plain_session, plain_stream},
};

/// A route, as it is counted and traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// What its requests are about.
    pub(super) kind: Kind,
    /// Its path, with names in place of what differs.
    pub(super) template: &'static str,
}

const fn of(kind: Kind, template: &'static str) -> Route {
    Route { kind, template }
}

/// The routes. Where two take a path, the one that is named first is meant.
const ROUTES: [Route; 53] = [
    of(Kind::Events, paths::SESSION_EVENTS),
    of(Kind::Events, paths::EVENTS),
    of(Kind::Live, paths::SESSION_STREAM),
    of(Kind::Live, paths::FOLLOW),
    of(Kind::Live, paths::CHANNELS),
    of(Kind::Live, paths::CHANNEL),
    of(Kind::Live, paths::BUS),
    of(Kind::Subscriptions, paths::SUBSCRIPTION),
    of(Kind::Subscriptions, paths::SUBSCRIPTION_STREAMS),
    of(Kind::Subscriptions, paths::SUBSCRIPTION_MEMBER),
    of(Kind::Subscriptions, paths::SUBSCRIPTION_CALLBACK),
    of(Kind::Subscriptions, paths::SUBSCRIPTION_CLAIM),
    of(Kind::Subscriptions, paths::SUBSCRIPTION_ACK),
    of(Kind::Subscriptions, paths::SUBSCRIPTION_RELEASE),
    of(Kind::Subscriptions, paths::JWKS),
    of(Kind::Subscriptions, paths::CONTROL_REST),
    of(Kind::Subscriptions, paths::CONTROL),
    of(Kind::Protocol, paths::PROTOCOL_STREAM),
    of(Kind::State, paths::STATE),
    of(Kind::State, paths::STATE_DIFF),
    of(Kind::State, paths::BLAME),
    of(Kind::State, paths::MESSAGES),
    of(Kind::State, paths::MESSAGE),
    of(Kind::State, paths::TOOL_CALLS),
    of(Kind::State, paths::PERMISSIONS),
    of(Kind::State, paths::CHAT_MESSAGES),
    of(Kind::State, paths::CHAT_DIFF),
    of(Kind::State, paths::CHAT_TASKS),
    of(Kind::Sessions, paths::SESSIONS),
    of(Kind::Sessions, paths::SESSION),
    of(Kind::Sessions, paths::SESSION_END),
    of(Kind::Sessions, paths::SESSION_READY),
    of(Kind::Sessions, paths::SESSION_INTERRUPT),
    of(Kind::Sessions, paths::SESSION_QUEUED),
    of(Kind::Sessions, paths::SESSION_TERMINAL_INPUT),
    of(Kind::Sessions, paths::SESSION_PERMISSION_REPLY),
    of(Kind::Sessions, paths::TURN_CHUNKS),
    of(Kind::Sessions, paths::TURN_COMPLETE),
    of(Kind::Sessions, paths::TURN_FAIL),
    of(Kind::Streams, paths::STREAMS),
    of(Kind::Streams, paths::STREAM),
    of(Kind::Streams, paths::CLOSE),
    of(Kind::Operator, paths::BACKUP),
    of(Kind::Operator, paths::HEALTH),
    of(Kind::Operator, paths::READY),
    of(Kind::Operator, paths::METRICS),
    of(Kind::Operator, paths::DEBUG),
    of(Kind::Operator, paths::VERSION),
    of(Kind::Operator, paths::OPENAPI),
    of(Kind::Operator, paths::TOKENS),
    of(Kind::Operator, paths::TOKENS_REVOKED),
    of(Kind::Operator, paths::TOKEN),
    of(Kind::Operator, paths::TOKEN_APPROVE),
];

/// The route of a path; where there is none, one that says so.
pub(super) fn route(path: &str) -> Route {
    // Appends are found without a look at the others.
    if plain_session(path).is_some() {
        return of(Kind::Events, paths::SESSION_EVENTS);
    }
    if plain_events(path).is_some() {
        return of(Kind::Events, paths::EVENTS);
    }
    if path == paths::STREAMS {
        return of(Kind::Streams, paths::STREAMS);
    }
    if plain_stream(path).is_some() {
        return of(Kind::Protocol, paths::PROTOCOL_STREAM);
    }
    if let Some(found) = ROUTES.iter().find(|route| takes(route.template, path)) {
        return *found;
    }
    if let Some((template, _)) = paths::VIEWS.iter().find(|(template, _)| takes(template, path)) {
        return of(Kind::State, template);
    }
    if path == paths::ROOT { of(Kind::Operator, paths::ROOT) } else { of(Kind::Other, "none") }
}

fn takes(template: &str, path: &str) -> bool {
    let (mut names, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (names.next(), given.next()) {
            (None, None) => return true,
            (Some(name), Some(given)) if name.starts_with("{*") => return !given.is_empty(),
            (Some(name), Some(given)) if name.starts_with('{') && !given.is_empty() => {}
            (Some(name), Some(given)) if name == given => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_the_route_that_takes_it() {
        for (path, kind, template) in [
            ("/api/sessions/a/events", Kind::Events, paths::SESSION_EVENTS),
            ("/api/sessions/a%20b/events", Kind::Events, paths::SESSION_EVENTS),
            ("/api/events", Kind::Live, paths::CHANNELS),
            ("/api/events/a/b", Kind::Events, paths::EVENTS),
            ("/v1/stream/a/b", Kind::Protocol, paths::PROTOCOL_STREAM),
            ("/v1/stream/a%20b", Kind::Protocol, paths::PROTOCOL_STREAM),
            ("/v1/stream/__ds/subscriptions/x", Kind::Subscriptions, paths::SUBSCRIPTION),
            ("/v1/stream/__ds/other/x", Kind::Subscriptions, paths::CONTROL_REST),
            ("/api/sessions/a/terminal", Kind::State, "/api/sessions/{id}/terminal"),
            ("/api/sessions/a", Kind::Sessions, paths::SESSION),
            ("/api/tokens/revoked", Kind::Operator, paths::TOKENS_REVOKED),
            ("/api/tokens/tok_1", Kind::Operator, paths::TOKEN),
            ("/", Kind::Operator, paths::ROOT),
            ("/api/sessions//events", Kind::Other, "none"),
            ("/api/streams/", Kind::Other, "none"),
            ("/secrets/of/mine", Kind::Other, "none"),
            ("*", Kind::Other, "none"),
        ] {
            assert_eq!(route(path), of(kind, template), "{path}");
        }
    }

    #[test]
    fn every_route_is_found_by_a_path_of_its_own() {
        for named in &ROUTES {
            let path = named.template.replace(['{', '}', '*'], "");
            assert_eq!(route(&path), *named, "{path}");
        }
        let tokens = [paths::TOKENS, paths::TOKENS_REVOKED, paths::TOKEN, paths::TOKEN_APPROVE];
        for path in paths::all().chain(tokens) {
            let path = path.replace(['{', '}', '*'], "");
            assert_ne!(route(&path).kind, Kind::Other, "{path} is counted as what is not there");
        }
    }
}
