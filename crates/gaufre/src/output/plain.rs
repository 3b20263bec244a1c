//! What images, registries and users choose as text, shown so that it works no terminal.

use std::borrow::Cow;

/// `text` in one line: what works a terminal or misleads a reader is shown as Rust would write it.
pub(crate) fn in_one_line(text: &str) -> Cow<'_, str> {
    escape(text, is_wild)
}

/// The same, but lines and tabs stay.
pub(super) fn in_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_wild(c) && c != '\n' && c != '\t')
}

/// Whether a character acts instead of being seen: control characters (ECMA-48's are in seven bits and in eight), and
/// what changes the order of the others, breaks the line, or is not seen at all (Unicode 16, categories Cf without the
/// signs that are seen, Zl and Zp).
fn is_wild(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}'
        )
}

fn escape(text: &str, wild: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wild) {
        return Cow::Borrowed(text);
    }
    let mut tame = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if wild(c) { tame.extend(c.escape_default()) } else { tame.push(c) }
    }
    Cow::Owned(tame)
}

/// JSON that means the same: RFC 8259 lets all but the first 32 characters stand in strings as they are.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    // Those first 32 are the serializer's: as escapes in strings, or as white space of its own.
    let wild = |c: char| is_wild(c) && !c.is_ascii_control() || c == '\u{7f}';
    if !text.contains(wild) {
        return Cow::Borrowed(text);
    }
    let mut tame = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if wild(c) {
            // Beyond the first 65536, as two surrogates.
            for unit in c.encode_utf16(&mut [0; 2]) {
                tame.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            tame.push(c);
        }
    }
    Cow::Owned(tame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(in_one_line("a\u{1b}[2J\u{9b}31m\r\n\u{7f}ä"), r"a\u{1b}[2J\u{9b}31m\r\n\u{7f}ä");
        assert_eq!(in_lines("a\tb\n\u{7}"), "a\tb\n\\u{7}");
        assert_eq!(in_one_line("plain"), "plain");
    }

    #[test]
    fn what_misleads_a_reader_is_shown() {
        assert_eq!(
            in_one_line("a\u{202e}b\u{200b}c\u{2066}d\u{feff}"),
            r"a\u{202e}b\u{200b}c\u{2066}d\u{feff}"
        );
        assert_eq!(in_lines("a\u{2028}b\u{e0041}\n"), "a\\u{2028}b\\u{e0041}\n");
        assert_eq!(in_one_line("žluťoučký ئ 日本 😀 e\u{301}"), "žluťoučký ئ 日本 😀 e\u{301}");
    }

    #[test]
    fn json_means_what_it_meant() {
        let text = serde_json::json!({"a\u{9b}": "\u{7f}\u{1b}ä\n", "b": "\u{202e}\u{e0041}"}).to_string();
        let tame = json(&text);
        assert!(!tame.contains(is_wild), "{tame}");
        let same: (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&tame).unwrap(), serde_json::from_str(&text).unwrap());
        assert_eq!(same.0, same.1);
    }
}
