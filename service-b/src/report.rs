//! The closing line on standard output, and the exit code.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use shared::consumer::Summary;
use shared::listing::Output;

/// Prints what the run came to. `took` is given where the run had an end of its own, and so a rate.
pub fn close(summary: &Summary, took: Option<Duration>, output: Output) -> ExitCode {
    let line = match output {
        Output::Text => text(summary, took),
        Output::Json => json(summary, took),
    };
    // Nobody may be reading any more; that is no failure of the run.
    let _ = writeln!(std::io::stdout(), "{line}");
    ExitCode::SUCCESS
}

/// Says why the run failed.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "service-b: {error:#}");
    ExitCode::FAILURE
}

fn text(summary: &Summary, took: Option<Duration>) -> String {
    let mut parts =
        vec![format!("handled {}", summary.handled), format!("dead letters {}", summary.dead_letters)];
    if summary.duplicates > 0 {
        parts.push(format!("known already {}", summary.duplicates));
    }
    if summary.retries > 0 {
        parts.push(format!("retries {}", summary.retries));
    }
    if summary.duplicates_possible > 0 {
        parts.push(format!("{} may be handled again", summary.duplicates_possible));
    }
    let timed =
        took.map(|took| format!(" in {:.1} s ({:.0} events/s)", took.as_secs_f64(), rate(summary, took)));
    parts.join(", ") + &timed.unwrap_or_default()
}

fn json(summary: &Summary, took: Option<Duration>) -> String {
    let mut object = json!(summary);
    if let Some(took) = took {
        object["seconds"] = json!(took.as_secs_f64());
        object["events_per_second"] = json!(rate(summary, took));
    }
    object.to_string()
}

fn rate(summary: &Summary, took: Duration) -> f64 {
    (summary.handled + summary.dead_letters) as f64 / took.as_secs_f64().max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_there_is_to_say() {
        let mut summary = Summary { handled: 10, ..Summary::default() };
        assert_eq!(text(&summary, None), "handled 10, dead letters 0");
        summary.retries = 2;
        assert_eq!(
            text(&summary, Some(Duration::from_secs(2))),
            "handled 10, dead letters 0, retries 2 in 2.0 s (5 events/s)"
        );
        assert!(json(&summary, Some(Duration::from_secs(2))).contains(r#""events_per_second":5.0"#));
    }
}
