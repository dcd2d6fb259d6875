//! What the official SDKs say of every operation: where it is asked for, what it takes and where that travels, and what
//! its answer may have in it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

/// One product.
#[derive(Debug, Deserialize)]
pub struct Wire {
    pub version: String,
    pub operations: BTreeMap<String, Shape>,
}

/// One operation. A parameter is `Path.Of[].Names:type`, where the type is `s`, `i`, `b` or `f`.
#[derive(Debug, Deserialize)]
pub struct Shape {
    pub method: String,
    pub path: String,
    pub needs: Vec<String>,
    pub query: Vec<String>,
    #[serde(default)]
    pub form: Vec<String>,
    pub reply: Value,
}

macro_rules! wire {
    ($($name:ident $file:literal)*) => {
        $(pub static $name: LazyLock<Wire> = LazyLock::new(|| {
            serde_json::from_str(include_str!(concat!("wire/", $file, ".json"))).expect("a file of this shape")
        });)*
    };
}

wire! { EDAS "edas" ALB "alb" NLB "nlb" CLB "clb" ESS "ess" ECS "ecs" STS "sts" }

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    Unknown(String),
    Misplaced(String),
    Illegible(String),
    Missing(String),
}

impl Shape {
    /// The first thing that is wrong with what was sent in the query and in the form.
    pub fn wrong(&self, query: &Value, form: &Value) -> Option<Wrong> {
        let mut wrong = check(query, &self.query, &self.form);
        wrong.extend(check(form, &self.form, &self.query));
        let given = |name: &&String| {
            [query, form]
                .iter()
                .any(|tree| tree.get(name.as_str()).is_some_and(|value| *value != Value::Null))
        };
        let missing = self.needs.iter().find(|name| !given(name)).map(|name| Wrong::Missing(name.clone()));
        wrong.into_iter().next().or(missing)
    }

    /// Whatever an answer has that no client would read, or in another type.
    pub fn strange(&self, reply: &Value) -> Vec<String> {
        let mut found = Vec::new();
        compare(reply, &self.reply, String::new(), &mut found);
        found
    }
}

fn kind<'a>(path: &str, known: &'a [String]) -> Option<&'a str> {
    let mut pairs = known.iter().filter_map(|line| line.rsplit_once(':'));
    pairs.find(|(name, _)| *name == path).map(|(_, kind)| kind)
}

fn check(tree: &Value, known: &[String], elsewhere: &[String]) -> Vec<Wrong> {
    let mut leaves = Vec::new();
    collect(tree, String::new(), &mut leaves);
    let wrong = |(path, text): (String, String)| match kind(&path, known) {
        None if kind(&path, elsewhere).is_some() => Some(Wrong::Misplaced(path)),
        None => Some(Wrong::Unknown(path)),
        Some("i") if text.parse::<i64>().is_err() => Some(Wrong::Illegible(path)),
        Some("b") if !matches!(text.as_str(), "true" | "false" | "True" | "False") => {
            Some(Wrong::Illegible(path))
        }
        Some(_) => None,
    };
    leaves.into_iter().filter_map(wrong).collect()
}

fn collect(value: &Value, at: String, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                collect(inner, path, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, format!("{at}[]"), found)),
        Value::String(text) => found.push((at, text.clone())),
        other => found.push((at, other.to_string())),
    }
}

fn compare(value: &Value, shape: &Value, at: String, found: &mut Vec<String>) {
    let fits = match (value, shape) {
        (Value::Object(fields), Value::Object(shapes)) => {
            for (name, inner) in fields {
                match shapes.get(name) {
                    Some(shape) => compare(inner, shape, format!("{at}.{name}"), found),
                    None => found.push(format!("{at}.{name}")),
                }
            }
            true
        }
        (Value::Array(list), Value::Array(shapes)) => {
            let shape = shapes.first().unwrap_or(&Value::Null);
            for inner in list {
                compare(inner, shape, format!("{at}[]"), found);
            }
            true
        }
        (Value::String(_), Value::String(kind)) => kind == "s",
        (Value::Number(_), Value::String(kind)) => kind == "i" || kind == "f",
        (Value::Bool(_), Value::String(kind)) => kind == "b",
        (Value::Object(_), Value::String(kind)) => kind == "*",
        _ => false,
    };
    if !fits {
        found.push(at);
    }
}

/// What came as text, or otherwise, in the types that an answer has.
pub fn typed(value: Value, shape: &Value) -> Value {
    match (value, shape) {
        (Value::Object(fields), Value::Object(shapes)) => {
            let known = fields.into_iter();
            let typed = known.map(|(name, inner)| {
                let shape = shapes.get(&name).unwrap_or(&Value::Null);
                (name, typed(inner, shape))
            });
            Value::Object(typed.collect())
        }
        (Value::Array(list), Value::Array(shapes)) => {
            let shape = shapes.first().unwrap_or(&Value::Null);
            Value::Array(list.into_iter().map(|inner| typed(inner, shape)).collect())
        }
        (Value::String(text), Value::String(kind)) if kind == "i" => {
            text.parse::<i64>().map_or(Value::String(text), Value::from)
        }
        (Value::String(text), Value::String(kind)) if kind == "b" => Value::Bool(text == "true"),
        (Value::Number(number), Value::String(kind)) if kind == "s" => Value::String(number.to_string()),
        (other, _) => other,
    }
}

/// A query or a form as a tree.
pub fn tree(text: &str) -> Value {
    super::input::from_form(text.as_bytes())
}
