//! A connection that comes back: calls take it one after the other, a transaction each.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};

use super::address::{Address, CONNECT};
use super::error::{Trouble, in_place};
use super::session::Session;
use crate::store::{Statement, StoreError};

/// How long a transaction may take: then the connection is given up, and PostgreSQL rolls back.
const LONGEST: Duration = Duration::from_secs(30);
/// How often a transaction that lost against another is tried.
const TRIES: u32 = 10;

/// What every connection of a store is opened with.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) address: Address,
    /// The store's id.
    pub(super) id: String,
    pub(super) statements: Vec<&'static Statement>,
}

#[derive(Debug)]
pub(super) struct Channel {
    opening: Arc<Opening>,
    /// Whether it executes the handlers' statements.
    has_effects: bool,
    place: Mutex<Place>,
}

#[derive(Debug, Default)]
struct Place {
    /// Absent while a transaction is under way: one that is dropped in its middle takes its connection with it.
    session: Option<Arc<Session>>,
    /// The last attempt to connect that failed, and when.
    failed: Option<(Instant, StoreError)>,
}

impl Channel {
    pub(super) fn new(opening: &Arc<Opening>, has_effects: bool, session: Option<Session>) -> Self {
        Self {
            opening: Arc::clone(opening),
            has_effects,
            place: Mutex::new(Place { session: session.map(Arc::new), failed: None }),
        }
    }

    /// Does `work` in a transaction, which commits if it succeeds.
    pub(super) async fn transaction<T, F>(&self, work: impl Fn(Arc<Session>) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let called = Instant::now();
        let mut tries = 1;
        loop {
            let mut place = self.place.lock().await;
            let session = self.connected(&mut place, called).await?;
            let ended = timeout(LONGEST, in_transaction(&session, work(Arc::clone(&session)))).await;
            let ended = ended.unwrap_or_else(|_| Err(Trouble::Store(too_slow(LONGEST))));
            // A failed transaction is over before the connection is used again; where that fails, the connection goes.
            if ended.is_ok() || matches!(timeout(LONGEST / 10, session.batch("rollback")).await, Ok(Ok(()))) {
                place.session = Some(session);
            }
            drop(place);
            match ended {
                Err(Trouble::Again(_)) if tries < TRIES => {
                    sleep(Duration::from_millis(fastrand::u64(1..10) * u64::from(tries))).await;
                    tries += 1;
                }
                Err(Trouble::Store(error)) => {
                    return Err(in_place(error, &self.opening.address.place).into());
                }
                ended => return ended,
            }
        }
    }

    /// The session, or a new one. Who has waited while another found that there is no connection is told the same: each
    /// trying in turn, the last would wait for minutes.
    async fn connected(
        &self,
        place: &mut MutexGuard<'_, Place>,
        called: Instant,
    ) -> Result<Arc<Session>, StoreError> {
        if let Some(session) = place.session.take().filter(|session| !session.is_closed()) {
            return Ok(session);
        }
        if let Some((at, error)) = &place.failed
            && *at > called
        {
            return Err(error.clone());
        }
        let Opening { address, id, statements } = &*self.opening;
        let statements = if self.has_effects { statements.as_slice() } else { &[] };
        let opened = timeout(2 * CONNECT, Session::open(address, id, statements)).await;
        let opened = opened.unwrap_or_else(|_| Err(in_place(too_slow(2 * CONNECT), &address.place)));
        if let Err(error) = &opened {
            place.failed = Some((Instant::now(), error.clone()));
        }
        opened.map(Arc::new)
    }
}

fn too_slow(limit: Duration) -> StoreError {
    StoreError::Unavailable(format!("it takes longer than {} s to answer", limit.as_secs()))
}

async fn in_transaction<T>(
    session: &Session,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    // Whatever the role or the database has as its default.
    session.batch("begin isolation level read committed read write").await?;
    let answer = work.await?;
    commit(session).await?;
    Ok(answer)
}

/// Constraints that a handler's tables defer to the end speak now: what they refuse is an effect.
async fn commit(session: &Session) -> Result<(), Trouble> {
    session.client().batch_execute("commit").await.map_err(|error| Trouble::of_effect(&error, "commit"))
}
