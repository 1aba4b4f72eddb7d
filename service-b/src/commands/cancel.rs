//! `cancel`: an event is not to be handled, wherever it is.

use serde::Deserialize;
use shared::consumer::{Effects, HandleError, Handler, Json};
use shared::desk::Operation;
use shared::event::Event;

use super::ledger::Ledger;

/// Cancels an event, also one that has not arrived. The reply says what came of it; that it was too late is a failure.
#[derive(Debug)]
pub struct Cancel(pub(super) Ledger);

/// Which event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    pub(super) id: String,
    pub(super) source: Option<String>,
}

impl Handler for Cancel {
    type Data = Json<Which>;

    async fn handle(&self, _: &Event, Json(which): Self::Data) -> Result<Effects, HandleError> {
        let operator = self.0.operator().await?;
        let answer = operator.act(Operation::Cancel, &which.id, which.source.as_deref()).await;
        let answer = answer.map_err(HandleError::transient)?;
        if answer.is_done() {
            return super::answer(&answer);
        }
        Ok(Effects::none().refuse(answer.to_string()))
    }
}
