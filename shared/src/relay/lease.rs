//! The right to relay: one process a store has it at a time.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::store::{Store, StoreError};

/// How long the right lasts unless it is renewed: a relay that died is replaced within it.
pub(super) const TERM: Duration = Duration::from_secs(10);
/// How often it is renewed, so that a slow answer does not lose it.
const RENEW: Duration = Duration::from_secs(3);
/// How often it is asked for while another has it.
const ASK: Duration = Duration::from_secs(1);

/// The right to relay, or the wish for it.
#[derive(Debug)]
pub(super) struct Lease {
    /// Nobody else has this name.
    holder: String,
    /// Until when it is ours for certain: counted from before the question.
    until: Option<Instant>,
    ask_at: Instant,
}

impl Lease {
    pub(super) fn new() -> Self {
        Self { holder: Uuid::now_v7().to_string(), until: None, ask_at: Instant::now() }
    }

    /// Asks for it, or renews it, where it is time to.
    pub(super) async fn renew(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let now = Instant::now();
        if now < self.ask_at {
            return Ok(());
        }
        self.ask_at = now + ASK;
        // An answer that comes after the end helps nobody, and what is on its way must not outlast the term.
        let answer = tokio::time::timeout_at(self.end(), store.lease(&self.holder, TERM)).await;
        let is_ours = answer.map_err(|_| late())??;
        self.until = is_ours.then(|| now + TERM);
        if is_ours {
            self.ask_at = now + RENEW;
        }
        Ok(())
    }

    /// One that has ended bounds nothing more, and is asked for at once.
    pub(super) fn forget_if_ended(&mut self) {
        let now = Instant::now();
        if self.until.is_some_and(|until| until <= now) {
            (self.until, self.ask_at) = (None, now);
        }
    }

    /// Whether it is ours at this moment.
    pub(super) fn is_held(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// When to call [`renew`](Self::renew) again.
    pub(super) fn ask_at(&self) -> Instant {
        self.ask_at
    }

    /// Until when a question may take: its end, also one just passed; without it, a term from now.
    pub(super) fn end(&self) -> Instant {
        self.until.unwrap_or_else(|| Instant::now() + TERM)
    }

    /// The answer to a question, until [`end`](Self::end).
    pub(super) async fn within<T>(
        &self,
        ask: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout_at(self.end(), ask).await.map_err(|_| late())?
    }

    /// Leaves it to the next one at once.
    pub(super) async fn give_up(&mut self, store: &dyn Store) {
        if self.until.take().is_some() {
            // Otherwise it ends by itself, a little later.
            let _ = tokio::time::timeout(ASK, store.lease(&self.holder, Duration::ZERO)).await;
        }
    }
}

fn late() -> StoreError {
    StoreError::Unavailable("no answer before the lease ends".to_owned())
}
