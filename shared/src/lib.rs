//! What both services need: the event, the Kafka client around it, and the consumer runtime.
//!
//! # Layout
//! - [`event`]: the envelope (CloudEvents), to and from a record's headers; [`record`]: the bytes as Kafka has them.
//! - [`client`]: librdkafka's settings, each with its reason; reaching a broker, making topics. [`topic`]: names.
//! - [`producer`]: events to a topic, in order, each accounted for.
//! - [`outbox`]: events into the store first; `relay`: from there to Kafka; [`dead_letter`]: a dead letter as a record.
//! - [`command`]: a request to one service, and its reply; who sends one waits for it here.
//! - [`consumer`]: from a topic to a handler; the offset moves only behind what is settled.
//! - [`store`]: the ledger of events, the outbox, and what handlers write; in SQLite or PostgreSQL.
//! - [`desk`]: what operators ask of the store.
//! - [`manual`]: completions for shells and manual pages, from the settings.
//! - [`flow`]: how fast records come and go, and when what is behind will be gone.
//! - [`testkit`]: a handler tested with one event and no broker.
//! - [`broker`]: Kafka in this process, in memory, for the demo and the tests.
//! - [`listing`]: what tools print, as a table or as JSON; [`readable`]: data as people read it.
//! - [`config`], [`telemetry`], [`shutdown`]: settings, logs and signals, alike in both services.
//! - `raw`: the few calls that rdkafka does not wrap safely; with the broker's `mock` the only unsafe code.
//!
//! # Follow one event
//! 1. service-a's event source makes an [`event::NewEvent`]: an id, a type, a key, data.
//! 2. [`producer::Publisher`] writes it as a record, waits while the queue is full, counts the acknowledgement.
//! 3. service-b's poll thread copies the record once, hashes its key, hands it to that key's lane.
//! 4. The lane decodes it. A record that holds no event becomes a dead letter, and the partition goes on.
//! 5. The event waits while one of its key is under way; then its [`consumer::Handler`] runs, unless the brake is on or an
//!    operator has paused it. Before a handler that reaches out, the ledger says so in a row: from there on it is too late to
//!    cancel the event, and an event that was there before is not handled.
//! 6. The outcome: done with its [`consumer::Effects`], or deferred to another attempt (its key waits in the ledger, others
//!    do not), or a dead letter.
//! 7. The [`store`] settles it: the ledger's row, the effects and what is to be published are one transaction.
//! 8. Its offset goes back to the poll thread, which stores the offset behind which all is settled.
//! 9. librdkafka commits it within a second; a clean stop or rebalance commits at once, before letting go.
//! 10. What the transaction left in the outbox, the relay publishes: dead letters, follow-up events.
#![deny(unsafe_code)]

pub mod broker;
pub mod client;
pub mod command;
pub mod config;
pub mod consumer;
pub mod dead_letter;
pub mod desk;
pub mod event;
pub mod flow;
pub mod listing;
pub mod manual;
pub mod outbox;
pub mod producer;
mod raw;
pub mod readable;
pub mod record;
mod relay;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod testkit;
pub mod topic;
