//! Testing a handler: one event, no broker. See [`Handler`] for an example.

use std::sync::Arc;

use futures_util::FutureExt;

use crate::consumer::{AnyHandler, Effects, HandleError, Handler};
use crate::event::NewEvent;

/// Runs a handler on one event, as service-b would: the event goes through its wire format, the data is
/// decoded, a panic is a permanent failure. For handlers that wait for nothing; see [`handle_async`].
///
/// # Errors
/// What the handler answered.
///
/// # Panics
/// The event is none (an empty id, source or type), or the handler waits for something.
#[allow(clippy::expect_used, reason = "a test's own mistakes should end the test")]
pub fn handle(handler: impl Handler, event: NewEvent) -> Result<Effects, HandleError> {
    handle_async(handler, event).now_or_never().expect("the handler waits: await handle_async")
}

/// [`handle`], for handlers that wait: under `#[tokio::test]`.
///
/// # Errors
/// What the handler answered.
///
/// # Panics
/// The event is none: an empty id, source or type.
#[allow(clippy::expect_used, reason = "a test's own mistakes should end the test")]
pub async fn handle_async(handler: impl Handler, event: NewEvent) -> Result<Effects, HandleError> {
    let event = event.arrived().expect("an event needs an id, a source and a type");
    Arc::new(handler).run(Arc::new(event)).await
}
