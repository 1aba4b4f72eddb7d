//! One event with all that is known of it.

use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::Timestamp;
use shared::desk::{EventRow, FullEvent, KeptRecord, PastOperation};
use shared::listing::{self, Output};
use shared::readable::readable;
use shared::telemetry::Printable;

/// That nobody knows the event.
pub(super) fn unknown(id: &str, source: Option<&str>, group: &str) -> String {
    let of = source.map(|source| format!(" of {}", Printable(source))).unwrap_or_default();
    format!(
        "the ledger of the group {} has no event {}{of}: it has not arrived yet, or was forgotten since",
        Printable(group),
        Printable(id)
    )
}

/// Prints one in full. Where several sources have used its id: as objects each in full, for people a table.
pub(super) fn print(to: &mut impl Write, found: &[FullEvent], output: Output) -> anyhow::Result<()> {
    match (output, found) {
        (Output::Text, [one]) => to.write_all(text(one).as_bytes())?,
        (Output::Text, several) => {
            let rows: Vec<EventRow> = several.iter().map(|found| found.event.clone()).collect();
            listing::print(to, &rows, Output::Text)?;
            writeln!(io::stderr(), "Several sources have used this id: add --source URI to see one in full")?;
        }
        (Output::Json, all) => all.iter().try_for_each(|found| listing::print_object(to, found))?,
    }
    Ok(())
}

fn text(found: &FullEvent) -> String {
    let FullEvent { event, trace_id, record, operations } = found;
    let mut text = String::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<11} {}", Printable(&value)); // into memory: it does not fail
        }
    };
    let at = |moment: Option<Timestamp>| moment.map(|moment| moment.to_string());
    let waits = event.waits.map(|waits| format!(" ({waits})")).unwrap_or_default();
    say("id", Some(event.id.clone()));
    say("source", Some(event.source.clone()));
    say("type", event.ty.clone());
    say("key", event.key.as_ref().map(ToString::to_string));
    say("status", Some(format!("{}{waits}", event.status)));
    say("reason", event.reason.clone());
    say("attempts", Some(event.attempts.to_string()));
    say("redrives", (event.redrives > 0).then(|| event.redrives.to_string()));
    say("due", at(event.due));
    say("time", at(event.time));
    say("first seen", at(event.first_seen));
    say("settled", at(event.settled));
    let place = format!("{}/{}/{}", event.topic, event.partition, event.offset);
    say("record", (!event.topic.is_empty()).then_some(place));
    say("row", Some(event.row.to_string()));
    say("trace", trace_id.clone());
    text + &record.as_ref().map(kept).unwrap_or_default() + &history(operations)
}

fn kept(record: &KeptRecord) -> String {
    let mut text = "headers\n".to_owned();
    for header in &record.headers {
        let (name, value) = (header.name.to_string(), header.value.as_ref().map(ToString::to_string));
        let value = value.unwrap_or_else(|| "(null)".to_owned());
        let _ = writeln!(text, "  {}: {}", Printable(&name), Printable(&value));
    }
    let content_type = record.content_type.as_deref().unwrap_or("no event");
    let _ = writeln!(text, "data ({})", Printable(content_type));
    match record.content() {
        Some(data) => readable(&data.0).lines().for_each(|line| {
            let _ = writeln!(text, "  {line}");
        }),
        None => text.push_str("  (none)\n"),
    }
    text
}

fn history(operations: &[PastOperation]) -> String {
    let mut text = String::new();
    for (number, operation) in operations.iter().enumerate() {
        let heading = if number == 0 { "operations\n" } else { "" };
        let at = operation.at.map(|at| at.to_string()).unwrap_or_default();
        let PastOperation { what, status, attempts, reason, .. } = operation;
        let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{heading}  {at} {what}, was {status} after {attempts} attempts{}",
            Printable(&reason)
        );
    }
    text
}
