//! The commands that service-b brings along. To add one: write its handler beside these, and name it in [`add`].
//!
//! They come by the topic `<group>.commands`, in a group of that name; one member answers each.

mod ping;
mod status;

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use shared::consumer::{Counts, Effects, HandleError, Handlers, HandlersError};

pub use self::ping::Ping;
pub use self::status::Status;

use crate::Config;

/// Adds them to the handlers.
///
/// # Errors
/// There is a handler of that name already.
pub fn add(handlers: Handlers, config: &Config, counts: Arc<Counts>) -> Result<Handlers, HandlersError> {
    let handlers = handlers.on_command("status", Status { counts, since: Instant::now() })?;
    let ping = Ping::new(config, &handlers);
    handlers.on_command("ping", ping)
}

/// An answer as JSON.
fn answer(answer: &impl Serialize) -> Result<Effects, HandleError> {
    let json = serde_json::to_vec(answer).map_err(HandleError::permanent)?;
    Ok(Effects::none().reply("application/json", json))
}
