//! The file format as JSON Schema, for editors: made from the same table as the reader.

use serde_json::{Map, Value, json};

use super::table::{FILE, Key, Names, Need, Place, SHARE, STEPS_MAX, STORE_MAX, Shape, WORDS_MAX};
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
        Shape::Store => {
            json!({ "type": "string", "pattern": "^(file:|s3://|oss://).+$", "maxLength": STORE_MAX })
        }
        Shape::Address => {
            json!({ "type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[0-9.]+):[0-9]{1,5}$" })
        }
        Shape::Digits(count) => {
            json!({ "type": ["string", "integer"], "pattern": format!("^[0-9]{{{count}}}$") })
        }
        Shape::Label => json!({ "type": ["string", "number"], "pattern": LABEL }),
        Shape::Pair => {
            let name = json!({ "type": ["string", "number"], "pattern": LABEL });
            json!({ "type": "array", "items": name, "minItems": 2, "maxItems": 2, "uniqueItems": true })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Source, any_value, validate};

    /// A file in which every key of the table is given, as nested JSON, which is YAML too.
    fn full(place: &Place) -> Value {
        variants(place).remove(0)
    }

    /// One for each set of keys that exclude each other, here and further in.
    fn variants(place: &Place) -> Vec<Value> {
        let sets: Vec<&[&str]> = if place.either.is_empty() { vec![&[]] } else { place.either.to_vec() };
        sets.into_iter().flat_map(|set| variant(place, set)).collect()
    }

    fn variant(place: &Place, set: &[&str]) -> Vec<Value> {
        let elsewhere =
            |key: &Key| place.either.iter().flat_map(|set| set.iter()).any(|name| *name == key.name);
        let chosen = place.keys().filter(|key| set.contains(&key.name) || !elsewhere(key));
        let keys: Vec<(String, Vec<Value>)> =
            chosen.map(|key| (key.name.to_owned(), examples(key))).collect();
        let most = keys.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
        let nth = |n: usize| {
            keys.iter().map(move |(name, values)| (name.clone(), values[n % values.len()].clone()))
        };
        (0..most).map(|n| fitting(nth(n).collect())).collect()
    }

    /// Without what the other keys rule out: CodeDeploy knows no twins, Kubernetes only them, and only a template has versions.
    fn fitting(mut place: Value) -> Value {
        if place.get("idle").is_some() {
            place.as_object_mut().unwrap().remove("template_version");
        }
        if place.pointer("/fleets/kubernetes").is_some() {
            let fields = place.as_object_mut().unwrap();
            fields.retain(|name, _| !["application", "hosts", "package"].contains(&name.as_str()));
            if let Some(groups) = fields.get_mut("groups").and_then(Value::as_object_mut) {
                let twins = ["alb_twins", "nlb_twins", "clb_twins"];
                groups.retain(|_, group| twins.iter().any(|key| group.get(key).is_some()));
            }
        }
        // A server group is declared once.
        for (key, pair) in [("nlb_twins", ["three", "four"]), ("clb_twins", ["five", "six"])] {
            if let Some(ids) = place.get_mut(key) {
                *ids = json!(pair);
            }
        }
        let blind = ["nlb_twins", "clb_twins"].iter().any(|key| place.get(key).is_some());
        if blind || place.get("alb_twins").is_some() {
            place.as_object_mut().unwrap().remove("by");
        }
        if ["alb", "nlb", "clb", "alb_twins"].iter().any(|key| place.get(key).is_some()) {
            place.as_object_mut().unwrap().remove("unproved");
        }
        if place.get("twins").is_some() {
            place.as_object_mut().unwrap().remove("whole");
        }
        if place.pointer("/fleets/managed").is_some()
            && let Some(groups) = place.pointer_mut("/groups").and_then(Value::as_object_mut)
        {
            groups.retain(|_, group| group.get("twins").is_none());
        }
        place
    }

    fn examples(key: &Key) -> Vec<Value> {
        match key.shape {
            Shape::Place(inner) => variants(inner),
            _ => vec![example(key)],
        }
    }

    fn example(key: &Key) -> Value {
        match (key.shape, key.need) {
            (Shape::Count { .. } | Shape::Flag, Need::Default(text)) => serde_json::from_str(text).unwrap(),
            (_, Need::Default(text)) => json!(text),
            (Shape::Slug | Shape::Revision, _) => json!("one"),
            (Shape::Count { least, .. }, _) => json!(least),
            (Shape::Span { .. } | Shape::Hold, _) => json!("2s"),
            (Shape::Flag, _) => json!(true),
            (Shape::Choice(words), _) => json!(words[0]),
            (Shape::Path, _) => json!("/"),
            (Shape::Store, _) => json!("s3://team-journal/deployer"),
            (Shape::Address, _) => json!("127.0.0.1:80"),
            (Shape::Digits(count), _) => json!("0".repeat(count)),
            (Shape::Label, _) if key.name == "package" => json!("https://one/{revision}"),
            (Shape::Label, _) if key.name == "image" => json!("one:{revision}"),
            // Declared groups are different ones.
            (Shape::Label, _) if ["alb", "nlb", "clb"].contains(&key.name) => json!(key.name),
            (Shape::Label, _) => json!("s3://one/{revision}"),
            (Shape::Pair, _) => json!(["one", "two"]),
            (Shape::Words, _) => json!(["run"]),
            (Shape::Env, _) => json!({ "A": "b" }),
            (Shape::Steps(step), _) => {
                let mut last = full(step);
                last["share"] = json!(100);
                json!([full(step), last])
            }
            (Shape::Place(inner), _) => full(inner),
            (Shape::Named { place, .. }, _) => {
                let mut named = json!({ "one": full(place) });
                for (number, other) in variants(place).into_iter().enumerate().skip(1) {
                    named[format!("other-{number}")] = other;
                }
                named
            }
        }
    }

    fn check(file: &Value) -> Result<String, String> {
        let text = file.to_string();
        let specs = validate(&Source { name: "full.yaml", text: &text }, &any_value);
        specs.map(|specs| format!("{specs:?}")).map_err(|faults| faults.to_string())
    }

    /// Every key of a file, as JSON pointers.
    fn keys(value: &Value, at: &str, found: &mut Vec<String>) {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, inner)| (format!("{at}/{key}"), inner)).collect(),
            Value::Array(list) => {
                list.iter().enumerate().map(|(n, inner)| (format!("{at}/{n}"), inner)).collect()
            }
            _ => return,
        };
        for (path, inner) in below {
            keys(inner, &path, found);
            found.push(path);
        }
    }

    #[test]
    fn every_key_of_the_table_is_taken_and_read() {
        let file = full(&FILE);
        check(&file).unwrap();
        let mut paths = Vec::new();
        keys(&file, "", &mut paths);
        assert!(paths.len() > 60, "{}", paths.len());
        for path in paths {
            // A mapping in a list of one fits nowhere: whoever reads the key must refuse it.
            let mut broken = file.clone();
            *broken.pointer_mut(&path).unwrap() = json!([{ "fits": "nowhere" }]);
            let refused = check(&broken).is_err();
            assert!(refused, "{path} is in the table, but nobody reads it");
        }
    }

    #[test]
    fn every_default_of_the_table_is_what_the_reader_takes() {
        fn without_defaults(place: &Place, file: &mut Value) {
            for key in place.keys() {
                let Some(value) = file.get_mut(key.name) else { continue };
                match key.shape {
                    _ if matches!(key.need, Need::Default(_)) => {
                        file.as_object_mut().unwrap().remove(key.name);
                    }
                    Shape::Place(inner) => without_defaults(inner, value),
                    Shape::Named { place, .. } => without_defaults(place, &mut value["one"]),
                    Shape::Steps(step) => without_defaults(step, &mut value[0]),
                    _ => {}
                }
            }
        }
        let full = full(&FILE);
        let mut bare = full.clone();
        without_defaults(&FILE, &mut bare);
        let (mut given, mut left) = (Vec::new(), Vec::new());
        keys(&full, "", &mut given);
        keys(&bare, "", &mut left);
        assert!(given.len() > left.len() + 20, "{} and {}", given.len(), left.len());
        assert_eq!(check(&bare).unwrap(), check(&full).unwrap());
    }

    #[test]
    fn every_key_of_the_schema_is_described_and_closed() {
        fn look(schema: &Value, described: &mut usize) {
            if let Some(properties) = schema.get("properties") {
                assert_eq!(schema["additionalProperties"], json!(false));
                for (name, property) in properties.as_object().unwrap() {
                    let text = property["description"].as_str().unwrap_or_default();
                    assert!(text.ends_with('.'), "{name}: {text:?}");
                    *described += 1;
                }
            }
            match schema {
                Value::Object(map) => map.values().for_each(|inner| look(inner, described)),
                Value::Array(list) => list.iter().for_each(|inner| look(inner, described)),
                _ => {}
            }
        }
        let mut described = 0;
        look(&schema(), &mut described);
        assert!(described > 60, "{described}");
    }
}
