//! Deployment files by chance: valid ones broken in small ways, and trees of random words.
//!
//! `FUZZ_CASES=1000000 cargo nextest run --test spec_fuzz` runs longer, `FUZZ_SEED=7` runs another series.

use deployer::spec::{Faults, Source, any_value, schema, validate};
use fastrand::Rng;

const VALID: [&str; 2] = [
    include_str!("../deployments/api.yaml"),
    "service: api
revision: v${TAG}
strategies: {slow: {by: 40, every: promote}, fast: {steps: [{share: 1, hold: 1s}, 100]}}
strategy: fast
deadlines: {drain: 20m, then: hold}
environments:
  one:
    provider: &p {local: {command: [run, '$${A}'], env: {A: \"${B}\"}, groups: {p: {listen: '127.0.0.1:80'}}}}
  two: {provider: *p, bake: promote, instances: 3}
",
];

/// Signs on which YAML and terminals turn.
const SIGNS: [&str; 34] = [
    "\n",
    " ",
    "  ",
    "\t",
    ":",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "!",
    "|",
    ">",
    "'",
    "\"",
    "#",
    "%",
    "---\n",
    "...\n",
    "? ",
    "${",
    "$${",
    "}",
    "\0",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "\r\n",
    "é生",
    "99999999999999999999",
];

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Cuts, doubles, swaps and overwrites parts of a valid file.
fn broken(rng: &mut Rng) -> String {
    let mut text: Vec<char> = VALID[rng.usize(..VALID.len())].chars().collect();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..=text.len());
        let end = at + rng.usize(..=(text.len() - at).min(40));
        let other = rng.usize(..=text.len());
        match rng.u8(..6) {
            0 => text.truncate(at),
            1 => drop(text.drain(at..end)),
            2 => {
                let part = text[at..end].to_vec();
                text.splice(other..other, part);
            }
            3 => drop(text.splice(at..end.min(at + 1), SIGNS[rng.usize(..SIGNS.len())].chars())),
            4 => drop(text.splice(at..at, SIGNS[rng.usize(..SIGNS.len())].chars())),
            _ => {
                let sign = rng.char('\0'..='\u{10ffff}');
                drop(text.splice(at..end.min(at + 1), [sign]));
            }
        }
    }
    text.into_iter().collect()
}

/// A tree of the format's own words in places where they do not belong.
fn tree(rng: &mut Rng, words: &[String], depth: usize, text: &mut String) {
    let values =
        ["1", "100", "10s", "promote", "true", "~", "\"\"", "127.0.0.1:80", "${A}", "/x", "api", "-1", "*a"];
    match if depth == 0 { 0 } else { rng.u8(..4) } {
        0 => text.push_str(values[rng.usize(..values.len())]),
        1 => {
            text.push('[');
            for _ in 0..rng.usize(..4) {
                tree(rng, words, depth - 1, text);
                text.push(',');
            }
            text.push(']');
        }
        _ => {
            text.push_str(if rng.u8(..8) == 0 { "&a {" } else { "{" });
            for _ in 0..rng.usize(..7) {
                text.push_str(&words[rng.usize(..words.len())]);
                text.push_str(": ");
                tree(rng, words, depth - 1, text);
                text.push_str(", ");
            }
            text.push('}');
        }
    }
}

/// Every key of the format, from its schema.
fn words(value: &serde_json::Value, found: &mut Vec<String>) {
    if let Some(keys) = value.get("properties").and_then(|keys| keys.as_object()) {
        found.extend(keys.keys().cloned());
    }
    match value {
        serde_json::Value::Object(map) => map.values().for_each(|inner| words(inner, found)),
        serde_json::Value::Array(list) => list.iter().for_each(|inner| words(inner, found)),
        _ => {}
    }
}

fn judge(text: &str, faults: &Faults) {
    let lines = text.split('\n').count();
    assert!(!faults.faults.is_empty());
    for fault in &faults.faults {
        assert!((1..=lines).contains(&fault.line), "line {} of {lines}", fault.line);
        let line = text.split('\n').nth(fault.line - 1).unwrap_or_default();
        assert!((1..=line.chars().count() + 1).contains(&fault.column), "column {}", fault.column);
        let part = text.get(fault.span.clone()).expect("a span is a part of the file");
        assert!(!part.contains('\n'), "a span stays in its line");
        assert!(
            fault.message.len() < 1_000 && !fault.message.contains(char::is_control),
            "{:?}",
            fault.message
        );
    }
    let said = faults.render(false);
    assert!(said.len() < 300_000, "{} bytes", said.len());
    let moves = |sign: char| (sign.is_control() && sign != '\n') || ('\u{202a}'..='\u{202e}').contains(&sign);
    assert!(!said.contains(moves), "{said:?}");
}

#[test]
fn no_file_makes_the_reader_panic_or_point_outside_it() {
    let mut rng = Rng::with_seed(number("FUZZ_SEED", 20_261_122));
    let mut known = Vec::new();
    words(&schema(), &mut known);
    let (mut good, mut bad) = (0_u64, 0_u64);
    for case in 0..number("FUZZ_CASES", 20_000) {
        let mut text = String::new();
        if case % 3 == 0 {
            tree(&mut rng, &known, 6, &mut text);
        } else {
            text = broken(&mut rng);
        }
        let result = std::panic::catch_unwind(|| {
            match validate(&Source { name: "fuzz.yaml", text: &text }, &any_value) {
                Ok(_) => true,
                Err(faults) => {
                    judge(&text, &faults);
                    false
                }
            }
        });
        match result {
            Ok(true) => good += 1,
            Ok(false) => bad += 1,
            Err(cause) => panic!("case {case} ({cause:?}): {text:?}"),
        }
    }
    assert!(
        good > 0 && bad > good,
        "{good} good and {bad} bad files: the mutations are too tame or too wild"
    );
}
