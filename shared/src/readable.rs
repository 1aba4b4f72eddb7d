//! Bytes as people read them: JSON laid out, text as it is, hexadecimal otherwise. Nothing in them reaches the terminal
//! as a control character.

use std::fmt::Write as _;

use serde::de::IgnoredAny;

use crate::telemetry::Printable;

/// How many bytes a line of hexadecimal shows.
const A_LINE: usize = 16;

/// How much of long data is shown: more says nothing on a terminal.
const TEXT: usize = 64 * 1024;
const BYTES: usize = 4 * 1024;

/// The data in lines, without the last line's end; what is too long is cut, and that is said.
pub fn readable(data: &[u8]) -> String {
    let (mut shown, length) = match std::str::from_utf8(data) {
        Ok(text) => text_or_json(text),
        Err(_) => (hexadecimal(&data[..data.len().min(BYTES)]), data.len().min(BYTES)),
    };
    if length < data.len() {
        // Writing to a string does not fail.
        let _ = write!(shown, "\n({} bytes more: --output json has them)", data.len() - length);
    }
    shown
}

fn text_or_json(text: &str) -> (String, usize) {
    let length = text.floor_char_boundary(TEXT);
    let is_json = length == text.len()
        && text.starts_with(['{', '['])
        && serde_json::from_str::<IgnoredAny>(text).is_ok();
    let laid_out = if is_json { lay_out(text) } else { text[..length].to_owned() };
    let lines: Vec<String> = laid_out.lines().map(|line| Printable(line).to_string()).collect();
    (lines.join("\n"), length)
}

/// The same in one line of so many characters at most.
pub fn in_a_line(data: &[u8], most: usize) -> String {
    let Ok(text) = std::str::from_utf8(data) else { return format!("{} bytes", data.len()) };
    let shown: String = text.chars().take(most).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{}{more}", Printable(&shown))
}

/// Ends lines and indents, and leaves each token as it is: a number keeps its digits, an object its order. Of what is
/// JSON.
fn lay_out(json: &str) -> String {
    let (mut out, mut depth, mut is_text, mut is_escaped) =
        (String::with_capacity(json.len() * 2), 0_usize, false, false);
    let mut tokens = json.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(token) = tokens.next() {
        if is_text {
            out.push(token);
            is_text = token != '"' || is_escaped;
            is_escaped = token == '\\' && !is_escaped;
            continue;
        }
        match token {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                out.push(token);
                while tokens.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = tokens.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(token);
            }
            ',' => {
                out.push(token);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => {
                is_text = other == '"';
                out.push(other);
            }
        }
    }
    out
}

fn hexadecimal(data: &[u8]) -> String {
    let mut out = String::new();
    for (number, line) in data.chunks(A_LINE).enumerate() {
        let end = if number == 0 { "" } else { "\n" };
        // Writing to a string does not fail.
        let _ = write!(out, "{end}{:08x} ", number * A_LINE);
        for byte in line {
            let _ = write!(out, " {byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn json_is_laid_out_and_keeps_every_digit() {
        let shown = readable(br#"{"b":12345678901234567890123, "a":[],"c":{"d":["x","{y:\"z\\"]} }"#);
        let wanted = "{\n  \"b\": 12345678901234567890123,\n  \"a\": [],\n  \"c\": {\n    \"d\": [\n      \"x\",\n      \
                      \"{y:\\\"z\\\\\"\n    ]\n  }\n}";
        assert_eq!(shown, wanted);
    }

    /// Catches: an escape sequence that reaches the terminal, in text or in JSON's strings.
    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(readable("a\u{1b}[2J\r\nb".as_bytes()), "a\\u{1b}[2J\nb");
        assert_eq!(readable("[\"\u{9b}\u{7f}\"]".as_bytes()), "[\n  \"\\u{9b}\\u{7f}\"\n]");
        assert_eq!(in_a_line("a\nb".as_bytes(), 9), "a\\nb");
        assert_eq!(in_a_line("äöü".as_bytes(), 2), "äö…");
    }

    #[test]
    fn what_is_no_text_is_hexadecimal() {
        assert_eq!(readable(&[0xff, 0x00]), "00000000  ff 00");
        assert_eq!(readable(&[0xff; 17]).lines().count(), 2);
    }

    #[test]
    fn what_is_long_is_cut_between_two_characters() {
        let said = "bytes more: --output json has them)";
        assert_eq!(readable(&[0xff; 5000]).lines().last(), Some(format!("(904 {said}").as_str()));
        let long = "é".repeat(40_000);
        assert_eq!(readable(long.as_bytes()).lines().last(), Some(format!("(14464 {said}").as_str()));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(Into::into),
            ".{0,6}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                vec((".{0,4}", inner), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// Catches: layout inside of a string, a token that is lost.
        #[test]
        fn laid_out_it_says_the_same(value in json()) {
            let laid_out = lay_out(&value.to_string());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&laid_out).expect("JSON"), value);
        }

        #[test]
        fn no_bytes_are_too_much(data in vec(any::<u8>(), 0..60)) {
            prop_assert!(!readable(&data).chars().any(|c| c.is_control() && c != '\n'));
            prop_assert!(!in_a_line(&data, 20).chars().any(char::is_control));
        }
    }
}
