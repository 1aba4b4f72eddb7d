//! What handlers would make of events, without making it: nothing is applied, nothing is settled.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Serialize;

use super::{Found, Stands};
use crate::consumer::{HandleError, Handlers, Unhandled};
use crate::event::Arrived;
use crate::store::Status;

/// Handlers, and how they are run.
#[derive(Debug)]
pub struct Shadow {
    /// Which.
    pub handlers: Handlers,
    /// How long each may take.
    pub timeout: Duration,
    /// What becomes of events that no handler is for.
    pub unhandled: Unhandled,
}

/// What an event's first attempt would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "would", content = "reason", rename_all = "kebab-case")]
pub enum Would {
    /// Handled, if the store takes its effects.
    Handled,
    /// No handler is for it, and that is said to be fine.
    Skipped,
    /// Tried again, for that reason.
    Transient(String),
    /// Dead, for that reason: panics, records that hold no event, and types without a handler are among these.
    Permanent(String),
    /// Nothing: an operator, its own time, or another event's id keeps it from its handler.
    NotAsked,
}

impl Would {
    /// In a word, and why.
    pub fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Handled => ("handled", None),
            Self::Skipped => ("skipped", None),
            Self::Transient(reason) => ("transient", Some(reason)),
            Self::Permanent(reason) => ("permanent", Some(reason)),
            Self::NotAsked => ("not asked", None),
        }
    }

    /// Whether that is something else than what stands. What is still open differs only where it would die at once; of what
    /// nobody has handled nothing stands.
    pub fn differs(&self, stands: Stands) -> bool {
        use Stands::{Ahead, Conflict, NoRow, Pruned, Row, Unrecorded};
        use Status::{Dead, Deferred, Handled, Handling, Parked};
        match (self, stands) {
            (Self::NotAsked, _) | (_, Ahead | NoRow | Conflict) => false,
            (Self::Handled | Self::Skipped, stands) => matches!(stands, Row(Dead | Parked)),
            // What has no row any more, or never got one, was handled.
            (Self::Transient(_), stands) => matches!(stands, Row(Handled) | Pruned | Unrecorded),
            (Self::Permanent(_), stands) => {
                matches!(stands, Row(Handled | Deferred | Handling) | Pruned | Unrecorded)
            }
        }
    }
}

/// How many handlers are under way at a time.
const AT_ONCE: usize = 64;

impl Shadow {
    /// The patterns of those that reach out, which running them would do.
    pub fn reaching(&self) -> Vec<String> {
        self.handlers
            .kinds()
            .filter(|(_, is_pure)| !is_pure)
            .map(|(pattern, _)| pattern.to_string())
            .collect()
    }

    /// What each would come to, in order.
    pub async fn run(&self, events: &[Found]) -> Vec<Would> {
        futures_util::stream::iter(events).map(|found| self.would(found)).buffered(AT_ONCE).collect().await
    }

    async fn would(&self, found: &Found) -> Would {
        use Status::{Cancelled, Deleted, Expired};
        if matches!(found.stands, Stands::Conflict | Stands::Row(Cancelled | Deleted | Expired)) {
            return Would::NotAsked;
        }
        let event = match &found.arrived {
            Arrived::Event(event) => event,
            Arrived::Undecodable(undecodable) => return Would::Permanent(undecodable.reason.clone()),
        };
        let Some(handler) = self.handlers.find(event.ty()).and_then(|place| self.handlers.at(place)) else {
            return match self.unhandled {
                Unhandled::Skip => Would::Skipped,
                Unhandled::DeadLetter => {
                    Would::Permanent(format!("no handler for the type {:?}", event.ty()))
                }
            };
        };
        let running = Arc::clone(handler).run(Arc::clone(event));
        match tokio::time::timeout(self.timeout, running).await {
            // What it wants written and published is dropped here.
            Ok(Ok(_)) => Would::Handled,
            Ok(Err(error @ HandleError::Transient(_))) => Would::Transient(error.to_string()),
            Ok(Err(error @ HandleError::Permanent(_))) => Would::Permanent(error.to_string()),
            Err(_) => Would::Transient(format!("the handler took longer than {:?}", self.timeout)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::{Effects, Handler};
    use crate::event::{Event, NewEvent};

    #[test]
    fn what_differs_is_what_an_operator_would_be_called_for() {
        use Stands::{Ahead, Conflict, NoRow, Pruned, Row, Unrecorded};
        use Status::{Dead, Deferred, Handled, Handling, Parked};
        let all = [
            Row(Handled),
            Row(Dead),
            Row(Parked),
            Row(Deferred),
            Row(Handling),
            Pruned,
            Unrecorded,
            NoRow,
            Ahead,
            Conflict,
        ];
        let differing =
            |would: &Would| all.into_iter().filter(|stands| would.differs(*stands)).collect::<Vec<_>>();
        for succeeds in [Would::Handled, Would::Skipped] {
            assert_eq!(differing(&succeeds), [Row(Dead), Row(Parked)]);
        }
        assert_eq!(differing(&Would::Transient(String::new())), [Row(Handled), Pruned, Unrecorded]);
        let dies = [Row(Handled), Row(Deferred), Row(Handling), Pruned, Unrecorded];
        assert_eq!(differing(&Would::Permanent(String::new())), dies);
        assert_eq!(differing(&Would::NotAsked), []);
    }

    /// Does what the event's data says.
    struct Told;

    impl Handler for Told {
        type Data = String;

        async fn handle(&self, _: &Event, told: String) -> Result<Effects, HandleError> {
            match told.as_str() {
                "panic" => panic!("as told"),
                "hang" => std::future::pending().await,
                "fail" => Err(HandleError::transient("for now")),
                _ => Ok(Effects::none()),
            }
        }
    }

    fn found(ty: &str, data: &'static str, stands: Stands) -> Found {
        let event = NewEvent::new("/test", ty).data("text/plain", data).arrived().expect("an event");
        Found { arrived: Arrived::Event(Arc::new(event)), stands }
    }

    /// Catches: a panic that ends the tool, a handler that is waited for, events out of their order.
    #[tokio::test(start_paused = true)]
    async fn each_event_gets_its_outcome() {
        let handlers = Handlers::new().on("a", Told).expect("no tie");
        let timeout = Duration::from_secs(30);
        let shadow = Shadow { handlers, timeout, unhandled: Unhandled::DeadLetter };
        assert_eq!(shadow.reaching(), ["a"]);
        let events = [
            found("a", "hang", Stands::NoRow),
            found("a", "ok", Stands::NoRow),
            found("a", "panic", Stands::NoRow),
            found("a", "fail", Stands::NoRow),
            found("b", "ok", Stands::NoRow),
            found("a", "panic", Stands::Row(Status::Cancelled)),
            found("a", "panic", Stands::Conflict),
        ];
        let would = shadow.run(&events).await;
        let words: Vec<&str> = would.iter().map(|would| would.parts().0).collect();
        assert_eq!(
            words,
            ["transient", "handled", "permanent", "transient", "permanent", "not asked", "not asked"]
        );
        let reason = |at: usize| would[at].parts().1.unwrap_or_default().to_owned();
        assert!(reason(0).contains("30s") && reason(2).contains("panicked: as told"), "{would:?}");
        assert_eq!((reason(3), reason(4)), ("for now".into(), "no handler for the type \"b\"".into()));
        let skips = Shadow { unhandled: Unhandled::Skip, ..shadow };
        assert_eq!(skips.run(&events[4..5]).await, [Would::Skipped]);
    }
}
