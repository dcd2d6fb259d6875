//! The parameters of one call, whichever protocol they came by, as one tree.

use serde_json::{Map, Value};

use super::service::{Answer, ApiError};

/// Pages of a listing.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    /// How the caller names the place to go on.
    pub token: &'static str,
    /// How the caller names the size of a page.
    pub size: &'static str,
    /// How the answer names the place to go on.
    pub next: &'static str,
    /// The error of a token that was never given out.
    pub refusal: &'static str,
    /// The largest page.
    pub most: usize,
}

/// The parameters of one call.
#[derive(Debug, Clone)]
pub struct Input {
    pub action: String,
    pub tree: Value,
}

impl Input {
    pub fn text(&self, name: &str) -> Option<&str> {
        text(&self.tree, name)
    }

    pub fn need(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(|| {
            ApiError::new("ValidationError", format!("1 validation error detected: {name} must not be null"))
        })
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        list(&self.tree, name)
    }

    pub fn items(&self, name: &str) -> &[Value] {
        items(&self.tree, name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.tree.get(name).is_some()
    }

    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        number(&self.tree, name)
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.tree.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(other) => Err(ApiError::new("ValidationError", format!("{name} is no boolean: {other}"))),
        }
    }

    /// One page of `all`, with the token of the next. `limit` is the page of this test, if it wants small ones.
    pub fn page(&self, paging: Paging, limit: Option<usize>, all: Vec<Value>, key: &str) -> Answer {
        let asked = self.number(paging.size)?;
        if asked.is_some_and(|size| size == 0 || size > paging.most as u64) {
            return Err(ApiError::new("ValidationError", format!("{} is out of range", paging.size)));
        }
        let start = match self.text(paging.token) {
            None | Some("") => 0,
            Some(token) => token
                .strip_prefix(&format!("{}-", self.action))
                .and_then(|at| at.parse::<usize>().ok())
                .filter(|at| *at <= all.len())
                .ok_or_else(|| ApiError::new(paging.refusal, format!("the token {token} is not valid")))?,
        };
        let size = asked.map_or(paging.most, |size| usize::try_from(size).unwrap_or(paging.most));
        // A page may be shorter than asked for although more follows.
        let size = limit.map_or(size, |limit| size.min(limit)).max(1);
        let end = (start + size).min(all.len());
        let more = end < all.len();
        let page = all.into_iter().skip(start).take(end - start).collect();
        let mut answer = Map::new();
        answer.insert(key.to_owned(), Value::Array(page));
        if more {
            answer.insert(paging.next.to_owned(), Value::String(format!("{}-{end}", self.action)));
        }
        Ok(Value::Object(answer))
    }

    /// The paths of all parameters, list positions left out: `Filters[].Name`.
    pub fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.tree, String::new(), &mut found);
        found
    }
}

fn collect(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if fields.is_empty() => found.push(at),
        Value::Object(fields) => {
            for (name, inner) in fields {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                collect(inner, path, found);
            }
        }
        Value::Array(list) if list.is_empty() => found.push(format!("{at}[]")),
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, format!("{at}[]"), found)),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push(at),
    }
}

pub fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

pub fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub fn list(value: &Value, name: &str) -> Vec<String> {
    items(value, name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub fn number(value: &Value, name: &str) -> Result<Option<u64>, ApiError> {
    let refused = || ApiError::new("ValidationError", format!("{name} is no number in range"));
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => number.as_u64().map(Some).ok_or_else(refused),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| refused()),
        Some(_) => Err(refused()),
    }
}

/// Reads a form body: `Filters.member.1.Name=…` and `Filter.1.Name=…` become trees with lists.
pub fn from_form(body: &[u8]) -> Value {
    let mut tree = Value::Object(Map::new());
    for (name, value) in pairs(body) {
        let path: Vec<&str> = name.split('.').filter(|part| *part != "member").collect();
        insert(&mut tree, &path, value);
    }
    settle(tree)
}

fn insert(at: &mut Value, path: &[&str], value: String) {
    let Some((first, rest)) = path.split_first() else {
        *at = Value::String(value);
        return;
    };
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    if let Value::Object(fields) = at {
        insert(fields.entry((*first).to_owned()).or_insert(Value::Null), rest, value);
    }
}

/// Turns maps whose keys are 1, 2, 3 … into lists.
fn settle(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let listed = !fields.is_empty() && fields.keys().all(|key| key.parse::<usize>().is_ok());
    if !listed {
        return Value::Object(fields.into_iter().map(|(name, inner)| (name, settle(inner))).collect());
    }
    let mut numbered: Vec<(usize, Value)> =
        fields.into_iter().filter_map(|(at, inner)| Some((at.parse().ok()?, settle(inner)))).collect();
    numbered.sort_by_key(|(at, _)| *at);
    Value::Array(numbered.into_iter().map(|(_, inner)| inner).collect())
}

/// The names and values of a query or a form.
pub fn pairs(body: &[u8]) -> Vec<(String, String)> {
    let pieces = body.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    let split = |piece: &[u8]| {
        let at = piece.iter().position(|byte| *byte == b'=').unwrap_or(piece.len());
        let (name, value) = piece.split_at(at);
        (decoded(name), decoded(value.get(1..).unwrap_or_default()))
    };
    pieces.map(split).collect()
}

fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let hex = std::str::from_utf8(&digits).ok();
                bytes.extend(hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
