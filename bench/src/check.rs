//! Whether what a scenario drains is what it says: every event once, and those of a key in their order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use shared::consumer::{Effects, HandleError, Handler, Handlers};
use shared::event::Event;
use shared::store::TemporaryStore;

use crate::keys::member;
use crate::load::number;
use crate::settings::Bench;

/// Handles a topic's events once more, with a handler that looks at them.
///
/// # Errors
/// An event is missing, came twice, or came before an earlier one of its key.
#[tokio::main]
pub(crate) async fn check(bench: &Bench, topic: &str, events: u64) -> anyhow::Result<()> {
    let group = format!("{topic}-check");
    let store = TemporaryStore::new()?;
    let config = member(bench, topic, &group, &["--delivery", "at-least-once", "--until-caught-up"], &store)?;
    let seen = Arc::new(Mutex::new(Seen { times: vec![0; events as usize], ..Seen::default() }));
    let handlers = Handlers::new().on("*", Checker(Arc::clone(&seen)))?;
    service_b::run(config, handlers, Arc::default(), std::future::pending()).await?;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = seen.count(|times| times == 0);
    let repeated = seen.count(|times| times > 1);
    anyhow::ensure!(
        missing == 0 && repeated == 0 && seen.strange == 0 && seen.out_of_order == 0,
        "of {events} events {missing} are missing and {repeated} came twice; {} are not of this run, {} came before an \
         earlier one of their key",
        seen.strange,
        seen.out_of_order
    );
    Ok(())
}

#[derive(Debug, Default)]
struct Seen {
    /// By the event's number.
    times: Vec<u8>,
    last: HashMap<Vec<u8>, u64>,
    strange: u64,
    out_of_order: u64,
}

impl Seen {
    fn count(&self, which: fn(u8) -> bool) -> usize {
        self.times.iter().filter(|times| which(**times)).count()
    }

    fn note(&mut self, key: Option<&[u8]>, data: &[u8]) {
        let Some((number, times)) =
            number(data).and_then(|number| Some((number, self.times.get_mut(number as usize)?)))
        else {
            self.strange += 1;
            return;
        };
        *times = times.saturating_add(1);
        if let Some(key) = key {
            let before = self.last.insert(key.to_vec(), number);
            self.out_of_order += u64::from(before.is_some_and(|before| before >= number));
        }
    }
}

struct Checker(Arc<Mutex<Seen>>);

impl Handler for Checker {
    type Data = ();

    async fn handle(&self, event: &Event, (): ()) -> Result<Effects, HandleError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(event.key(), event.data().unwrap_or_default());
        Ok(Effects::none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_repeated_or_out_of_order_is_seen() {
        let mut seen = Seen { times: vec![0; 3], ..Seen::default() };
        seen.note(Some(b"a"), b"2 x");
        seen.note(Some(b"a"), b"1 x");
        seen.note(None, b"1 x");
        seen.note(None, b"7 x");
        assert_eq!(seen.times, [0, 2, 1]);
        assert_eq!((seen.out_of_order, seen.strange), (1, 1));
    }
}
