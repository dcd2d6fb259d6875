//! The one place where foreign text is made harmless.

use unicode_width::UnicodeWidthChar as _;

/// Longer foreign texts are cut: a reason is a line, not a page.
pub(super) const BRIEF_MAX: usize = 240;

/// Makes a text from a file or a cloud safe to print: what moves a cursor, turns the reading direction or cannot be
/// seen is written out as `\u{1b}`, a line end as `\n`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if visible(c) {
            safe.push(c);
        } else {
            safe.extend(c.escape_default());
        }
    }
    safe
}

/// The text, cut to a length that fits a report.
pub(super) fn brief(text: &str) -> String {
    match text.char_indices().nth(BRIEF_MAX) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.trim_end().to_owned(),
    }
}

/// A JSON text in which nothing invisible stands either. Outside strings JSON is plain ASCII, so every such sign is
/// inside one, where it may be written as its code; the value stays the same.
pub(super) fn escape_json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if visible(c) || c == '\n' {
            safe.push(c);
        } else {
            let mut units = [0; 2];
            safe.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    safe
}

fn visible(c: char) -> bool {
    let ranges = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !ranges && c.width().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signs that have done harm, among ordinary ones.
    const SIGNS: &[char] = &[
        'a',
        ' ',
        '`',
        '组',
        'é',
        '\u{1b}',
        '\n',
        '\r',
        '\t',
        '\0',
        '\u{7f}',
        '\u{9b}',
        '\u{202e}',
        '\u{2066}',
        '\u{200b}',
        '\u{feff}',
        '\u{e0041}',
        '\u{2028}',
        '\u{300}',
    ];

    fn hostile(random: &mut fastrand::Rng) -> String {
        let len = random.usize(0..40);
        let sign = |random: &mut fastrand::Rng| {
            if random.bool() { random.choice(SIGNS).copied().unwrap_or('x') } else { random.char(..) }
        };
        (0..len).map(|_| sign(random)).collect()
    }

    #[test]
    fn whatever_goes_in_nothing_comes_out_that_moves_a_cursor_or_hides() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let text = hostile(&mut random);
            let safe = escape(&text);
            assert!(safe.chars().all(visible), "{text:?} became {safe:?}");
            assert_eq!(escape(&safe), safe, "escaping twice changes nothing more");
        }
    }

    #[test]
    fn an_escaped_json_text_means_the_same() {
        let mut random = fastrand::Rng::with_seed(8);
        for _ in 0..20_000 {
            let text = hostile(&mut random);
            let json = escape_json(&serde_json::to_string(&text).unwrap());
            assert!(json.chars().all(visible), "{json:?}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn ordinary_text_of_any_language_is_left_as_it_is() {
        for text in ["Target.FailedHealthChecks", "生产组", "100 % – `a`", "déjà vu"] {
            assert_eq!(escape(text), text);
        }
        assert_eq!(escape("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
    }

    #[test]
    fn a_long_text_is_cut_at_a_letter() {
        let cut = brief(&"组".repeat(BRIEF_MAX + 1));
        assert_eq!(cut.chars().count(), BRIEF_MAX + 1);
        assert!(cut.ends_with('…'));
    }
}
