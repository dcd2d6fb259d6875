//! The file format as JSON Schema, for editors: made from the same table as the reader.

use serde_json::{Map, Value, json};

use super::table::{FILE, Key, Names, Need, Place, SHARE, STEPS_MAX, Shape, WORDS_MAX};
use crate::model::Span;

const SLUG: &str = "^[a-z0-9][a-z0-9-]{0,62}$";
const LABEL: &str = r"^\S{1,512}$";
const SPAN: &str = "^[0-9]+(ms|s|m|h|d)$";
const SPAN_NOT_ZERO: &str = "^0*[1-9][0-9]*(ms|s|m|h|d)$";
const HOLD: &str = "^([0-9]+(ms|s|m|h|d)|promote)$";
const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// The JSON Schema (draft 2020-12) of a deployment file.
#[must_use]
pub fn schema() -> Value {
    let mut schema = place(&FILE);
    let head =
        [("$schema", "https://json-schema.org/draft/2020-12/schema"), ("title", "deployer deployment file")];
    for (name, value) in head {
        schema.insert(name.to_owned(), json!(value));
    }
    Value::Object(schema)
}

fn place(place: &Place) -> Map<String, Value> {
    let properties: Map<_, _> =
        place.keys().map(|key| (key.name.to_owned(), Value::Object(property(key)))).collect();
    let required: Vec<_> =
        place.keys().filter(|key| matches!(key.need, Need::Required)).map(|key| key.name).collect();
    let mut schema = object(&json!({
        "type": "object",
        "description": place.doc,
        "additionalProperties": false,
        "properties": properties,
    }));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if !place.either.is_empty() {
        let sets: Vec<_> = place.either.iter().map(|set| json!({ "required": set })).collect();
        schema.insert("oneOf".to_owned(), json!(sets));
        // Keys of one set come together.
        let pairs = place.either.iter().flat_map(|set| set.iter().map(move |name| (*name, *set)));
        let together: Map<_, _> = pairs.map(|(name, set)| (name.to_owned(), json!(set))).collect();
        schema.insert("dependentRequired".to_owned(), Value::Object(together));
    }
    schema
}

fn property(key: &Key) -> Map<String, Value> {
    let mut property = shape(key.shape);
    property.insert("description".to_owned(), json!(key.doc));
    if let Need::Default(text) = key.need {
        let value = match key.shape {
            Shape::Count { .. } | Shape::Flag => serde_json::from_str(text).unwrap_or(Value::Null),
            _ => json!(text),
        };
        property.insert("default".to_owned(), value);
    }
    property
}

fn shape(shape: Shape) -> Map<String, Value> {
    // An editor reads `2.0` and `5` as numbers; the reader takes them as they are written.
    let word = json!({ "type": ["string", "number", "boolean"] });
    let value = match shape {
        Shape::Slug => json!({ "type": ["string", "number"], "pattern": SLUG }),
        Shape::Revision => json!({ "type": ["string", "number"], "minLength": 1 }),
        Shape::Span { least } => {
            let pattern = if least > Span::ZERO { SPAN_NOT_ZERO } else { SPAN };
            json!({ "type": "string", "pattern": pattern })
        }
        Shape::Hold => json!({ "type": "string", "pattern": HOLD }),
        Shape::Count { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Path => json!({ "type": "string", "pattern": "^/[!-~]*$" }),
        Shape::Address => {
            json!({ "type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[0-9.]+):[0-9]{1,5}$" })
        }
        Shape::Words => json!({ "type": "array", "items": word, "minItems": 1, "maxItems": WORDS_MAX }),
        Shape::Env => json!({
            "type": "object",
            "propertyNames": { "pattern": VARIABLE },
            "additionalProperties": word,
            "maxProperties": WORDS_MAX,
        }),
        Shape::Steps(step) => {
            let mut number = self::shape(SHARE);
            number.insert("description".to_owned(), json!("Green's share in percent; moves on at once."));
            json!({ "type": "array", "items": { "anyOf": [number, place(step)] }, "minItems": 1, "maxItems": STEPS_MAX })
        }
        Shape::Place(inner) => Value::Object(place(inner)),
        Shape::Named { place: inner, names, least, most } => json!({
            "type": "object",
            "propertyNames": { "pattern": if names == Names::Slug { SLUG } else { LABEL } },
            "additionalProperties": place(inner),
            "minProperties": least,
            "maxProperties": most,
        }),
    };
    object(&value)
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
