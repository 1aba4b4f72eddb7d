//! What was sampled, for people and for machines.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use shared::flow::{Drain, Estimate, Line, Spread, WORST_ERROR, spread};
use shared::listing::{self, Output, Row};
use shared::store::{Pausable, Pause};
use shared::telemetry::Printable;

use super::sampled::{Partition, Sampled};
use crate::tools::pausing;

/// A partition's row; its fields are named by their units.
#[derive(Serialize)]
struct PartitionRow<'a> {
    of: &'static str,
    topic: &'a str,
    partition: i32,
    low: i64,
    high: i64,
    committed: Option<i64>,
    behind_seconds: Option<f64>,
    #[serde(flatten)]
    flow: Estimate,
    owner: Option<&'a str>,
    paused: Option<String>,
    #[serde(skip)]
    host: Option<&'a str>,
}

impl Row for PartitionRow<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "topic",
        "partition",
        "low",
        "high",
        "committed",
        "lag",
        "behind",
        "produced/s",
        "consumed/s",
        "drained",
        "owner",
    ];

    fn cells(&self) -> Vec<String> {
        let owner = self
            .owner
            .map(|owner| format!("{} ({})", Printable(owner), Printable(self.host.unwrap_or_default())));
        vec![
            Printable(self.topic).to_string(),
            self.partition.to_string(),
            self.low.to_string(),
            self.high.to_string(),
            self.committed.map_or_else(|| "nothing".to_owned(), |at| at.to_string()),
            self.flow.lag.to_string(),
            self.behind_seconds.map_or_else(|| "?".to_owned(), time),
            rate(self.flow.production),
            rate(self.flow.consumption),
            drained(self.flow.drain),
            owner.unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

/// A member's row.
#[derive(Serialize)]
struct MemberRow<'a> {
    of: &'static str,
    member: &'a str,
    client: &'a str,
    host: &'a str,
    /// Of those that are described.
    partitions: usize,
    lag: i64,
    consumed_per_second: f64,
}

impl Row for MemberRow<'_> {
    const COLUMNS: &'static [&'static str] = &["member", "client", "host", "partitions", "lag", "consumed/s"];

    fn cells(&self) -> Vec<String> {
        let text = |text: &str| Printable(text).to_string();
        vec![
            text(self.member),
            text(self.client),
            text(self.host),
            self.partitions.to_string(),
            self.lag.to_string(),
            format!("{:.1}", self.consumed_per_second),
        ]
    }
}

/// All of it.
#[derive(Serialize)]
struct Whole<'a> {
    of: &'static str,
    group: &'a str,
    state: Option<&'a str>,
    members: usize,
    members_hidden: Option<&'a str>,
    #[serde(flatten)]
    flow: Estimate,
    partitions_a_member: Option<Spread>,
    consumed_a_member: Option<Spread>,
    paused: &'a [Pause],
}

pub(super) fn print(
    to: &mut impl Write,
    sampled: &Sampled,
    group: &str,
    pauses: &[Pause],
    output: Output,
) -> io::Result<()> {
    let rows: Vec<_> = sampled.partitions.iter().map(|one| partition(one, sampled, pauses)).collect();
    let members: Vec<_> = (0..sampled.members.len()).map(|number| member(number, sampled)).collect();
    let column = |of: &dyn Fn(&MemberRow<'_>) -> f64| spread(&members.iter().map(of).collect::<Vec<_>>());
    let whole = Whole {
        of: "group",
        group,
        state: sampled.state.as_deref(),
        members: members.len(),
        members_hidden: sampled.hidden.as_deref(),
        flow: sampled.whole,
        partitions_a_member: column(&|row| row.partitions as f64),
        consumed_a_member: column(&|row| row.consumed_per_second),
        paused: pauses,
    };
    listing::print(to, &rows, output)?;
    if output == Output::Json {
        listing::print(to, &members, output)?;
        return listing::print_object(to, &whole);
    }
    writeln!(to)?;
    if !members.is_empty() {
        listing::print(to, &members, output)?;
        writeln!(to)?;
    }
    summary(to, &whole, sampled)
}

fn partition<'a>(one: &'a Partition, sampled: &'a Sampled, pauses: &[Pause]) -> PartitionRow<'a> {
    let owner = one.owner.and_then(|number| sampled.members.get(number));
    PartitionRow {
        of: "partition",
        topic: &one.place.0,
        partition: one.place.1,
        low: one.ends.low,
        high: one.ends.high,
        committed: one.committed,
        behind_seconds: one.behind.map(|behind| behind.as_secs_f64()),
        flow: one.flow,
        owner: owner.map(|member| &*member.id),
        paused: pausing::since(pauses, Pausable::Topic, &one.place.0),
        host: owner.map(|member| &*member.host),
    }
}

fn member(number: usize, sampled: &Sampled) -> MemberRow<'_> {
    let its: Vec<_> = sampled.partitions.iter().filter(|one| one.owner == Some(number)).collect();
    let member = &sampled.members[number];
    MemberRow {
        of: "member",
        member: &member.id,
        client: &member.client_id,
        host: &member.host,
        partitions: its.len(),
        lag: its.iter().map(|one| one.flow.lag).sum(),
        consumed_per_second: its.iter().filter_map(|one| one.flow.consumption).map(|line| line.rate).sum(),
    }
}

