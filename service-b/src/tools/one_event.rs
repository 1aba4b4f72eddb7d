//! One event: what is known of it, and what an operator does to it.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use shared::config::FILTER;
use shared::desk::{Answered, FullEvent, Operation, Status};
use shared::listing::{self, Output};
use shared::telemetry::Printable;

use super::{StoreArgs, show};

/// Which event.
#[derive(Debug, Args)]
pub struct OneEvent {
    /// The event's id
    id: String,

    /// Its source: two sources may use the same id
    #[arg(long, value_name = "URI", help_heading = FILTER)]
    source: Option<String>,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    #[serde(flatten)]
    answer: &'a Answered,
}

impl OneEvent {
    pub(super) fn of(id: String, source: Option<String>, store: StoreArgs) -> Self {
        Self { id, source, store }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// It, once for each source that has used its id.
    async fn find(&self) -> anyhow::Result<Vec<FullEvent>> {
        let found = self.store.desk().await?.find(&self.id, self.source.as_deref()).await?;
        anyhow::ensure!(
            !found.is_empty(),
            show::unknown(&self.id, self.source.as_deref(), &self.store.group)
        );
        Ok(found)
    }

    /// Shows all that is known of it.
    pub(super) async fn show(&self) -> anyhow::Result<()> {
        self.print(&self.find().await?)
    }

    /// Shows it as a dead letter, which it has to be.
    pub(super) async fn show_dead_letter(&self) -> anyhow::Result<()> {
        let mut found = self.find().await?;
        let status = found[0].event.status;
        found.retain(|found| matches!(found.event.status, Status::Dead | Status::Parked));
        anyhow::ensure!(
            !found.is_empty(),
            "the event {} is {status} and no dead letter: `service-b events get` shows it",
            Printable(&self.id)
        );
        self.print(&found)
    }

    fn print(&self, found: &[FullEvent]) -> anyhow::Result<()> {
        show::print(&mut io::stdout(), found, self.store.common.output)
    }

    /// Where its bytes are still to be found: deleting does not reach into Kafka.
    pub(super) async fn say_what_remains(&self) -> anyhow::Result<()> {
        if self.store.common.output == Output::Json {
            return Ok(()); // `events get` has its place
        }
        let found = self.store.desk().await?.find(&self.id, self.source.as_deref()).await?;
        for event in found.iter().map(|found| &found.event).filter(|event| !event.topic.is_empty()) {
            let place = format!("{}/{}/{}", event.topic, event.partition, event.offset);
            let was_dead =
                found.iter().flat_map(|found| &found.operations).any(|one| one.status == Status::Dead);
            let letter = format!(", its dead letter in dlq.{}.{}", self.store.group, event.topic);
            writeln!(
                io::stdout(),
                "In Kafka its record stays at {}{}: `streams truncate` and `streams delete-key` are for those",
                Printable(&place),
                Printable(if was_dead { &letter } else { "" })
            )?;
        }
        Ok(())
    }

    /// Does it, and prints the answer: the reason why not is an error.
    pub(super) async fn run(&self, operation: Operation) -> anyhow::Result<()> {
        let operator = self.store.operator().await?;
        let answer = operator.act(operation, &self.id, self.source.as_deref()).await?;
        let hint = match &answer {
            Answered::Unknown if operation == Operation::Cancel => {
                ". With --source it is cancelled when it arrives"
            }
            _ => "",
        };
        if self.store.common.output == Output::Json {
            listing::print_object(&mut io::stdout(), &Line { id: &self.id, answer: &answer })?;
        } else if answer.is_done() {
            writeln!(io::stdout(), "{}", Printable(&answer.to_string()))?;
        }
        anyhow::ensure!(
            answer.is_done(),
            "{}: {}{hint}",
            Printable(&self.id),
            Printable(&answer.to_string())
        );
        Ok(())
    }
}
