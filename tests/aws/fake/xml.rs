//! Trees as XML, the way the two Query protocols write them.

use serde_json::Value;

/// The XML of a tree; the items of a list are elements called `item`.
pub fn write(tree: &Value, item: &str) -> String {
    let mut out = String::new();
    inner(tree, item, &mut out);
    out
}

fn inner(tree: &Value, item: &str, out: &mut String) {
    match tree {
        Value::Null => {}
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => out.push_str(&escaped(text)),
        Value::Array(list) => list.iter().for_each(|one| element(item, one, item, out)),
        Value::Object(fields) => {
            fields
                .iter()
                .filter(|(_, one)| !one.is_null())
                .for_each(|(name, one)| element(name, one, item, out));
        }
    }
}

fn element(name: &str, tree: &Value, item: &str, out: &mut String) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    inner(tree, item, out);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
