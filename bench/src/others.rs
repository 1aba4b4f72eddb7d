//! Clients that are not ours, where this machine has them: kcat, and Kafka's own in Java.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::broker;
use crate::load::Load;
use crate::measure::{self, Run, count};
use crate::settings::Bench;
use crate::subject::header_bytes;

/// How many different lines Java's producer draws from: it keeps them all in memory.
const LINES: usize = 10_000;

fn answers(program: &str, flag: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(flag).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(crate) fn has_kcat() -> bool {
    answers("kcat", "-V")
}

/// It knows none of librdkafka's settings, and with others than the rest it would be no comparison. The embedded broker does
/// not answer all of its requests.
pub(crate) fn has_java(bench: &Bench) -> bool {
    bench.properties.is_empty()
        && bench.broker.is_whole()
        && answers("java", "-version")
        && broker::script().is_ok()
}

/// Reads the events from their beginning, in no group, and prints none of them.
pub(crate) fn kcat(bench: &Bench, topic: &str, events: u64) -> anyhow::Result<Run> {
    let number = events.to_string();
    let mut command = Command::new("kcat");
    command.args(["-C", "-q", "-b", &bench.servers, "-t", topic, "-o", "beginning", "-f", ""]);
    // Packaged ones do not know `fetch.queue.backoff.ms`: with a queue that never fills there is no such pause.
    command.args(["-X", "check.crcs=true", "-X", "queued.min.messages=10000000"]);
    command.args(["-X", "queued.max.messages.kbytes=2000000"]);
    command.args(bench.properties.iter().flat_map(|property| ["-X", property]));
    // It ends when it has got so many, and not before.
    measure::run(command.args(["-c", &number]), |_| Ok(events))
}

/// Kafka's own measure of its consumer. Its rate is the one that it prints: the start of the Java machine is not in it.
pub(crate) fn java_consumer(bench: &Bench, topic: &str, events: u64, round: u32) -> anyhow::Result<Run> {
    let mut command = tool("org.apache.kafka.tools.ConsumerPerformance")?;
    command.args(["--bootstrap-server", &bench.servers, "--topic", topic, "--hide-header"]);
    command.args(["--group", &format!("{topic}-java-{round}"), "--num-records", &events.to_string()]);
    let mut rate = 0.0;
    let run = measure::run(&mut command, |output| {
        let line =
            output.lines().rfind(|line| line.contains(", ")).context("no result of Java's consumer")?;
        let field = |index: usize| line.split(", ").nth(index).with_context(|| format!("too short: {line}"));
        // Times, megabytes, megabytes a second, records, records a second; then the time of the rebalance apart.
        rate = field(5)?.parse()?;
        Ok(field(4)?.parse()?)
    })?;
    // It counts what its last poll brought, too.
    let events = run.events.min(events);
    Ok(Run { events, wall: wall(events, rate)?, ..run })
}

/// Kafka's own measure of its producer, likewise. It writes no headers: their bytes are added to the value.
pub(crate) fn java_producer(bench: &Bench, topic: &str, load: &Load, file: &Path) -> anyhow::Result<Run> {
    let padded = bench.folder.join("padded");
    pad(file, &padded)?;
    let settings = bench.connection().producer()?;
    let setting = |name: &str| settings.get(name).map(|value| format!("{name}={value}"));
    let mut command = tool("org.apache.kafka.tools.ProducerPerformance")?;
    command.args(["--topic", topic, "--throughput", "-1", "--num-records", &load.events.to_string()]);
    command.arg("--payload-file").arg(&padded).arg("--producer-props");
    command.arg(format!("bootstrap.servers={}", bench.servers)).args(["acks=all", "enable.idempotence=true"]);
    command.arg(load.setting()).args(setting("linger.ms")).arg("batch.size=1000000");
    let mut rate = 0.0;
    let run = measure::run(&mut command, |output| {
        let line = output
            .lines()
            .rfind(|line| line.contains(" records/sec"))
            .context("no result of Java's producer")?;
        let (sent, rest) =
            line.split_once(" records sent, ").with_context(|| format!("not understood: {line}"))?;
        rate = rest.split(' ').next().unwrap_or_default().parse()?;
        count(sent)
    })?;
    Ok(Run { wall: wall(run.events, rate)?, ..run })
}

/// How long so many events took at the rate that was printed.
fn wall(events: u64, rate: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(events as f64 / rate)
        .with_context(|| format!("no rate: {rate} events a second"))
}

fn pad(file: &Path, padded: &Path) -> anyhow::Result<()> {
    let mut writer = BufWriter::new(File::create(padded)?);
    let padding = "x".repeat(header_bytes());
    for line in BufReader::new(File::open(file)?).lines().take(LINES) {
        writeln!(writer, "{}{padding}", line?)?;
    }
    Ok(writer.flush()?)
}

fn tool(class: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(broker::script()?);
    command.args(["tool", class]).stderr(Stdio::null());
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_none_is_an_error() {
        assert_eq!(wall(10, 5.0).ok(), Some(Duration::from_secs(2)));
        assert!([0.0, -1.0, f64::NAN].into_iter().all(|rate| wall(10, rate).is_err()));
    }
}
