//! Draining a backlog: service-b's whole runtime beside bare loops with the same settings, and other clients.

use std::process::Command;

use shared::store::TemporaryStore;

use crate::check::check;
use crate::contest::{Contest, Subject};
use crate::load::{self, Load, Loads};
use crate::measure::{self, Run, count};
use crate::settings::Bench;
use crate::{others, service};

/// Fills a topic for each load, then drains it in turn, each time in a group of its own.
///
/// # Errors
/// No broker, or a subject that does not handle every event.
pub(crate) fn run(bench: &Bench, loads: &Loads) -> anyhow::Result<()> {
    let service_b = measure::program("service-b")?;
    for (number, load) in loads.all()?.into_iter().enumerate() {
        let topic = format!("{}-{number}", bench.name);
        load.fill(bench, &topic)?;
        check(bench, &topic, load.events)?;
        let ours = |round| {
            let (store, group) = (TemporaryStore::new()?, format!("{topic}-ours-{round}"));
            load::make_dead_letters(bench, &topic, &group)?;
            let mut command = Command::new(&service_b);
            command.args(bench.flags()).args(["--topic", &topic, "--group", &group]);
            command.args(["--handle", "*=discard", "--delivery", "at-least-once", "--until-caught-up"]);
            command.args(["--output", "json", "--store", &store.url().to_string()]);
            measure::run(&mut command, service::handled)
        };
        let mut subjects = vec![
            Subject { name: "service-b, discard".to_owned(), run: Box::new(ours) },
            bare(bench, &topic, &load, "StreamConsumer, tuned", "stream-consumer", &[]),
            bare(bench, &topic, &load, "StreamConsumer, tuned, headers", "header-stream-consumer", &[]),
            bare(bench, &topic, &load, "BaseConsumer, tuned", "base-consumer", &[]),
            bare(bench, &topic, &load, "StreamConsumer, defaults", "default-stream-consumer", &[]),
        ];
        if others::has_kcat() {
            let run = |_| others::kcat(bench, &topic, load.events);
            subjects.push(Subject { name: "kcat".to_owned(), run: Box::new(run) });
        }
        if others::has_java(bench) {
            let run = |round| others::java_consumer(bench, &topic, load.events, round);
            subjects.push(Subject {
                name: "Java ConsumerPerformance, without its start".to_owned(),
                run: Box::new(run),
            });
        }
        Contest { scenario: "drain", variant: load.variant(), events: load.events, warm_up: true, subjects }
            .run(bench)?;
        load::delete(bench, &[&topic])?;
    }
    Ok(())
}

/// A bare client, with these settings beside those of the run.
pub(crate) fn bare<'a>(
    bench: &'a Bench,
    topic: &'a str,
    load: &Load,
    name: &'static str,
    client: &'static str,
    settings: &'a [&'a str],
) -> Subject<'a> {
    let events = load.events.to_string();
    let run = move |round| -> anyhow::Result<Run> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["subject", client]).args(bench.flags()).args(settings);
        command.args(["--topic", topic, "--events", &events]);
        measure::run(command.args(["--group", &format!("{topic}-{client}-{round}")]), count)
    };
    Subject { name: name.to_owned(), run: Box::new(run) }
}
