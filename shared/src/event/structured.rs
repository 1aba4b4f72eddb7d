//! Structured mode: the whole event as one JSON object in the value (CloudEvents JSON format 1.0).

use std::collections::BTreeMap;

use base64::Engine;
use serde_json::value::RawValue;

use super::headers::VERSION;

/// An event that came as a JSON object, taken apart.
#[derive(Debug)]
pub(super) struct Structured {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) ty: String,
    pub(super) content_type: String,
    pub(super) data: Option<Vec<u8>>,
    /// Every other attribute, `time` and `subject` among them, as text.
    pub(super) extensions: BTreeMap<String, String>,
}

impl Structured {
    pub(super) fn parse(media_type: &str, value: &[u8]) -> Result<Self, String> {
        let format = media_type.split(';').next().unwrap_or_default().trim();
        if !format.eq_ignore_ascii_case("application/cloudevents+json") {
            return Err("an event format other than application/cloudevents+json".to_owned());
        }
        let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(value)
            .map_err(|error| format!("the value is not a JSON object as its content type says: {error}"))?;
        if take(&mut members, "specversion")? != VERSION {
            return Err(format!("unknown specversion: only {VERSION} is spoken here"));
        }
        let id = take(&mut members, "id")?;
        let source = take(&mut members, "source")?;
        let ty = take(&mut members, "type")?;
        let content_type = match members.remove("datacontenttype") {
            Some(raw) => text(&raw).ok_or("datacontenttype is not a string")?,
            None => "application/json".to_owned(),
        };
        let data = data(&mut members, &content_type)?;
        let extensions = members.iter().filter_map(|(name, raw)| Some((name.clone(), plain(raw)?))).collect();
        Ok(Self { id, source, ty, content_type, data, extensions })
    }
}

/// Section 3.1 of the JSON format: JSON data stands there as it is, text as a string, bytes as base64.
fn data(
    members: &mut BTreeMap<String, Box<RawValue>>,
    content_type: &str,
) -> Result<Option<Vec<u8>>, String> {
    let (json, encoded) = (members.remove("data"), members.remove("data_base64"));
    match (json.filter(|raw| raw.get() != "null"), encoded) {
        (Some(_), Some(_)) => Err("both data and data_base64".to_owned()),
        (None, None) => Ok(None),
        (Some(raw), None) => Ok(Some(match text(&raw).filter(|_| !is_json(content_type)) {
            Some(text) => text.into_bytes(),
            None => raw.get().as_bytes().to_vec(),
        })),
        (None, Some(raw)) => {
            let encoded = text(&raw).ok_or("data_base64 is not a string")?;
            let decoded = base64::engine::general_purpose::STANDARD.decode(encoded);
            decoded.map(Some).map_err(|error| format!("data_base64: {error}"))
        }
    }
}

/// `application/json`, `text/json` and every `…+json`, whatever parameters follow.
pub fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

fn take(members: &mut BTreeMap<String, Box<RawValue>>, name: &str) -> Result<String, String> {
    let value = members.remove(name).and_then(|raw| text(&raw)).filter(|text| !text.is_empty());
    value.ok_or_else(|| format!("the required attribute {name} is missing, empty or not a string"))
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// Extensions may be strings, numbers or booleans; null is "not there".
fn plain(raw: &RawValue) -> Option<String> {
    (raw.get() != "null").then(|| text(raw).unwrap_or_else(|| raw.get().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEDIA_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

    fn parse(extra: &str) -> Result<Structured, String> {
        let json = format!(r#"{{"specversion":"1.0","id":"1","source":"/a","type":"t"{extra}}}"#);
        Structured::parse(MEDIA_TYPE, json.as_bytes())
    }

    #[test]
    fn json_data_keeps_its_bytes() {
        let event =
            parse(r#","data":{"b" : 1.0, "a":[]},"n":3,"time":"2026-01-01T00:00:00Z""#).expect("event");
        assert_eq!(event.data.as_deref(), Some(br#"{"b" : 1.0, "a":[]}"#.as_slice()));
        assert_eq!(event.extensions["n"], "3");
    }

    #[test]
    fn text_and_bytes_come_out_as_they_were() {
        let text = parse(r#","datacontenttype":"text/plain","data":"a\nb""#).expect("event");
        assert_eq!(text.data.as_deref(), Some(b"a\nb".as_slice()));
        let bytes = parse(r#","datacontenttype":"image/png","data_base64":"AP8=""#).expect("event");
        assert_eq!(bytes.data.as_deref(), Some([0, 255].as_slice()));
        assert_eq!(parse("").expect("event").data, None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(parse(r#","data":1,"data_base64":"AA==""#).expect_err("both").contains("both"));
        assert!(Structured::parse(MEDIA_TYPE, b"{").expect_err("cut").contains("JSON"));
        let batch = Structured::parse("application/cloudevents-batch+json", b"[]");
        assert!(batch.expect_err("a batch").contains("format"));
    }

    /// The envelope is read without recursion; the handler that decodes the data meets `serde_json`'s limit.
    #[test]
    fn deep_data_does_not_overflow_the_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let event = parse(&format!(",\"data\":{deep}")).expect("event");
        assert_eq!(event.data, Some(deep.into_bytes()));
    }
}
