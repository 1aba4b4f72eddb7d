//! What becomes of a dead letter: where its record goes, or why nowhere. Pure.

use std::fmt;

use shared::dead_letter;
use shared::record::Record;
use shared::telemetry::Printable;
use shared::topic::Topic;

/// Why a letter is not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Skip {
    /// Its value is not in it.
    Pointer,
    /// It does not say where it comes from.
    Homeless,
    /// It says that it comes from there, which this dead-letter topic does not belong to. Who may write to a dead-letter
    /// topic must not choose what an operator writes to.
    Astray(String),
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer => f.write_str(
                "its value was too large for the dead-letter topic and is not in it: only the ledger had it",
            ),
            Self::Homeless => f.write_str("no header says which topic it comes from: say --to-topic TOPIC"),
            Self::Astray(topic) => write!(
                f,
                "a header says that it comes from {}, whose dead letters do not go here: to publish it all the same, say \
                 --to-topic TOPIC",
                Printable(topic)
            ),
        }
    }
}

/// The record as it was sent, and the topic that it goes to.
pub(super) fn sent(letter: &Record, from: &Topic, to: Option<&Topic>) -> Result<(Record, Topic), Skip> {
    let opened = dead_letter::open(letter);
    if opened.is_pointer {
        return Err(Skip::Pointer);
    }
    if let Some(to) = to {
        return Ok((opened.record, to.clone()));
    }
    let said = opened.topic.ok_or(Skip::Homeless)?;
    match said.parse::<Topic>() {
        Ok(topic) if from.is_dead_letters_of(&topic) => Ok((opened.record, topic)),
        _ => Err(Skip::Astray(said)),
    }
}

#[cfg(test)]
mod tests {
    use shared::record::{Origin, RecordBuilder};

    use super::*;

    fn letter(headers: &[(&str, &str)]) -> Record {
        let mut letter = RecordBuilder::default();
        letter.start(Some(b"k"), Some(b"v"));
        for (name, value) in headers {
            letter.header(name.as_bytes(), Some(value.as_bytes()));
        }
        letter.finish(Origin { topic: "dlq.g.topic1", partition: 0, offset: 7, timestamp: Some(1) })
    }

    fn goes(letter: &Record, to: Option<&str>) -> Result<String, Skip> {
        let from = "dlq.g.topic1".parse().expect("a topic");
        let to = to.map(|to| to.parse().expect("a topic"));
        sent(letter, &from, to.as_ref()).map(|(_, topic)| topic.to_string())
    }

    /// Catches: a header that sends records wherever its writer likes.
    #[test]
    fn a_letter_goes_where_its_topic_belongs_or_where_the_operator_says() {
        let of = |topic| letter(&[("ce_id", "1"), ("__dlq.errors.topic", topic)]);
        assert_eq!(goes(&of("topic1"), None), Ok("topic1".to_owned()));
        for astray in ["topic2", "", "a b", "g.topic1", "\u{1b}[2J"] {
            assert_eq!(goes(&of(astray), None), Err(Skip::Astray(astray.to_owned())));
            assert_eq!(goes(&of(astray), Some("topic3")), Ok("topic3".to_owned()));
        }
        assert_eq!(goes(&letter(&[]), None), Err(Skip::Homeless));
        assert_eq!(goes(&letter(&[]), Some("topic3")), Ok("topic3".to_owned()));
        assert!(!Skip::Astray("\u{1b}[2J".to_owned()).to_string().contains('\u{1b}'));
    }

    /// Catches: an event without data published in the place of one that had some.
    #[test]
    fn a_pointer_goes_nowhere() {
        let pointer = letter(&[("__dlq.errors.topic", "topic1"), ("__dlq.errors.omitted", "9 bytes")]);
        assert_eq!(goes(&pointer, None), Err(Skip::Pointer));
        assert_eq!(goes(&pointer, Some("topic3")), Err(Skip::Pointer));
    }
}
