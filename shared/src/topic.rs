//! Topic names: the only place that spells them.

use std::fmt;
use std::str::FromStr;

/// What the topics of dead letters begin with (KIP-1191).
pub(crate) const DEAD_LETTERS: &str = "dlq.";

/// What the topics of commands and of replies end with.
const COMMANDS: &str = ".commands";
const REPLIES: &str = ".replies";

/// A name that Kafka accepts for a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(String);

impl Topic {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the dead letters of this topic go for that group: `dlq.<group>.<topic>`. The group is in the
    /// name because two groups fail for reasons of their own; the prefix is the one of KIP-1191.
    ///
    /// # Errors
    /// The group's name has a character that no topic may have, or the whole is too long.
    pub fn dead_letters(&self, group: &str) -> Result<Self, BadTopic> {
        format!("{DEAD_LETTERS}{group}.{self}").parse()
    }

    /// Where the commands to that service go: `<service>.commands`.
    ///
    /// # Errors
    /// The service's name has a character that no topic may have, or is too long.
    pub fn commands(service: &str) -> Result<Self, BadTopic> {
        Self::of_service(service, COMMANDS)
    }

    /// Where the replies to that service's commands go: `<service>.replies`.
    ///
    /// # Errors
    /// The service's name has a character that no topic may have, or is too long.
    pub fn replies(service: &str) -> Result<Self, BadTopic> {
        Self::of_service(service, REPLIES)
    }

    /// Nobody is named: that is no service.
    fn of_service(service: &str, ending: &str) -> Result<Self, BadTopic> {
        if service.is_empty() {
            Err(BadTopic(ending.to_owned()))
        } else {
            format!("{service}{ending}").parse()
        }
    }

    /// Whether replies go there. A command may ask for its reply nowhere else: who may send commands must not be able to
    /// have records written where others read events.
    pub fn is_replies(&self) -> bool {
        self.0.strip_suffix(REPLIES).is_some_and(|service| !service.is_empty())
    }

    /// Whether the dead letters of that topic go there, those of some group.
    pub fn is_dead_letters_of(&self, topic: &Self) -> bool {
        let group = self.0.strip_prefix(DEAD_LETTERS).and_then(|rest| rest.strip_suffix(&topic.0));
        group.and_then(|group| group.strip_suffix('.')).is_some_and(|group| !group.is_empty())
    }

    /// Whether dead letters go there.
    pub fn is_dead_letters(&self) -> bool {
        self.0.starts_with(DEAD_LETTERS)
    }
}

impl FromStr for Topic {
    type Err = BadTopic;

    fn from_str(name: &str) -> Result<Self, BadTopic> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = (1..=249).contains(&name.len()) && name.chars().all(legal) && !matches!(name, "." | "..");
        if good { Ok(Self(name.to_owned())) } else { Err(BadTopic(name.to_owned())) }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not a topic's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a topic name: 1 to 249 of the characters a-z A-Z 0-9 . _ - (and not `.` or `..`)")]
pub struct BadTopic(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_kafka_takes() {
        for name in ["topic1", "a.b_c-D", &"x".repeat(249)] {
            assert!(name.parse::<Topic>().is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(name.parse::<Topic>().is_err(), "{name}");
        }
    }

    #[test]
    fn commands_and_replies_are_named_by_the_service() {
        assert_eq!(Topic::commands("service-b").expect("a topic").as_str(), "service-b.commands");
        let replies = Topic::replies("service-a").expect("a topic");
        assert_eq!(replies.as_str(), "service-a.replies");
        assert!(replies.is_replies() && !Topic::commands("service-b").expect("a topic").is_replies());
        assert!(!".replies".parse::<Topic>().expect("a topic").is_replies());
        assert!(Topic::commands("").is_err() && Topic::replies("a b").is_err());
    }

    #[test]
    fn dead_letters_are_named_by_group_and_topic() {
        let topic: Topic = "topic1".parse().expect("a topic");
        assert_eq!(topic.dead_letters("service-b").expect("a topic").as_str(), "dlq.service-b.topic1");
        assert!(topic.dead_letters("a group").is_err());
        for (letters, is_its) in [
            ("dlq.service-b.topic1", true),
            ("dlq.a.b.topic1", true),
            ("dlq..topic1", false),
            ("dlq.topic1", false),
            ("dlq.service-b.mytopic1", false),
            ("service-b.topic1", false),
        ] {
            let letters: Topic = letters.parse().expect("a topic");
            assert_eq!(letters.is_dead_letters_of(&topic), is_its, "{letters}");
        }
    }
}
