//! One line → one event: its media type, its key.

use shared::event::NewEvent;

use super::json::{self, Found};

/// Makes the line an event. Returns whether a key was looked for in vain.
pub(super) fn write(line: &[u8], key_field: Option<&str>, event: &mut NewEvent) -> bool {
    event.renew();
    let Ok(text) = std::str::from_utf8(line) else {
        event.set_data("application/octet-stream", line);
        return set_key(event, key_field, None);
    };
    let found = match key_field {
        Some(field) => json::find_key(text, field),
        None if json::is_json(text) => Found::NoKey,
        None => Found::NotJson,
    };
    let content_type = if found == Found::NotJson { "text/plain" } else { "application/json" };
    event.set_data(content_type, line);
    let key = if let Found::Key(key) = &found { Some(key.as_ref()) } else { None };
    set_key(event, key_field, key)
}

fn set_key(event: &mut NewEvent, key_field: Option<&str>, key: Option<&str>) -> bool {
    if key_field.is_some() {
        event.key = key.map(Into::into);
    }
    key_field.is_some() && key.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &[u8], key_field: Option<&str>) -> (NewEvent, bool) {
        let mut event = NewEvent::new("/a", "t").key("before");
        let is_keyless = write(line, key_field, &mut event);
        (event, is_keyless)
    }

    #[test]
    fn a_line_is_json_text_or_bytes() {
        for (line, content_type) in [
            (&b"{\"a\":1}"[..], "application/json"),
            (b"hello", "text/plain"),
            (b"\xff", "application/octet-stream"),
            (b"\"\xff\"", "application/octet-stream"),
        ] {
            let (event, _) = written(line, None);
            assert_eq!(
                (event.content_type.as_deref(), event.data.as_deref()),
                (Some(content_type), Some(line))
            );
        }
    }

    #[test]
    fn the_key_field_makes_the_key_or_there_is_none() {
        for (line, key) in
            [("{\"k\":\"a\"}", Some("a")), ("text", None), ("{\"k\":7}", Some("7")), ("{}", None)]
        {
            let (event, is_keyless) = written(line.as_bytes(), Some("k"));
            assert_eq!(event.key.as_deref(), key.map(str::as_bytes), "{line}");
            assert_eq!(is_keyless, key.is_none(), "{line}");
        }
        let (event, is_keyless) = written(b"{}", None);
        assert_eq!((event.key.as_deref(), is_keyless), (Some(&b"before"[..]), false));
    }
}
