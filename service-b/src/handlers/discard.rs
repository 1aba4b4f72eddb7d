//! A handler that does nothing.

use shared::consumer::{Effects, HandleError, Handler};
use shared::event::Event;

/// Does nothing: for draining a backlog, and for measuring what the rest costs.
#[derive(Debug)]
pub struct Discard;

impl Handler for Discard {
    type Data = ();

    const PURE: bool = true;

    async fn handle(&self, _: &Event, (): ()) -> Result<Effects, HandleError> {
        Ok(Effects::none())
    }
}
