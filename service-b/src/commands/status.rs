//! `status`: what the instance that answers has done since it started.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use shared::consumer::{Counts, Effects, HandleError, Handler, Summary};
use shared::event::Event;

/// Answers with the counts so far.
#[derive(Debug)]
pub struct Status {
    pub(super) counts: Arc<Counts>,
    pub(super) since: Instant,
}

#[derive(Serialize)]
struct SoFar {
    process: u32,
    up_seconds: u64,
    #[serde(flatten)]
    counts: Summary,
}

impl Handler for Status {
    type Data = ();

    const PURE: bool = true;

    async fn handle(&self, _: &Event, (): ()) -> Result<Effects, HandleError> {
        super::answer(&SoFar {
            process: std::process::id(),
            up_seconds: self.since.elapsed().as_secs(),
            counts: self.counts.summary(),
        })
    }
}
