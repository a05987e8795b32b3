//! What the types say about themselves.

use schemars::generate::SchemaSettings;

use super::Kind;

#[test]
fn every_type_says_what_it_means() {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let schemas: Vec<_> = Kind::ALL.iter().map(|kind| kind.schema(&mut generator)).collect();
    let definitions = generator.take_definitions(true);
    for (kind, schema) in Kind::ALL.iter().zip(schemas) {
        let name = schema.get("$ref").unwrap().as_str().unwrap().rsplit('/').next().unwrap();
        assert!(definitions[name].get("description").is_some(), "{kind:?}");
    }
}
