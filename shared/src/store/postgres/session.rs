//! One connection, with the statements that it has prepared.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Client, NoTls, Row, Statement as Prepared};

use super::address::{Address, CONNECT};
use super::error::{Trouble, in_place};
use crate::store::{Statement, StoreError};

/// A parameter of one of the store's own statements.
pub(super) type Asked<'a> = &'a (dyn ToSql + Sync);

/// A connection. Dropped, it is closed, whatever was under way.
pub(super) struct Session {
    client: Client,
    /// Reads and writes the socket.
    driver: JoinHandle<()>,
    /// The store's own statements, by their text.
    own: Mutex<HashMap<&'static str, Prepared>>,
    /// The handlers' statements, by their name.
    effects: HashMap<&'static str, (&'static Statement, Prepared)>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// What each session sets for itself. A member that is stopped inside a transaction must not keep its locks: another
/// takes its partitions over; nor does a transaction whose caller is gone wait for locks for ever. What is committed must be on the disk, because the offset moves then.
const SETTINGS: &str = "
    set idle_in_transaction_session_timeout = '10s';
    set lock_timeout = '20s';
    select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off';";

impl Session {
    /// Connects, and nothing more.
    pub(super) async fn connect(address: &Address) -> Result<Self, StoreError> {
        let connected = tokio::time::timeout(CONNECT, async {
            let (client, connection) = address.config.connect(NoTls).await?;
            let driver = tokio::spawn(async move {
                // Whoever uses the client gets the error.
                let _ = connection.await;
            });
            let session = Self { client, driver, own: Mutex::default(), effects: HashMap::new() };
            session.client.batch_execute(SETTINGS).await?;
            Ok(session)
        });
        match connected.await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => Err(Trouble::of_connecting(&error, &address.place)),
            Err(_) => Err(StoreError::Unavailable(format!(
                "{} does not answer within {} s: is the server running, and are host and port right?",
                address.place,
                CONNECT.as_secs()
            ))),
        }
    }

    /// Connects to the store of that id and prepares the handlers' statements.
    pub(super) async fn open(
        address: &Address,
        id: &str,
        statements: &[&'static Statement],
    ) -> Result<Self, StoreError> {
        let mut session = Self::connect(address).await?;
        let found = super::migrate::id(&session, address).await?;
        if found != id {
            return Err(StoreError::Unusable(format!(
                "{}: another store ({found}) is in the place of {id}, with which this program began: start it again",
                address.place
            )));
        }
        for &statement in statements {
            let prepared = session.client.prepare(statement.postgres).await.map_err(|error| {
                let what = format!("{}: statement {:?}", address.place, statement.name);
                in_place(Trouble::of_store(&error), &what)
            })?;
            session.effects.insert(statement.name, (statement, prepared));
        }
        Ok(session)
    }

    /// Whether the connection is known to be lost.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// A handler's statement; `None` for one that was not registered.
    pub(super) fn effect(&self, statement: &Statement) -> Option<&Prepared> {
        self.effects
            .get(statement.name)
            .filter(|(known, _)| *known == statement)
            .map(|(_, prepared)| prepared)
    }

    /// For the handlers' statements.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Executes texts without parameters.
    pub(super) async fn batch(&self, texts: &str) -> Result<(), Trouble> {
        self.client.batch_execute(texts).await.map_err(|error| Trouble::of_store(&error))
    }

    /// Executes one of the store's own statements and reads its rows.
    pub(super) async fn query(&self, text: &'static str, asked: &[Asked<'_>]) -> Result<Vec<Row>, Trouble> {
        let prepared = self.prepared(text).await?;
        self.client.query(&prepared, asked).await.map_err(|error| Trouble::of_store(&error))
    }

    /// Executes one of the store's own statements. How many rows it changed.
    pub(super) async fn execute(&self, text: &'static str, asked: &[Asked<'_>]) -> Result<u64, Trouble> {
        let prepared = self.prepared(text).await?;
        self.client.execute(&prepared, asked).await.map_err(|error| Trouble::of_store(&error))
    }

    async fn prepared(&self, text: &'static str) -> Result<Prepared, Trouble> {
        if let Some(prepared) = self.own.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(text).await.map_err(|error| Trouble::of_store(&error))?;
        self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(text, prepared.clone());
        Ok(prepared)
    }
}

/// A field of a row.
pub(super) fn field<'r, T: FromSql<'r>>(row: &'r Row, at: usize) -> Result<T, Trouble> {
    row.try_get(at).map_err(|error| Trouble::of_store(&error))
}

/// A string that is kept as bytes.
pub(super) fn string(row: &Row, at: usize) -> Result<String, Trouble> {
    Ok(String::from_utf8_lossy(field(row, at)?).into_owned())
}
