//! A command, about to be sent.

use std::time::Duration;

use super::REPLY_TO;
use crate::event::NewEvent;
use crate::topic::{BadTopic, Topic};

/// A request to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What goes on the wire.
    event: NewEvent,
}

impl Command {
    /// A command of that sender, whose replies go to `<sender>.replies`.
    ///
    /// # Errors
    /// The sender's name cannot be part of a topic's name.
    pub fn new(sender: &str, name: &str) -> Result<Self, BadTopic> {
        let mut event = NewEvent::new(&format!("/{sender}"), name);
        let replies = Topic::replies(sender)?;
        event.extensions.push((REPLY_TO.to_owned(), replies.to_string()));
        Ok(Self { event })
    }

    /// Sets the id: sent again under the same one, a command takes effect once.
    #[must_use]
    pub fn id(mut self, id: String) -> Self {
        self.event.id = id;
        self
    }

    /// Sets the key: commands of one key are handled one after the other.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.event.key = Some(key.into());
        self
    }

    /// Sets the data and its media type.
    #[must_use]
    pub fn data(mut self, content_type: &str, data: impl Into<Vec<u8>>) -> Self {
        self.event.set_data(content_type, &data.into());
        self
    }

    /// Says that it is not to be handled any more so long after it was made.
    #[must_use]
    pub fn expires_after(mut self, time: Duration) -> Self {
        self.event.set_times(None, Some(time));
        self
    }

    /// The event that carries it.
    pub fn event(&self) -> &NewEvent {
        &self.event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a command that its service cannot answer, or that is handled when nobody waits any more.
    #[test]
    fn says_where_its_reply_goes_and_until_when_it_is_worth_handling() {
        let command = Command::new("service-a", "resize").expect("a sender");
        let command = command.id("7".to_owned()).key("k").data("application/json", "{}");
        let command = command.expires_after(Duration::from_secs(5));
        let event = command.event().arrived().expect("an event");
        assert_eq!((event.ty(), event.source(), &*event.id()), ("resize", "/service-a", "7"));
        assert_eq!((event.key(), event.data()), (Some(&b"k"[..]), Some(&b"{}"[..])));
        assert_eq!(event.attribute("replyto"), Some("service-a.replies"));
        let expiry = event.attribute("expirytime").expect("an expiry").parse::<jiff::Timestamp>();
        let made = command.event().time.as_millisecond();
        assert_eq!(expiry.expect("a time").as_millisecond() - made, 5_000);
        assert!(Command::new("a sender", "resize").is_err());
    }
}