fn summary(to: &mut impl Write, whole: &Whole<'_>, sampled: &Sampled) -> io::Result<()> {
    let Estimate { production, consumption, lag, drain } = whole.flow;
    let behind = sampled.partitions.iter().filter_map(|one| one.behind).max().unwrap_or(Duration::ZERO);
    let state = whole.state.map(|state| format!(" ({})", Printable(state))).unwrap_or_default();
    let written = if lag == 0 {
        String::new()
    } else {
        format!(", the oldest of them written {} ago", time(behind.as_secs_f64()))
    };
    let group = Printable(whole.group);
    writeln!(to, "group {group}{state}: {lag} records behind{written}; {}", prediction(drain))?;
    writeln!(to, "produced {}, consumed {}", fitted(production), fitted(consumption))?;
    if let (Some(partitions), Some(consumed)) = (whole.partitions_a_member, whole.consumed_a_member) {
        writeln!(
            to,
            "over {} members: {:.1} partitions each (most less least {}), {:.1} records/s each (most less least {:.1})",
            whole.members, partitions.mean, partitions.range, consumed.mean, consumed.range
        )?;
    }
    if let Some(why) = whole.members_hidden {
        writeln!(to, "members: not known. {why}")?;
    }
    for Pause { what, name, since } in whole.paused {
        let noun = if *what == Pausable::Topic { "topic" } else { "handler" };
        writeln!(to, "the {noun} {} is paused since {since:.0}", Printable(name))?;
    }
    Ok(())
}

fn rate(line: Option<Line>) -> String {
    line.map_or_else(|| "?".to_owned(), |line| format!("{:.1}", line.rate))
}

fn fitted(line: Option<Line>) -> String {
    let Some(Line { rate, error, r2, samples }) = line else {
        return "at a rate that is not known".to_owned();
    };
    format!("{rate:.1}/s (± {error:.1}, {samples} samples, R² {r2:.2})")
}

/// In a column.
fn drained(drain: Drain) -> String {
    match drain {
        Drain::CaughtUp => "now".to_owned(),
        Drain::In(seconds) => format!("in {}", time(seconds)),
        Drain::Never => "never".to_owned(),
        Drain::TooFewSamples(_) | Drain::PoorFit(_) => "?".to_owned(),
    }
}

/// In a sentence.
fn prediction(drain: Drain) -> String {
    match drain {
        Drain::CaughtUp => "caught up".to_owned(),
        Drain::In(seconds) => format!("at this rate caught up in {}", time(seconds)),
        Drain::Never => "never caught up at this rate: consumption is not faster than production".to_owned(),
        Drain::TooFewSamples(samples) => format!("no prediction: {samples} samples say nothing"),
        Drain::PoorFit(_) => format!(
            "no prediction: the rates are too uneven, their difference may be wrong by more than {:.0} %; try a longer --for",
            WORST_ERROR * 100.0
        ),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}
