//! Replies: what a service says, and what the sender reads. Pure.

use uuid::Uuid;

use super::{CORRELATION, FAILED, REPLIED, REPLY_TO, TEXT};
use crate::event::{Event, NewEvent};
use crate::store::OutboxRecord;
use crate::topic::Topic;

/// What a command is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Data {
        /// The media type of the data.
        content_type: String,
        /// The answer itself.
        data: Vec<u8>,
    },
    /// It was not done, and why.
    Failure(String),
}

impl Answer {
    /// The longest data of an answer: with its headers it must fit into a record.
    pub(crate) const LONGEST: usize = 1024 * 1024;
    /// The longest reason, in bytes: it may quote what was sent.
    const LONGEST_REASON: usize = 1000;

    /// Nothing, where there is nothing to say.
    fn parts(answer: Option<&Self>) -> (&'static str, Option<(&str, &[u8])>) {
        match answer {
            None => (REPLIED, None),
            Some(Self::Data { content_type, data }) => (REPLIED, Some((content_type, data))),
            Some(Self::Failure(reason)) => {
                let reason = &reason[..reason.floor_char_boundary(Self::LONGEST_REASON)];
                (FAILED, Some((TEXT, reason.as_bytes())))
            }
        }
    }
}

/// Where the command wants its reply, if anywhere. Only replies go to such a topic.
pub(crate) fn reply_to(command: &Event) -> Option<Topic> {
    let topic: Topic = command.attribute(REPLY_TO)?.parse().ok()?;
    topic.is_replies().then_some(topic)
}

/// The reply of that service. Its id follows from the `identity` that the command goes by, source and id, so that it is the
/// same each time.
fn encode(service: &str, command: &Event, identity: (&str, &str), answer: Option<&Answer>) -> NewEvent {
    let (ending, data) = Answer::parts(answer);
    let mut event = NewEvent::new(&format!("/{service}"), &format!("{}{ending}", command.ty()));
    // Each part with its length before it, so that no two different commands look alike.
    let (source, id) = identity;
    let name = format!("{}:{source}{}:{id}reply", source.len(), id.len());
    event.id = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).to_string();
    event.key = Some(command.id().as_bytes().to_vec());
    event.extensions.push((CORRELATION.to_owned(), command.id().into_owned()));
    match data {
        Some((content_type, data)) => event.data(content_type, data),
        None => event,
    }
}

/// The same, as a record for the outbox.
pub(crate) fn pack(
    service: &str,
    command: &Event,
    identity: (&str, &str),
    answer: Option<&Answer>,
) -> Vec<u8> {
    OutboxRecord::pack(&encode(service, command, identity, answer))
}

/// A reply, as the sender of its command sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Who answered: the event's source.
    pub source: String,
    /// What it says. A reply without data is an answer with none.
    pub answer: Answer,
}

impl Reply {
    /// The reply to the command of that id, if the event is one.
    pub(crate) fn of(event: &Event, command: &str) -> Option<Self> {
        if event.attribute(CORRELATION) != Some(command) {
            return None;
        }
        let data = event.data().unwrap_or_default();
        let answer = if event.ty().ends_with(FAILED) {
            Answer::Failure(String::from_utf8_lossy(data).into_owned())
        } else if event.ty().ends_with(REPLIED) {
            Answer::Data { content_type: event.content_type().to_owned(), data: data.to_owned() }
        } else {
            return None;
        };
        Some(Self { source: event.source().to_owned(), answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use proptest::{collection::vec, prelude::*};

    fn command(id: &str) -> Event {
        let command = Command::new("service-a", "resize").expect("a sender").id(id.to_owned());
        command.event().arrived().expect("an event")
    }

    fn encoded(command: &Event, answer: Option<&Answer>) -> Event {
        let identity = (command.source(), &*command.id());
        encode("service-b", command, identity, answer).arrived().expect("an event")
    }

    fn answers() -> impl Strategy<Value = Answer> {
        let data = ("[a-z]{1,9}/[a-z]{1,9}", vec(any::<u8>(), 0..99));
        prop_oneof![
            data.prop_map(|(content_type, data)| Answer::Data { content_type, data }),
            ".{0,99}".prop_map(Answer::Failure),
        ]
    }

    proptest! {
        #[test]
        fn what_is_answered_is_read_by_its_sender_and_nobody_else(
            id in ".{1,20}", other in ".{1,20}", answer in answers(),
        ) {
            let reply = encoded(&command(&id), Some(&answer));
            let expected = Reply { source: "/service-b".to_owned(), answer };
            prop_assert_eq!(Reply::of(&reply, &id), Some(expected));
            prop_assert_eq!(Reply::of(&reply, &other).is_some(), id == other);
        }

        #[test]
        fn what_comes_from_elsewhere_is_no_topic_to_write_to(text in ".{0,40}") {
            let mut new = NewEvent::new("/a", "resize");
            new.extensions.push((REPLY_TO.to_owned(), text));
            let topic = reply_to(&new.arrived().expect("an event"));
            prop_assert!(topic.is_none_or(|topic| topic.is_replies()));
        }
    }

    /// Catches: another id each time, by which the sender could not tell that it is the same reply.
    #[test]
    fn the_id_follows_from_the_command() {
        let (first, other) = (command("1"), command("2"));
        let of = |command| encoded(command, None).id().into_owned();
        assert_eq!(of(&first), of(&first));
        assert_ne!(of(&first), of(&other));
        assert_eq!(encoded(&first, None).ty(), "resize.replied");
        let failed = encoded(&first, Some(&Answer::Failure("no".to_owned())));
        assert_eq!((failed.ty(), failed.data()), ("resize.failed", Some(&b"no"[..])));
    }

    #[test]
    fn a_reason_is_cut_where_a_character_ends() {
        let reply = encoded(&command("1"), Some(&Answer::Failure("é".repeat(2000))));
        assert_eq!(reply.text_data().expect("text").len(), Answer::LONGEST_REASON);
    }

    #[test]
    fn a_reply_goes_to_a_topic_of_replies_alone() {
        let to = |topic: &str| {
            let mut new = NewEvent::new("/a", "resize");
            new.extensions.push((REPLY_TO.to_owned(), topic.to_owned()));
            reply_to(&new.arrived().expect("an event"))
        };
        assert_eq!(to("service-a.replies").expect("a topic").as_str(), "service-a.replies");
        assert_eq!([to("topic1"), to("a/b.replies"), to("dlq.service-b.topic1")], [None, None, None]);
    }
}
