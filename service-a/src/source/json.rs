//! Is a line JSON, and which key does its object hold?

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Whether the whole line is one JSON value.
pub(super) fn is_json(line: &str) -> bool {
    can_be_json(line) && serde_json::from_str::<IgnoredAny>(line).is_ok()
}

/// The first byte rules most text out before anything is parsed.
fn can_be_json(line: &str) -> bool {
    let first = line.bytes().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
}

/// What a line is, for who looks for a key in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// No JSON.
    NotJson,
    /// JSON without that field, or with one that is no string, number or truth value.
    NoKey,
    Key(Cow<'a, str>),
}

/// Checks a line and finds the key in one pass.
pub(super) fn find_key<'a>(line: &'a str, field: &str) -> Found<'a> {
    if !line.trim_start().starts_with('{') {
        return if is_json(line) { Found::NoKey } else { Found::NotJson };
    }
    let mut parser = serde_json::Deserializer::from_str(line);
    match parser.deserialize_map(Object { field }).and_then(|value| parser.end().map(|()| value)) {
        Ok(value) => value.and_then(|value| key_text(value.get())).map_or(Found::NoKey, Found::Key),
        Err(_) => Found::NotJson,
    }
}

/// A string as its text, a number or a truth value as its JSON text.
fn key_text(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => match serde_json::from_str::<&str>(value) {
            Ok(text) => Some(Cow::Borrowed(text)),
            // With escapes there is nothing to borrow.
            Err(_) => serde_json::from_str::<String>(value).ok().map(Cow::Owned),
        },
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(value)),
    }
}

/// Walks over an object; the last field of that name counts.
struct Object<'f> {
    field: &'f str,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Name { field: self.field })? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a field's name without keeping it.
struct Name<'f> {
    field: &'f str,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<bool, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_json_from_text() {
        for line in [r#"{"a":1}"#, " [1, 2] ", "1", "-1.5e3", "\"x\"", "true", "null", "{}"] {
            assert!(is_json(line), "{line}");
        }
        for line in ["event_0", "{a}", "1 2", "trueish", "", " ", "nope", "{\"a\":1} x", "[1", "\"\u{1}\""] {
            assert!(!is_json(line), "{line}");
        }
    }

    #[test]
    fn finds_the_key() {
        for (line, key) in [
            (r#"{"x":{"id":0},"id":"anna"}"#, "anna"),
            (r#" {"\u0069d":"a\nb"}"#, "a\nb"),
            (r#"{"id":1.50}"#, "1.50"),
            (r#"{"id":true}"#, "true"),
            (r#"{"id":""}"#, ""),
            (r#"{"id":1,"id":2}"#, "2"),
        ] {
            assert_eq!(find_key(line, "id"), Found::Key(key.into()), "{line}");
        }
        for line in [r#"{"id":null}"#, r#"{"id":[1]}"#, r#"{"id":{}}"#, "{}", "[1]", "7"] {
            assert_eq!(find_key(line, "id"), Found::NoKey, "{line}");
        }
        for line in [r#"{"id":1"#, r#"{"id":1} x"#, "id", r#"{"id":nope}"#] {
            assert_eq!(find_key(line, "id"), Found::NotJson, "{line}");
        }
    }
}
