//! The service's own ledger, for commands that ask or change it.

use std::sync::Arc;

use shared::consumer::HandleError;
use shared::desk::{Desk, Operator};
use shared::store::StoreUrl;
use tokio::sync::OnceCell;

/// Opened by the first command that needs it: by then the service has made it.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    store: StoreUrl,
    group: String,
    operator: Arc<OnceCell<Operator>>,
}

impl Ledger {
    /// Of that group.
    pub(super) fn new(store: StoreUrl, group: &str) -> Self {
        Self { store, group: group.to_owned(), operator: Arc::default() }
    }

    /// # Errors
    /// The store does not answer, or the group has not begun yet: it may pass.
    pub(super) async fn operator(&self) -> Result<&Operator, HandleError> {
        let open = || Desk::operator(&self.store, &self.group);
        self.operator.get_or_try_init(open).await.map_err(HandleError::transient)
    }
}
