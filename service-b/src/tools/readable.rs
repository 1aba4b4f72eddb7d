//! Data as people can read it, and as no terminal obeys it.

use serde::de::IgnoredAny;
use shared::desk::Bytes;
use shared::telemetry::Printable;

/// How much is shown of text, in bytes.
const TEXT: usize = 64 * 1024;
/// And of other bytes.
const BYTES: usize = 4 * 1024;
/// How many of them in a line.
const EACH: usize = 16;

/// JSON with a line for each member, other text line by line, the rest in hexadecimal. What is very long is cut.
pub(super) fn lines(data: &Bytes) -> Vec<String> {
    let (mut lines, shown) = data.text().map_or_else(|| hexadecimal(&data.0), text);
    if shown < data.0.len() {
        lines.push(format!("({} bytes more: --output json has them)", data.0.len() - shown));
    }
    lines
}

/// Lines, and of how many bytes they are.
fn text(text: &str) -> (Vec<String>, usize) {
    let shown = text.floor_char_boundary(TEXT);
    let is_json = shown == text.len() && serde_json::from_str::<IgnoredAny>(text).is_ok();
    let text = if is_json { indented(text) } else { text[..shown].to_owned() };
    (text.lines().map(|line| Printable(line).to_string()).collect(), shown)
}

fn hexadecimal(bytes: &[u8]) -> (Vec<String>, usize) {
    let shown = bytes.len().min(BYTES);
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    (bytes[..shown].chunks(EACH).map(line).collect(), shown)
}

/// JSON with other blanks between its parts: numbers, texts and the order of members stay as they were sent.
fn indented(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', 2 * depth));
    };
    let mut rest = json.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            text.push(c);
            (in_string, escaped) = (c != '"' || escaped, c == '\\' && !escaped);
            continue;
        }
        match c {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                text.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if !matches!(rest.peek(), Some('}' | ']')) {
                    depth += 1;
                    line(&mut text, depth);
                } else if let Some(end) = rest.next() {
                    text.push(end);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            '"' => {
                text.push(c);
                in_string = true;
            }
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data: &[u8]) -> Vec<String> {
        lines(&Bytes(data.to_vec()))
    }

    /// Catches: numbers that are rounded, members in another order.
    #[test]
    fn json_has_a_line_for_each_member_and_stays_as_it_was_sent() {
        let json = br#"{"b": 1.10,"a":[ ],"c":{"d\"{":["x , y",12345678901234567890]}, "e": {}}"#;
        let expected = [
            "{",
            r#"  "b": 1.10,"#,
            r#"  "a": [],"#,
            r#"  "c": {"#,
            r#"    "d\"{": ["#,
            r#"      "x , y","#,
            "      12345678901234567890",
            "    ]",
            "  },",
            r#"  "e": {}"#,
            "}",
        ];
        assert_eq!(shown(json), expected);
        assert_eq!(indented(&expected.join("\n")), expected.join("\n"));
    }

    /// Catches: what others wrote, obeyed by the terminal of who looks at it.
    #[test]
    fn no_terminal_obeys_what_is_shown() {
        for data in ["a\u{1b}[2J\nb\u{9b}", "{\"a\": \"\u{7f}\u{9b}\"}"] {
            assert!(shown(data.as_bytes()).iter().all(|line| !line.contains(char::is_control)), "{data:?}");
        }
        assert_eq!(shown("a\nb".as_bytes()), ["a", "b"]);
    }

    #[test]
    fn what_is_no_text_is_hexadecimal_and_what_is_long_is_cut() {
        assert_eq!(shown(&[0xff, 0, 10]), ["ff 00 0a"]);
        let long = shown(&vec![0xff; 5000]);
        assert_eq!((long.len(), long[256].as_str()), (257, "(904 bytes more: --output json has them)"));
        let long = shown("é".repeat(40_000).as_bytes());
        assert_eq!(long[1], "(14464 bytes more: --output json has them)");
        assert!(shown(b"").is_empty());
    }
}
