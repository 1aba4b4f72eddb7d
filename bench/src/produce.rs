//! Publishing a file: service-a beside bare producers with the same settings and the same bytes.

use std::path::Path;
use std::process::Command;

use crate::check::check;
use crate::contest::{Contest, Subject};
use crate::load::{self, Load, Loads, PARTITIONS};
use crate::measure::{self, Run, count};
use crate::settings::Bench;
use crate::{others, service};

/// Publishes the same file in turn, each time to a topic of its own.
///
/// # Errors
/// No broker, or a subject of which not every event was acknowledged.
pub(crate) fn run(bench: &Bench, loads: &Loads) -> anyhow::Result<()> {
    let service_a = measure::program("service-a")?;
    for (number, load) in loads.all()?.into_iter().enumerate() {
        let file = load.write(&bench.folder)?;
        let name = format!("{}-{number}", bench.name);
        let ours = |round| {
            let topic = format!("{name}-ours-{round}");
            in_topic(bench, &topic, || {
                let mut command = Command::new(&service_a);
                command.args(bench.flags()).args(["--topic", &topic, "--kafka", &load.setting(), "--from"]);
                let run = measure::run(command.arg(&file), service::acknowledged)?;
                // What was read back once is what all rounds publish.
                if round == 0 {
                    check(bench, &topic, load.events)?;
                }
                Ok(run)
            })
        };
        let mut subjects = vec![
            Subject { name: "service-a --from".to_owned(), run: Box::new(ours) },
            bare(bench, &name, &load, &file, "BaseProducer", "base-producer"),
            bare(bench, &name, &load, &file, "FutureProducer, window", "future-producer"),
        ];
        if others::has_java(bench) {
            let run = |round| {
                let topic = format!("{name}-java-{round}");
                in_topic(bench, &topic, || others::java_producer(bench, &topic, &load, &file))
            };
            subjects.push(Subject {
                name: "Java ProducerPerformance, without its start".to_owned(),
                run: Box::new(run),
            });
        }
        Contest {
            scenario: "produce",
            variant: load.variant(),
            events: load.events,
            warm_up: true,
            subjects,
        }
        .run(bench)?;
    }
    Ok(())
}

fn bare<'a>(
    bench: &'a Bench,
    name: &'a str,
    load: &'a Load,
    file: &'a Path,
    shown: &'static str,
    client: &'static str,
) -> Subject<'a> {
    let run = move |round| {
        let topic = format!("{name}-{client}-{round}");
        in_topic(bench, &topic, || {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["subject", client]).args(bench.flags()).args(["--kafka", &load.setting()]);
            command.args(["--topic", &topic, "--events", &load.events.to_string(), "--from"]);
            measure::run(command.arg(file), count)
        })
    };
    Subject { name: shown.to_owned(), run: Box::new(run) }
}

/// Makes the topic before, and deletes it after: neither is measured.
fn in_topic(bench: &Bench, topic: &str, run: impl FnOnce() -> anyhow::Result<Run>) -> anyhow::Result<Run> {
    load::make_now(bench, topic, PARTITIONS)?;
    let run = run()?;
    // Not what the subject says, but what the broker has.
    let records = load::records(bench, topic, PARTITIONS)?;
    anyhow::ensure!(records == run.events, "{topic} has got {records} records instead of {}", run.events);
    load::delete(bench, &[topic])?;
    Ok(run)
}
