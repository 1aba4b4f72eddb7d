//! A store that cannot be reached is waited for.

use std::time::Duration;

use super::{Answer, StoreError};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Asks until the store answers, and says so with growing pauses.
///
/// # Errors
/// [`StoreError::Unusable`] only.
pub(crate) async fn until_available<'a, T>(
    what: &str,
    mut ask: impl FnMut() -> Answer<'a, T>,
) -> Result<T, StoreError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Err(StoreError::Unavailable(reason)) => {
                tracing::warn!("the store cannot {what}, trying again in {pause:.1?}: {reason}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => {
                if pause > FIRST_PAUSE {
                    tracing::info!("the store answers again");
                }
                return answer;
            }
        }
    }
}
