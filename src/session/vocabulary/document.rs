//! `docs/events.md` and `fixtures/events/schema.json`, made from the types. The tests fail when
//! either is out of date; `SCROLLBACK_BLESS=1 cargo test document` writes them anew.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{
    Kind, KnownEvent,
    examples::{self, root},
};

const DOCUMENT: &str = "docs/events.md";
const SCHEMA: &str = "fixtures/events/schema.json";

const BEGINNING: &str = "# Events

The types that mean something to the server, channel by channel. This page is made from the code
(`src/session/vocabulary/`); a test fails when it is out of date.

The envelope of an event is in `docs/http-api.md`. This page is about `type` and `data`. An event of a type that
is listed here is checked when it is appended: where a field breaks its rule, the answer is a 422 whose
`field` names it. `?validate=off` turns the check off for one request.

- A type that is not listed, a field that is not listed, a channel of another name: kept and delivered
  as they came, and left alone.
- The data is an object, also where none of its fields is required.
- A field that is not required may be missing or null, which is the same.
- These names are taken with `ID` at their end, too: `messageID`, `partID`, `callID`, `sessionID`, `parentID`,
  `permissionID`.
- An event may come without `channel` (it is the one the type is listed under) and with `properties` in the
  place of `data`.
- On their channel, folds understand short types, too: `input` on `terminal` is `terminal.input`, `chunk` on
  `chunks` is `chunk.appended`. Short types are not checked; what does not fit means nothing.
- The id of an event names the event. What changes (a message, a part, a request) has an id in the data.

More examples, valid and invalid ones, are in `fixtures/events/`, and a JSON Schema of the names below
in `fixtures/events/schema.json`.
";

/// The types with their schemas: each kind's, and the definitions they refer to.
struct Vocabulary {
    kinds: Vec<(Kind, Value)>,
    definitions: Map<String, Value>,
}

impl Vocabulary {
    fn new() -> Self {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        let schemas = Kind::ALL.iter().map(|kind| (*kind, kind.schema(&mut generator).to_value()));
        Self { kinds: schemas.collect(), definitions: generator.take_definitions(true) }
    }

    /// The definition that a schema refers to, or the schema.
    fn target<'a>(&'a self, schema: &'a Value) -> &'a Value {
        name_of(schema).map_or(schema, |name| &self.definitions[name])
    }

    /// The schema of an object with all its fields, behind every reference.
    fn object<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let target = self.target(schema);
        if target.get("$ref").is_some() { self.object(target) } else { target }
    }
}

