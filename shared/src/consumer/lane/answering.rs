//! Replies to commands.

use super::Lane;
use super::under_way::Work;
use crate::command::{self, Answer};
use crate::event::{Arrived, Event};
use crate::store::{Effects, Identity, Reply, Step};

const EXPIRED: &str = "its time was over before its turn came: nothing was done, and under this id nothing will be. Send it under another";

impl Lane {
    /// No handler is for the command: who has sent it hears that. Where it names nobody, somebody else should.
    pub(super) fn unknown_command(&mut self, work: Work, event: &Event, service: &str) {
        let known: Vec<String> = self.common.handlers.patterns().map(ToString::to_string).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let reason = format!("{service} knows no command {:?}; it knows: {known}", event.ty());
        match command::reply_to(event) {
            Some(_) => self.done(work, Effects::none().refuse(reason)),
            None => self.dead(work, reason),
        }
    }

    /// What a command gets for that step. Not in the way of events.
    #[inline(never)]
    pub(super) fn reply(&self, work: &Work, step: &Step) -> Option<Box<Reply>> {
        let service = self.common.answers_as.as_deref()?;
        let Arrived::Event(command) = &work.arrived else { return None };
        let topic = command::reply_to(command).map(|topic| topic.to_string());
        let failure = |reason: &str| Some(Answer::Failure(reason.to_owned()));
        let answer = match step {
            Step::Handled { effects, .. } => effects.answer().cloned(),
            Step::Dead { reason, .. } => failure(reason),
            Step::Expired => failure(EXPIRED),
            // Is it known already, what is kept of its reply is published once more.
            Step::Handling | Step::Deferred { .. } => return Some(Box::new(Reply { topic, packed: None })),
        };
        let identity = if work.is_conflicting {
            Identity::of_conflict(&work.arrived)
        } else {
            Identity::of(&work.arrived)
        };
        let (source, id) = (&*identity.source, &*identity.id);
        let packed = command::pack(service, command, (source, id), answer.as_ref());
        Some(Box::new(Reply { topic, packed: Some(packed) }))
    }
}

/// Whether the answer fits into a record.
pub(super) fn check(effects: &Effects) -> Result<(), String> {
    match effects.answer() {
        Some(Answer::Data { data, .. }) if data.len() > Answer::LONGEST => {
            Err(format!("the answer has {} bytes, and {} fit into a reply", data.len(), Answer::LONGEST))
        }
        _ => Ok(()),
    }
}
