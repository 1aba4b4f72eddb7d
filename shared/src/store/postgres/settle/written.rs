//! What a step writes into a row, for many rows: a column each.

use super::super::parameter::Column;
use super::super::session::Asked;
use super::super::{BEHIND, RETRY, UNTIL, millis};
use crate::store::{Settlement, Status, Step, Wait};

#[derive(Debug)]
pub(super) struct Written<'a> {
    epochs: Column<i64>,
    statuses: Column<i16>,
    attempts: Column<i64>,
    waits: Column<Option<i16>>,
    pauses: Column<Option<i64>>,
    dues: Column<Option<i64>>,
    failing_for: Column<Option<i64>>,
    reasons: Column<Option<&'a [u8]>>,
}

/// What becomes of an event's row.
pub(super) fn status(step: &Step) -> Status {
    match step {
        Step::Handling => Status::Handling,
        Step::Handled { .. } => Status::Handled,
        Step::Deferred { .. } => Status::Deferred,
        Step::Dead { .. } => Status::Dead,
        Step::Expired => Status::Expired,
    }
}

impl<'a> Written<'a> {
    pub(super) fn of(settlements: impl Iterator<Item = &'a Settlement> + Clone) -> Self {
        let waits = settlements.clone().map(|settlement| match &settlement.step {
            Step::Deferred { wait, .. } => Some(*wait),
            _ => None,
        });
        let retry = |wait: Option<Wait>| match wait {
            Some(Wait::Retry { pause, failing_for }) => Some((pause, failing_for)),
            _ => None,
        };
        let reason = |settlement: &'a Settlement| match &settlement.step {
            Step::Deferred { reason, .. } => reason.as_deref().map(str::as_bytes),
            Step::Dead { reason, .. } => Some(reason.as_bytes()),
            Step::Handling | Step::Handled { .. } | Step::Expired => None,
        };
        Self {
            epochs: Column(settlements.clone().map(|settlement| settlement.owner.epoch).collect()),
            statuses: Column(settlements.clone().map(|settlement| status(&settlement.step) as i16).collect()),
            attempts: Column(settlements.clone().map(|settlement| i64::from(settlement.attempts)).collect()),
            waits: Column::sparse(waits.clone().map(|wait| wait.map(number))),
            pauses: Column::sparse(waits.clone().map(|wait| Some(millis(retry(wait)?.0)))),
            failing_for: Column::sparse(waits.clone().map(|wait| Some(millis(retry(wait)?.1)))),
            dues: Column::sparse(waits.map(|wait| match wait {
                Some(Wait::Until(due)) => Some(due),
                _ => None,
            })),
            reasons: Column::sparse(settlements.map(reason)),
        }
    }

    /// In the order in which both statements have them.
    pub(super) fn columns(&self) -> [Asked<'_>; 8] {
        [
            &self.epochs,
            &self.statuses,
            &self.attempts,
            &self.waits,
            &self.pauses,
            &self.dues,
            &self.failing_for,
            &self.reasons,
        ]
    }
}

fn number(wait: Wait) -> i16 {
    match wait {
        Wait::Retry { .. } => RETRY,
        Wait::Behind => BEHIND,
        Wait::Until(_) => UNTIL,
    }
}
