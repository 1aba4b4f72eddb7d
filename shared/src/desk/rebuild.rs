//! What handlers wrote, computed once more from a stream.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::{Found, Operator, Stands};
use crate::consumer::Handlers;
use crate::event::Arrived;
use crate::store::{Effects, Identity, Status, StoreError};

/// The effects of events that were handled, each event once.
#[derive(Debug)]
pub struct Rebuild {
    handlers: Handlers,
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Rebuild {
    /// Of pure handlers, whose effects can be computed again.
    pub fn new(handlers: Handlers) -> Self {
        Self { handlers, seen: HashSet::new(), hasher: RandomState::new() }
    }

    /// What they write for those events of a stream that were handled.
    ///
    /// # Errors
    /// An event that was handled is not handled any more: which, and why.
    pub async fn effects(&mut self, events: &[Found]) -> Result<Vec<Effects>, String> {
        let mut all = Vec::new();
        for found in events {
            let was_handled =
                matches!(found.stands, Stands::Row(Status::Handled) | Stands::Pruned | Stands::Unrecorded);
            let Arrived::Event(event) = &found.arrived else { continue };
            let identity = Identity::of(&found.arrived);
            // Two of ten million collide with odds of one in a hundred thousand.
            if !was_handled || !self.seen.insert(self.hasher.hash_one((&identity.source, &identity.id))) {
                continue;
            }
            let handler = self.handlers.find(event.ty()).and_then(|place| self.handlers.at(place));
            let Some(handler) = handler else { continue };
            let effects = Arc::clone(handler).run(Arc::clone(event)).await;
            all.push(effects.map_err(|error| {
                format!(
                    "the event {} of {} was handled, and is not any more: {error}",
                    identity.id, identity.source
                )
            })?);
        }
        Ok(all)
    }
}

impl Operator {
    /// Applies effects, in order and together, to what handlers have in the store. The operator has to know their
    /// [schema](crate::store::Schema).
    ///
    /// # Errors
    /// The store does not answer, or the database does not take them: nothing was applied.
    pub async fn apply(&self, effects: Vec<Effects>) -> Result<(), StoreError> {
        if effects.is_empty() { Ok(()) } else { self.store.apply(effects.into()).await }
    }
}
