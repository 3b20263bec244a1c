//! What images, registries and users choose as text, shown so that it works no terminal.

use std::borrow::Cow;

/// `text` in one line: every control character (ECMA-48's are in seven bits and in eight) as Rust would write it.
pub(crate) fn in_one_line(text: &str) -> Cow<'_, str> {
    escape(text, char::is_control)
}

/// The same, but lines and tabs stay.
pub(super) fn in_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| c.is_control() && c != '\n' && c != '\t')
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

/// JSON that means the same: RFC 8259 lets the control characters after the first 32 stand in strings as they are.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut tame = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => tame.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => tame.push(c),
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
    fn json_means_what_it_meant() {
        let text = serde_json::json!({"a\u{9b}": "\u{7f}\u{1b}ä\n"}).to_string();
        let tame = json(&text);
        assert!(!tame.contains(char::is_control), "{tame}");
        let same: (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&tame).unwrap(), serde_json::from_str(&text).unwrap());
        assert_eq!(same.0, same.1);
    }
}
