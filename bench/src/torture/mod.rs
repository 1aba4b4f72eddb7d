//! The pair under faults, and an oracle that looks at what is left.
//!
//! `cargo run --release -p bench -- torture --kills 100 --seconds 600 --broker jars`
//!
//! - `schedule`: which fault when, drawn from the seed; pure.
//! - `events`: the numbered lines that service-a publishes; `member`: the handler that they meet in service-b.
//! - `fleet`: the programs, and what is done to them.
//! - `topic`, `database`: what is found at the end, as `facts`. `samples`: what the members held meanwhile.
//! - `oracle`: whether the promises were kept; pure. `report`: what is printed.

mod database;
mod events;
mod facts;
mod fleet;
pub(crate) mod member;
mod oracle;
mod report;
mod run;
mod samples;
mod schedule;
mod settings;
mod topic;

pub(crate) use self::run::run;
pub(crate) use self::settings::Settings;
