//! Schemas that are no type of the wire: texts and numbers within bounds, and events, whose data is
//! described by the vocabulary.
//!
//! Invariant: bounds are those of `limits`, never numbers of their own.

use serde_json::{Map, Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        Object, ObjectBuilder, Ref, RefOr, Schema, Type, schema::AnyOfBuilder, schema::SchemaType,
    },
};

use crate::limits;

/// The schemas of the data of events, by their types. Made from the types themselves; a test of the
/// vocabulary keeps it so.
const VOCABULARY: &str = include_str!("../../../fixtures/events/schema.json");

/// A type of the wire.
pub(super) fn of<T: ToSchema>() -> RefOr<Schema> {
    named(&T::name())
}

/// A schema of the document, by its name.
pub(super) fn named(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

/// Any JSON value.
pub(super) fn any() -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
}

/// A text.
pub(super) fn text(least: usize, most: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length((least > 0).then_some(least))
        .max_length(Some(most))
}

/// A text that is no longer than a header may be.
pub(super) fn line() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).into()
}

/// A text that is not empty.
pub(super) fn something() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1))
}

/// A text of this form.
pub(super) fn form(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}

/// One of these words.
pub(super) fn words(words: &[&str]) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).into()
}

/// A whole number.
pub(super) fn whole(least: u64, most: u64) -> ObjectBuilder {
    let bound = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(bound(least)))
        .maximum(Some(bound(most)))
}

/// A whole number with what it is unless given.
pub(super) fn count(least: u64, most: usize, default: usize) -> Schema {
    whole(least, most as u64).default(Some(default.into())).into()
}

/// The number of a record, as a place.
pub(super) fn offset() -> Schema {
    whole(0, limits::OFFSET_MAX).into()
}

/// Unix milliseconds.
pub(super) fn time() -> Schema {
    number().into()
}

/// A whole number that has no bound but that of its type.
pub(super) fn number() -> ObjectBuilder {
    whole(0, u64::MAX)
}

/// True or false, in a query.
pub(super) fn flag(default: bool) -> Schema {
    ObjectBuilder::new().schema_type(Type::Boolean).default(Some(default.into())).into()
}

/// One of these.
pub(super) fn either(schemas: impl IntoIterator<Item = RefOr<Schema>>) -> Schema {
    let either = AnyOfBuilder::new();
    schemas.into_iter().fold(either, AnyOfBuilder::item).into()
}

/// An object with these fields, and others.
pub(super) fn object(fields: &[(&str, RefOr<Schema>)]) -> Schema {
    let object = ObjectBuilder::new();
    let object = fields.iter().fold(object, |object, (name, schema)| {
        object.property(*name, schema.clone()).required(*name)
    });
    object.into()
}

/// A value of this type, whatever it holds.
pub(super) fn bare(kind: Type) -> RefOr<Schema> {
    RefOr::T(Object::with_type(kind).into())
}

/// The schemas of events: the envelope, and the data of known types.
pub(super) fn events() -> Map<String, Value> {
    let mut schemas = Map::new();
    schemas.insert("Event".to_owned(), envelope(true));
    schemas.insert("NewEvent".to_owned(), envelope(false));
    schemas.insert("ServerSentEvent".to_owned(), json!({
        "description": "One of the events of a live read.",
        "type": "object",
        "properties": {
            "id": { "description": "The place that the reader has reached.", "type": "string" },
            "event": { "description": "Its name, where it is not about an event of a stream.", "type": "string" },
            "data": { "description": "What it says; JSON, but for the protocol's `data` events \
                of other content.", "type": "string" },
        },
    }));
    let vocabulary: Value = serde_json::from_str(VOCABULARY).unwrap_or_default();
    let mut known = Vec::new();
    for (kind, data) in vocabulary.get("types").and_then(Value::as_object).into_iter().flatten() {
        known.push(json!({
            "title": kind,
            "type": "object",
            "required": ["type", "data"],
            "properties": { "type": { "const": kind }, "data": data },
        }));
    }
    let text = "An event of a type that the server knows (`docs/events.md`). Its data is checked \
        when it is appended, unless `validate=off` is said; events of other types pass as they are.";
    schemas.insert("KnownEvent".to_owned(), json!({ "description": text, "oneOf": known }));
    let definitions = vocabulary.get("$defs").and_then(Value::as_object);
    for (name, schema) in definitions.into_iter().flatten() {
        schemas.insert(event_name(name), schema.clone());
    }
    for schema in schemas.values_mut() {
        refer(schema);
    }
    schemas
}

/// The name of a definition of the vocabulary, beside the types of the wire.
fn event_name(definition: &str) -> String {
    format!("events.{definition}")
}

/// References within the vocabulary become references within the document.
fn refer(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/components/schemas/{}", event_name(name));
            }
            fields.values_mut().for_each(refer);
        }
        Value::Array(items) => items.iter_mut().for_each(refer),
        _ => {}
    }
}

/// The envelope of an event, as it is read or as it is written.
fn envelope(is_read: bool) -> Value {
    let name = |text: &str, most: usize, pattern: &str| {
        let shape =
            json!({ "type": "string", "minLength": 1, "maxLength": most, "pattern": pattern });
        let Value::Object(mut shape) = shape else { return Value::Null };
        if !is_read {
            shape.insert("type".to_owned(), json!(["string", "null"]));
        }
        shape.insert("description".to_owned(), text.into());
        shape.into()
    };
    let plain = r"^[^\u0000-\u001f\u007f-\u009f]+$";
    let mut properties = json!({
        "id": name("Names the event: one that comes again with the same is a duplicate.", limits::EVENT_ID_BYTES_MAX, plain),
        "channel": name("What it belongs to, such as `message` or `terminal`.", limits::NAME_BYTES_MAX, plain),
        "type": name("What has happened, such as `message.created`.", limits::NAME_BYTES_MAX, plain),
        "timestamp": {
            "description": "When, by its writer, Unix milliseconds.",
            "type": if is_read { json!("integer") } else { json!(["integer", "null"]) },
            "minimum": 0,
            "maximum": limits::OFFSET_MAX,
        },
        "data": { "description": "What it says. For known types see `KnownEvent`." },
        "actor": {
            "description": "Who wrote it.",
            "type": if is_read { json!("object") } else { json!(["object", "null"]) },
        },
    });
    let (required, text) = if is_read {
        if let Value::Object(fields) = &mut properties {
            let offset = json!({ "description": "The number of its record.", "type": "integer", "minimum": 1 });
            fields.insert("offset".to_owned(), offset);
        }
        (
            ["offset"].as_slice(),
            "An event as every reader gets it. Fields that nobody here knows \
            stay. It has all of the others but `actor`, unless it was appended with `verbatim=on` \
            and its writer left some out.",
        )
    } else {
        (
            [].as_slice(),
            "An event as it is written. What is left out is filled in: `id`, \
            `timestamp`, the `type` by the channel, the `channel` by the type. One of these two is \
            needed. What came as `properties` stands in the place of `data`.",
        )
    };
    json!({ "description": text, "type": "object", "properties": properties, "required": required })
}
