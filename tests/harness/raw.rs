//! Records as they are on the wire.

/// A record's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raw {
    /// Null and empty differ.
    pub key: Option<Vec<u8>>,
    /// Null and empty differ.
    pub value: Option<Vec<u8>>,
    /// In order, names as bytes.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Raw {
    /// A record with key and value.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), value: Some(value.into()), headers: Vec::new() }
    }

    /// With one more header.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), Some(value.as_ref().to_vec())));
        self
    }

    /// With more headers.
    pub fn with(mut self, headers: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The last header of that name, as text.
    pub fn text(&self, name: &str) -> Option<String> {
        let value = self.headers.iter().rev().find(|(of, _)| of == name.as_bytes())?.1.as_ref()?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The value, as text.
    pub fn value_text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// A record and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// What stands there.
    pub record: Raw,
}

/// The headers that an event in binary mode must have, as a foreign client would write them.
pub fn event_headers(id: &str, ty: &str) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    [("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "/tests"), ("ce_type", ty)]
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())))
        .collect()
}
