//! How the handling of an event ended. Pure.

use std::time::Duration;

use super::handler::HandleError;
use super::retry::RetryPolicy;
use crate::store::Effects;

/// Closed on purpose: whoever matches on it sees every way an event can go (KIP-932's accept, release, reject).
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// Handled; its effects are to be applied.
    Done(Effects),
    /// Tried again after the pause, for the reason.
    Retry(Duration, String),
    /// Not tried again by itself, for the reason.
    DeadLetter(String),
}

impl Outcome {
    /// The outcome of attempt number `attempts`, where the first failure was `failing_for` ago. `is_its_own` says that the
    /// handler has succeeded for another event since: without that, a failure may be an outage, and no event dies of one.
    pub(super) fn of(
        result: Result<Effects, HandleError>,
        policy: &RetryPolicy,
        attempts: u32,
        failing_for: Duration,
        is_its_own: bool,
    ) -> Self {
        match result {
            Ok(effects) => Self::Done(effects),
            Err(error @ HandleError::Permanent(_)) => Self::DeadLetter(error.to_string()),
            Err(error @ HandleError::Transient(_)) => {
                let random = fastrand::f64();
                match policy.pause(attempts, failing_for, random) {
                    Some(pause) => Self::Retry(pause, error.to_string()),
                    None if !is_its_own => Self::Retry(policy.longest_pause(random), error.to_string()),
                    None => Self::DeadLetter(format!("failing for {failing_for:.0?}, at last: {error}")),
                }
            }
        }
    }
}
