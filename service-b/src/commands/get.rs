//! `get`: all that the ledger knows of an event.

use shared::consumer::{Effects, HandleError, Handler, Json};
use shared::event::Event;

use super::cancel::Which;
use super::ledger::Ledger;

/// Answers with the events of that id: one of each source that has used it.
#[derive(Debug)]
pub struct Get(pub(super) Ledger);

impl Handler for Get {
    type Data = Json<Which>;

    async fn handle(&self, _: &Event, Json(which): Self::Data) -> Result<Effects, HandleError> {
        let operator = self.0.operator().await?;
        let found = operator.desk().find(&which.id, which.source.as_deref()).await;
        let found = found.map_err(HandleError::transient)?;
        if found.is_empty() {
            return Ok(
                Effects::none().refuse("unknown: it has not arrived yet, or was forgotten since".to_owned())
            );
        }
        super::answer(&found)
    }
}
