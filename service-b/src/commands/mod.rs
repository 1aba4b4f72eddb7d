//! The commands that service-b brings along. To add one: write its handler beside these, and name it in [`add`].
//!
//! They come by the topic `<group>.commands`, in a group of that name; one member answers each.

mod cancel;
mod get;
mod ledger;
mod ping;
mod status;

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use shared::consumer::{Counts, Effects, HandleError, Handlers, HandlersError};
use shared::store::StoreUrl;

pub use self::cancel::Cancel;
pub use self::get::Get;
pub use self::ping::Ping;
pub use self::status::Status;

use self::ledger::Ledger;
use crate::Config;

/// Adds them to the handlers.
///
/// # Errors
/// There is a handler of that name already.
pub fn add(
    handlers: Handlers,
    config: &Config,
    store: &StoreUrl,
    counts: Arc<Counts>,
) -> Result<Handlers, HandlersError> {
    let ledger = Ledger::new(store.clone(), &config.group);
    let handlers = handlers.on_command("cancel", Cancel(ledger.clone()))?.on_command("get", Get(ledger))?;
    let handlers = handlers.on_command("status", Status { counts, since: Instant::now() })?;
    let ping = Ping::new(config, &handlers);
    handlers.on_command("ping", ping)
}

/// An answer as JSON.
fn answer(answer: &impl Serialize) -> Result<Effects, HandleError> {
    let json = serde_json::to_vec(answer).map_err(HandleError::permanent)?;
    Ok(Effects::none().reply("application/json", json))
}
