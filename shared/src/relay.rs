#![allow(missing_docs)]
use crate::client::Connection;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
pub(crate) struct Relay;
impl Relay {
    pub(crate) fn start(_c: &Connection, _s: Arc<dyn Store>) -> anyhow::Result<Self> {
        Ok(Self)
    }
    pub(crate) fn bell(&self) -> Arc<Notify> {
        Arc::default()
    }
    pub(crate) async fn stop(self, _d: Duration, _all: bool) {}
}
