//! One operation of the document: what a request may hold, what may be answered, and an example of
//! the request.
//!
//! It refuses to know which operations there are. Invariant: what fails is said by codes, and each
//! code stands at its own status.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        Content, Header, HttpMethod, RefOr, Required, Response, Schema,
        example::ExampleBuilder,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBody,
        security::SecurityRequirement,
    },
};

use super::{parameters, problems, schemas};
use crate::{
    limits,
    wire::{self, code::Code},
};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// Whoever has a token, where the server wants one.
    Token,
    /// The same, and the token may stand in the query, because an `EventSource` has no headers.
    TokenInQuery,
    /// Anybody.
    Public,
    /// Who holds the token that came with a wake.
    Wake,
}

/// An operation in the making.
pub(super) struct Op {
    method: HttpMethod,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: Option<String>,
    named: Vec<(&'static str, &'static str)>,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: BTreeMap<u16, Response>,
    codes: Vec<Code>,
    security: Security,
}

/// A header of an answer: its name, what it says, an example.
pub(super) type Said = (&'static str, &'static str, fn() -> Schema);

impl Op {
    pub(super) fn new(
        method: HttpMethod,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            description: None,
            named: Vec::new(),
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            codes: Vec::new(),
            security: Security::Token,
        }
    }

    /// What else is to be said.
    pub(super) fn says(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// What stands at a place of the path in the example, where it is not the usual.
    pub(super) fn named(mut self, place: &'static str, example: &'static str) -> Self {
        self.named.push((place, example));
        self
    }

    /// Takes parameters.
    pub(super) fn takes(mut self, parameters: impl IntoIterator<Item = ParameterBuilder>) -> Self {
        self.parameters.extend(parameters.into_iter().map(ParameterBuilder::build));
        self
    }

    /// Takes a body of JSON.
    pub(super) fn body<T: ToSchema>(self, example: Value) -> Self {
        self.body_in(wire::JSON, schemas::of::<T>(), "example", example)
    }

    /// Takes a body of some kind; each call adds a kind, or an example to it.
    pub(super) fn body_in(
        mut self,
        kind: &str,
        schema: RefOr<Schema>,
        name: &str,
        example: Value,
    ) -> Self {
        if let RefOr::T(content) = self.content(kind, schema) {
            let example = ExampleBuilder::new().value(Some(example)).build();
            content.examples.insert(name.to_owned(), example.into());
        }
        self
    }

    /// Takes a body of some kind, which the state of the examples has no use for.
    pub(super) fn body_without_example(mut self, kind: &str, schema: RefOr<Schema>) -> Self {
        self.content(kind, schema);
        self
    }

    fn content(&mut self, kind: &str, schema: RefOr<Schema>) -> &mut RefOr<Content> {
        let body = self.body.get_or_insert_with(RequestBody::new);
        body.required = Some(Required::True);
        let content = body.content.entry(kind.to_owned());
        content.or_insert_with(|| Content::new(Some(schema)).into())
    }

    /// None is as good as a body without anything in it.
    pub(super) fn or_no_body(mut self) -> Self {
        if let Some(body) = &mut self.body {
            body.required = Some(Required::False);
        }
        self
    }

    /// Is answered with JSON.
    pub(super) fn answers<T: ToSchema>(self, status: u16, text: &str) -> Self {
        self.answers_in(status, wire::JSON, schemas::of::<T>(), text)
    }

    /// Is answered with a body of some kind; each call adds a kind.
    pub(super) fn answers_in(
        mut self,
        status: u16,
        kind: &str,
        schema: impl Into<RefOr<Schema>>,
        text: &str,
    ) -> Self {
        let answer = self.answers.entry(status).or_insert_with(|| Response::new(text));
        answer.content.insert(kind.to_owned(), Content::new(Some(schema)).into());
        self
    }

    /// Is answered without a body.
    pub(super) fn answers_empty(mut self, status: u16, text: &str) -> Self {
        self.answers.insert(status, Response::new(text));
        self
    }

    /// Headers of the answers of a status.
    pub(super) fn with_headers(mut self, status: u16, headers: &[Said]) -> Self {
        if let Some(answer) = self.answers.get_mut(&status) {
            for (name, text, schema) in headers {
                let mut header = Header::new(schema());
                header.description = Some((*text).to_owned());
                answer.headers.insert((*name).to_owned(), header.into());
            }
        }
        self
    }

    /// Can fail in these ways.
    pub(super) fn fails(mut self, groups: &[&[Code]]) -> Self {
        self.codes.extend(groups.iter().copied().flatten());
        self
    }

    /// Is answered with server-sent events.
    pub(super) fn streams(mut self, text: &str) -> Self {
        self.security = Security::TokenInQuery;
        let text = format!("{text} The schema is that of one of them.");
        self.answers_in(200, wire::EVENT_STREAM, schemas::named("ServerSentEvent"), &text)
    }

    /// Takes its token in the query, too, because some of its answers are server-sent events.
    pub(super) fn token_in_query(mut self) -> Self {
        self.security = Security::TokenInQuery;
        self
    }

    /// Anybody may ask.
    pub(super) fn public(mut self) -> Self {
        self.security = Security::Public;
        self
    }

    /// Who holds the token of a wake may ask.
    pub(super) fn with_wake_token(mut self) -> Self {
        self.security = Security::Wake;
        self
    }

    /// The path as the document writes it, the method, and the operation.
    pub(super) fn finish(self, tag: &str) -> (String, HttpMethod, Operation) {
        let places = parameters::places(self.path, &self.named);
        let is_public = self.security == Security::Public;
        let mut made = OperationBuilder::new()
            .tag(tag)
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .description(self.description)
            .parameters(Some(places.into_iter().chain(self.parameters)))
            .request_body(self.body)
            .securities(Some(requirements(self.security)));
        for (status, answer) in self.answers {
            made = made.response(status.to_string(), answer);
        }
        for (status, answer) in problems::answers(&self.codes, is_public) {
            made = made.response(status.to_string(), answer);
        }
        // What is refused before anybody has looked at it.
        let head =
            format!("The head of the request has more than {} bytes.", limits::HEADER_BYTES_MAX);
        let made = made.response("431", Response::new(head));
        (parameters::written(self.path), self.method, made.build())
    }
}

/// Any of these will do. The empty one is for servers that want no token.
fn requirements(security: Security) -> Vec<SecurityRequirement> {
    let need = |name: &str| SecurityRequirement::new(name, [] as [&str; 0]);
    match security {
        Security::Public => vec![SecurityRequirement::default()],
        Security::Token => vec![SecurityRequirement::default(), need("bearer")],
        Security::TokenInQuery => {
            vec![SecurityRequirement::default(), need("bearer"), need("accessToken")]
        }
        Security::Wake => vec![need("wakeToken")],
    }
}

/// A parameter of the query.
pub(super) fn query(name: &str, schema: impl Into<RefOr<Schema>>, text: &str) -> ParameterBuilder {
    parameter(ParameterIn::Query, name, schema, text)
}

/// A header of the request.
pub(super) fn header(name: &str, schema: impl Into<RefOr<Schema>>, text: &str) -> ParameterBuilder {
    parameter(ParameterIn::Header, name, schema, text)
}

fn parameter(
    place: ParameterIn,
    name: &str,
    schema: impl Into<RefOr<Schema>>,
    text: &str,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(text))
        .schema(Some(schema))
}