fn name_of(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

/// A description in one line.
fn said(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn document(vocabulary: &Vocabulary) -> String {
    let examples = examples::all();
    let mut out = BEGINNING.to_owned();
    let mut channel = "";
    let mut met = BTreeSet::new();
    for (kind, schema) in &vocabulary.kinds {
        if kind.channel() != channel {
            channel = kind.channel();
            let again = if met.insert(channel) { "" } else { ", continued" };
            let _ = write!(out, "\n## Channel `{channel}`{again}\n");
        }
        let target = vocabulary.target(schema);
        let _ = write!(out, "\n### `{}`\n\n{}\n", kind.as_str(), said(target));
        let object = vocabulary.object(schema);
        if object != target {
            let _ = writeln!(out, "{}", said(object));
        }
        table(&mut out, object);
        let example = examples[kind.as_str()].valid[0].get();
        let _ =
            write!(out, "\n```json\n{{\"type\":\"{}\",\"data\":{example}}}\n```\n", kind.as_str());
    }
    out.push_str("\n## Values\n");
    let whole: BTreeSet<_> = vocabulary.kinds.iter().filter_map(|(_, it)| name_of(it)).collect();
    for (name, schema) in &vocabulary.definitions {
        if !whole.contains(name.as_str()) && schema.get("$ref").is_none() {
            let _ = write!(out, "\n### {name}\n\n{}\n", said(schema));
            value(&mut out, schema);
        }
    }
    out
}

/// The table of an object's fields, those that are required first.
fn table(out: &mut String, schema: &Value) {
    let Some(fields) = schema["properties"].as_object() else { return };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    out.push_str("\n| field | type | required | meaning |\n|---|---|---|---|\n");
    for wanted in [true, false] {
        for (name, field) in
            fields.iter().filter(|(name, _)| required.contains(&name.as_str()) == wanted)
        {
            let word = if wanted { "yes" } else { "" };
            let _ = writeln!(out, "| `{name}` | {} | {word} | {} |", type_of(field), said(field));
        }
    }
}

/// A value that is no event of its own: its fields, its words or its forms.
fn value(out: &mut String, schema: &Value) {
    if let Some(bytes) = schema.get("maxLength") {
        let _ = write!(out, "\nA text of 1 to {bytes} bytes.\n");
    }
    table(out, schema);
    let forms = schema.get("oneOf").or(schema.get("anyOf")).and_then(Value::as_array);
    let Some(forms) = forms else { return };
    out.push_str("\n| | meaning |\n|---|---|\n");
    for form in forms {
        let word = |schema: &Value| {
            schema.get("const").map(|word| format!("`{}`", word.as_str().unwrap_or_default()))
        };
        let tag = word(&form["properties"]["type"]).map(|tag| format!("{tag}: "));
        let name = word(form).unwrap_or_else(|| tag.unwrap_or_default() + &type_of(form));
        let _ = writeln!(out, "| {name} | {} |", said(form));
    }
}

/// The type of a field in a few words.
fn type_of(schema: &Value) -> String {
    if let Some(name) = name_of(schema) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(forms) = schema.get("anyOf").and_then(Value::as_array) {
        let forms: Vec<_> = forms.iter().map(type_of).filter(|name| name != "null").collect();
        return forms.join(" or ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str(),
        kind => kind.as_str(),
    };
    match kind {
        Some("array") => format!("array of {}", type_of(&schema["items"])),
        Some("string") => "text".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("number") => "number".to_owned(),
        Some(kind) => kind.to_owned(),
        None => "any value".to_owned(),
    }
}

fn schema(vocabulary: &Vocabulary) -> String {
    let types =
        vocabulary.kinds.iter().map(|(kind, schema)| (kind.as_str().to_owned(), schema.clone()));
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The data of Scrollback's events by their type",
        "types": types.collect::<Map<_, _>>(),
        "$defs": vocabulary.definitions,
    });
    serde_json::to_string_pretty(&whole).unwrap() + "\n"
}

fn is_up_to_date(file: &str, text: &str) {
    let path = root().join(file);
    if std::env::var_os("SCROLLBACK_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{file} is out of date; SCROLLBACK_BLESS=1 cargo test document");
}

#[test]
fn the_document_of_events_is_up_to_date() {
    is_up_to_date(DOCUMENT, &document(&Vocabulary::new()));
}

#[test]
fn the_schema_of_events_is_up_to_date() {
    is_up_to_date(SCHEMA, &schema(&Vocabulary::new()));
}

#[test]
fn everything_in_the_document_says_what_it_means() {
    let vocabulary = Vocabulary::new();
    for (name, schema) in &vocabulary.definitions {
        assert!(!said(schema).is_empty(), "{name}");
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(!said(schema).is_empty(), "{name}.{field}");
        }
    }
}

#[test]
fn valid_examples_have_the_fields_of_the_schema() {
    let vocabulary = Vocabulary::new();
    let all = examples::all();
    for (kind, schema) in &vocabulary.kinds {
        let object = vocabulary.object(schema);
        for data in &all[kind.as_str()].valid {
            let event = KnownEvent::parse(kind.as_str(), data.get()).unwrap().unwrap();
            let written: Map<String, Value> =
                serde_json::from_str(event.data().unwrap().get()).unwrap();
            for field in object["required"].as_array().into_iter().flatten() {
                assert!(written.contains_key(field.as_str().unwrap()), "{kind:?} {field}");
            }
            let closed = object["additionalProperties"] != json!(true);
            for field in written.keys().filter(|_| closed) {
                assert!(object["properties"].get(field).is_some(), "{kind:?} {field}");
            }
        }
    }
}
