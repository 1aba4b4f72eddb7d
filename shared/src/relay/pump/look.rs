//! A look at the outbox, and what to send of it.

use rdkafka::error::RDKafkaErrorCode;
use tokio::time::Instant;

use super::Pump;
use crate::dead_letter;
use crate::record::Record;
use crate::relay::fault::Fault;
use crate::relay::line::Line;
use crate::store::{OutboxRow, StoreError};

impl Pump {
    /// Reads the lowest rows, and sends what may go.
    pub(super) async fn look(&mut self) -> Result<(), StoreError> {
        let (most, bytes) = self.window.limits();
        // What is held is not read either: it may be very much, and would be read again each time.
        let held: Vec<String> = self.held.keys().filter(|topic| self.is_held(topic)).cloned().collect();
        let rows = self.lease.within(self.store.outbox(most, bytes, held.clone())).await?;
        let chosen = self.window.choose(&rows);
        let is_quiet = chosen.is_empty() && self.window.len() == 0;
        // All that was read is stuck, and there may be more above: the next look reads further.
        let is_cut = rows.len() >= most || rows.iter().map(|row| row.packed.len()).sum::<usize>() >= bytes;
        self.is_pressed |= is_quiet && is_cut;
        let is_idle = is_quiet && !is_cut && held.is_empty();
        if self.lease.is_held() && Instant::now() >= self.send_after {
            self.send(chosen.into_iter().filter_map(|index| rows.get(index)));
        }
        let (in_flight, stuck) = (self.window.len(), self.window.stuck().rows);
        self.progress.send_modify(|progress| {
            progress.looks += 1;
            (progress.is_idle, progress.in_flight, progress.stuck) = (is_idle, in_flight, stuck);
        });
        Ok(())
    }

    /// Sends rows until one does not go: nothing may go before it.
    fn send<'a>(&mut self, rows: impl Iterator<Item = &'a OutboxRow>) {
        for row in rows {
            let Some(record) = self.record(row) else { return self.is_pressed = true };
            match self.hand_over(row, &record) {
                Ok(()) => {
                    self.window.sent(row);
                    self.topics.insert(row.number, row.topic.clone());
                }
                Err(RDKafkaErrorCode::QueueFull) => return,
                Err(code) => {
                    self.is_pressed = true;
                    if Fault::of(code).is_own() {
                        return self.condemn(row.number, code);
                    }
                    self.topics.insert(row.number, row.topic.clone());
                    self.failed.push((row.number, code));
                    self.failing_since.get_or_insert_with(Instant::now);
                    return;
                }
            }
        }
    }

    /// What to send for a row. `None` if there is nothing: it is refused.
    fn record(&mut self, row: &OutboxRow) -> Option<Record> {
        let record = Record::unpack(&row.packed, "", 0, 0);
        let (record, reason) = match (record, self.oversized.get(&row.number)) {
            (None, _) => (None, "what the outbox holds there is no record".to_owned()),
            (record, None) => (record, String::new()),
            (Some(record), Some(refusals)) => {
                let reason = format!("larger than the topic {} takes", row.topic);
                (dead_letter::pointer(&row.topic, &record, *refusals), reason)
            }
        };
        if record.is_none() {
            self.refused.push((row.number, reason));
        }
        record
    }

    fn hand_over(&mut self, row: &OutboxRow, record: &Record) -> Result<(), RDKafkaErrorCode> {
        let line = match self.line.take() {
            Some(line) => line,
            None => Line::new(&self.config).map_err(|_| RDKafkaErrorCode::Fail)?,
        };
        self.line.insert(line).send(row.number, &row.topic, record)
    }
}
