//! A librdkafka setting that the user passes through.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// `key=value`. The value may be a secret, so that nothing here ever prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    key: String,
    value: Option<String>,
    /// As it was written.
    text: String,
}

/// Settings that the services answer for themselves, and where to turn instead.
const RESERVED: [(&str, &str); 26] = [
    ("acks", "the producer waits for all replicas"),
    ("allow.auto.create.topics", "topics are created at start, with --partitions"),
    ("auto.offset.reset", "say --on-missing-offsets"),
    ("bootstrap.servers", "say --bootstrap-servers"),
    // An alias would be given to librdkafka beside the name that the services set, and chance decide between them.
    ("compression.codec", "write compression.type"),
    ("delivery.report.only.error", "every acknowledgement is counted"),
    ("enable.auto.commit", "offsets are committed once their events are settled"),
    ("enable.auto.offset.store", "offsets are stored once their events are settled"),
    ("enable.idempotence", "the producer is idempotent"),
    ("enable.partition.eof", "the runtime does not use it"),
    ("fetch.message.max.bytes", "write max.partition.fetch.bytes"),
    ("group.id", "say --group"),
    ("group.instance.id", "say --instance-id"),
    ("group.protocol", "say --group-protocol"),
    ("group.remote.assignor", "the group's protocol decides"),
    ("max.in.flight", "the idempotent producer bounds it"),
    ("max.in.flight.requests.per.connection", "the idempotent producer bounds it"),
    ("message.send.max.retries", "the producer tries until delivery.timeout.ms"),
    ("message.timeout.ms", "write delivery.timeout.ms"),
    ("metadata.broker.list", "say --bootstrap-servers"),
    ("partition.assignment.strategy", "partitions move one by one (cooperative-sticky)"),
    ("partitioner", "keys go where Java's clients put them"),
    ("queue.buffering.max.ms", "write linger.ms"),
    ("request.required.acks", "the producer waits for all replicas"),
    ("retries", "the producer tries until delivery.timeout.ms"),
    ("transactional.id", "Kafka transactions are not used"),
];

impl Property {
    /// The setting's name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The setting's value: give it to librdkafka and to nobody else.
    pub(super) fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    /// The settings of one text, separated by `;` as in the environment variable. What does not begin with a setting's
    /// name belongs to the value before it, so that a value may hold a `;`.
    pub(crate) fn all(&self) -> Vec<Self> {
        let mut settings: Vec<Self> = Vec::new();
        for piece in self.text.split(';') {
            let next: Self = match piece.parse() {
                Ok(next) => next,
                Err(never) => match never {},
            };
            match settings.last_mut() {
                Some(Self { value: Some(value), .. }) if !is_name(&next.key) => {
                    value.push(';');
                    value.push_str(piece);
                }
                _ => settings.push(next),
            }
        }
        settings
    }

    /// Whether the setting may be passed through. Whether librdkafka knows it shows when a client is made.
    ///
    /// # Errors
    /// No `=`, or a setting that the services answer for themselves.
    pub fn check(&self) -> Result<(), PropertyError> {
        if self.value.is_none() || self.key.is_empty() {
            return Err(PropertyError::NotAPair);
        }
        if !is_name(&self.key) {
            return Err(PropertyError::NotAName);
        }
        if self.key.starts_with("test.") {
            return Err(PropertyError::Reserved(self.key.clone(), "it is librdkafka's own test switch"));
        }
        match RESERVED.iter().find(|(key, _)| *key == self.key) {
            Some((_, instead)) => Err(PropertyError::Reserved(self.key.clone(), instead)),
            None => Ok(()),
        }
    }
}

impl FromStr for Property {
    type Err = Infallible;

    /// Never fails: a parser's error would quote the text, and the text may hold a secret. See [`Self::check`].
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('=') {
            Some((key, value)) => {
                Self { key: key.trim().to_owned(), value: Some(value.to_owned()), text: text.to_owned() }
            }
            None => Self { key: String::new(), value: None, text: text.to_owned() },
        })
    }
}

/// Whether librdkafka could have a setting of that name: words of small letters, with dots between them.
fn is_name(key: &str) -> bool {
    let is_written_so =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let has_no_dot = ["acks", "debug", "partitioner", "retries"].contains(&key);
    (key.contains('.') || has_no_dot) && key.chars().all(is_written_so)
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not even a key that is none: it may be a piece of a secret.
        write!(f, "{}=…", if is_name(&self.key) { &self.key } else { "?" })
    }
}

/// Why a setting cannot be passed through. Names the key, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// Text without `=`.
    #[error("--kafka takes KEY=VALUE, for example --kafka socket.keepalive.enable=true")]
    NotAPair,
    /// What stands before the `=` is no setting's name. It is not repeated: it may be a piece of a secret.
    #[error("--kafka: a setting's name is words of small letters with dots between them, such as linger.ms")]
    NotAName,
    /// A setting that the services answer for.
    #[error("--kafka {0}: not yours to set, {1}")]
    Reserved(String, &'static str),
    /// librdkafka does not know the setting, or this build lacks what it needs.
    #[error("--kafka {0}: no such setting in this build of librdkafka (TLS and SASL need the feature `tls`)")]
    Unknown(String),
    /// librdkafka refuses the value.
    #[error("--kafka {0}: the value is not one that librdkafka takes for it")]
    BadValue(String),
    /// librdkafka refuses the whole.
    #[error("librdkafka refuses these settings together: {0}")]
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(text: &str) -> Property {
        match text.parse() {
            Ok(property) => property,
            Err(never) => match never {},
        }
    }

    #[test]
    fn reserved_settings_are_refused_with_what_to_do() {
        let error = property("group.id=x").check().expect_err("reserved");
        assert!(error.to_string().contains("--group"));
        assert_eq!(property("linger.ms=5").check(), Ok(()));
        assert_eq!(property("sasl.password").check(), Err(PropertyError::NotAPair));
    }

    /// Catches: a `Debug` or an error that holds a piece of the value.
    #[test]
    fn no_value_is_printed() {
        let secret = property("sasl.password=canary");
        assert!(!format!("{secret:?}").contains("canary"));
        let unpaired = property("canary");
        assert!(!format!("{unpaired:?}{:?}", unpaired.check()).contains("canary"));
        let torn = property("CANARY=x");
        let said = torn.check().expect_err("no name").to_string();
        assert!(!said.contains("CANARY"), "{said}");
    }

    #[test]
    fn a_value_may_hold_what_separates_settings() {
        let settings = property("sasl.password=a;B=c;;d;linger.ms=5").all();
        let all: Vec<_> = settings.iter().map(|property| (property.key(), property.value())).collect();
        assert_eq!(all, [("sasl.password", "a;B=c;;d"), ("linger.ms", "5")]);
    }
}
