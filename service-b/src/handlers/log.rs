//! The default handler: a line in the log for each event.

use std::borrow::Cow;

use shared::consumer::{Effects, HandleError, Handler};
use shared::event::Event;
use shared::telemetry::Printable;

/// Logs each event: `Received message: event_0`.
#[derive(Debug)]
pub struct Log;

impl Handler for Log {
    type Data = ();

    async fn handle(&self, event: &Event, (): ()) -> Result<Effects, HandleError> {
        let text = readable(event)?;
        tracing::info!(id = %Printable(&event.id()), "Received message: {text}");
        Ok(Effects::none())
    }
}

/// How much of an event's data is shown.
const SHOWN_CHARACTERS: usize = 200;
const SHOWN_BYTES: usize = 16;

/// The data as one line: text as it is, bytes by their length and the first of them. Data that says it is
/// text or JSON has to be.
fn readable(event: &Event) -> Result<String, HandleError> {
    let Some(data) = event.data() else { return Ok("(no data)".to_owned()) };
    let content_type = event.content_type();
    if shared::event::is_json(content_type) {
        // Decoded in full, with a limit on nesting, and thrown away.
        event.json::<serde_json::Value>().map(drop)?;
    } else if content_type.starts_with("text/") {
        event.text_data()?;
    }
    match std::str::from_utf8(data) {
        Ok(text) if !text.contains('\0') => Ok(shortened(text).into_owned()),
        _ => {
            let first: Vec<String> =
                data.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
            let rest = if data.len() > SHOWN_BYTES { " …" } else { "" };
            Ok(format!("{} bytes: {}{rest}", data.len(), first.join(" ")))
        }
    }
}

fn shortened(text: &str) -> Cow<'_, str> {
    let clean = !text.contains(char::is_control);
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        None if clean => Cow::Borrowed(text),
        None => Cow::Owned(Printable(text).to_string()),
        Some((end, _)) => Cow::Owned(format!("{}… ({} bytes)", Printable(&text[..end]), text.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::event::NewEvent;
    use shared::testkit;

    fn shown(content_type: &str, data: &[u8]) -> Result<String, HandleError> {
        readable(&NewEvent::new("/test", "t").data(content_type, data).arrived().expect("an event"))
    }

    #[test]
    fn text_is_shown_as_it_is_and_control_characters_are_not() {
        assert_eq!(shown("text/plain", b"event_0").expect("text"), "event_0");
        assert_eq!(shown("text/plain", b"a\nINFO fake\x1b[2J").expect("text"), "a\\nINFO fake\\u{1b}[2J");
        assert!(shown("text/plain", "x".repeat(1000).as_bytes()).expect("text").ends_with("… (1000 bytes)"));
    }

    #[test]
    fn bytes_are_shown_by_their_length_and_the_first_of_them() {
        let bytes: Vec<u8> = (0..100).map(|i| 255 - i).collect();
        let text = shown("application/octet-stream", &bytes).expect("bytes");
        assert_eq!(text, "100 bytes: ff fe fd fc fb fa f9 f8 f7 f6 f5 f4 f3 f2 f1 f0 …");
    }

    #[test]
    fn data_that_is_not_what_it_says_is_a_permanent_failure() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let cases = [
            ("text/plain", b"\xff".as_slice()),
            ("application/json", b"{\"a\":"),
            ("a/b+json", deep.as_bytes()),
        ];
        for (content_type, data) in cases {
            let event = NewEvent::new("/test", "t").data(content_type, data);
            assert!(matches!(testkit::handle(Log, event), Err(HandleError::Permanent(_))), "{content_type}");
        }
    }
}
