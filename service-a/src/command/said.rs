//! What came of a command, on the terminal and for machines.

use std::io::Write;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use shared::command::{Answer, Reply};
use shared::listing::Output;
use shared::telemetry::Printable;

use super::Send;
use crate::dry_run::escaped;

/// What came of a command.
#[derive(Debug, Serialize)]
pub(super) struct Said<'a> {
    id: String,
    command: &'a str,
    to: &'a str,
    /// `sent`, `replied`, `failed` or `no reply`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl<'a> Said<'a> {
    /// The command is in Kafka, and that is all that was wanted.
    pub(super) fn sent(send: &'a Send, id: String) -> Self {
        let (command, to) = (send.name.as_str(), send.calling.to.as_str());
        Self { id, command, to, outcome: "sent", from: None, data: None, reason: None }
    }

    /// With its reply, or without one in time.
    pub(super) fn of(send: &'a Send, id: String, reply: Option<Reply>) -> Self {
        let mut said = Self::sent(send, id);
        let Some(Reply { source, answer }) = reply else {
            said.outcome = "no reply";
            said.reason = Some(format!(
                "no reply within {:?}: the command may still be carried out; ask again with --id {}",
                send.calling.wait, said.id
            ));
            return said;
        };
        said.from = Some(source);
        match answer {
            Answer::Data { content_type, data } => {
                said.outcome = "replied";
                said.data = value(&content_type, &data);
            }
            Answer::Failure(reason) => {
                said.outcome = "failed";
                said.reason = Some(reason);
            }
        }
        said
    }

    fn is_good(&self) -> bool {
        matches!(self.outcome, "sent" | "replied")
    }

    /// To standard output what is a result, to standard error why there is none. Gives the exit code.
    pub(super) fn print(&self, output: Output) -> ExitCode {
        let mut out = std::io::stdout().lock();
        // Nobody may be reading any more; that is no failure of the command.
        let _ = match output {
            Output::Json => serde_json::to_string(self)
                .map_err(Into::into)
                .and_then(|object| writeln!(out, "{}", escaped(object))),
            Output::Text if self.is_good() => writeln!(out, "{}", self.line()),
            Output::Text => Ok(()),
        };
        if let Some(reason) = &self.reason {
            let _ = writeln!(std::io::stderr(), "service-a: {}: {}", self.command, Printable(reason));
        }
        if self.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn line(&self) -> String {
        match &self.data {
            Some(Value::String(text)) => Printable(text).to_string(),
            Some(data) => escaped(data.to_string()),
            None if self.outcome == "sent" => format!("sent {}", self.id),
            None => "done".to_owned(),
        }
    }
}

/// JSON as it is, text as text, other bytes as `{"base64": …}`; nothing for a reply that says nothing.
fn value(content_type: &str, data: &[u8]) -> Option<Value> {
    if data.is_empty() {
        return None;
    }
    let json = shared::event::is_json(content_type).then(|| serde_json::from_slice(data).ok()).flatten();
    let text = || std::str::from_utf8(data).ok().map(Value::from);
    Some(json.or_else(text).unwrap_or_else(|| json!({ "base64": STANDARD.encode(data) })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cli;
    use clap::Parser as _;

    fn send(flags: &str) -> Result<Box<Send>, String> {
        let arguments = ["service-a", "command", "send"].into_iter().chain(flags.split_whitespace());
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        match cli.into_command() {
            Some(super::super::Verb::Send(send)) => Ok(send),
            None => Err("no command".to_owned()),
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for flags in [
            "",
            "a b",
            "ping --data {",
            "ping --to a/b",
            "ping --wait soon",
            "ping --no-wait --wait 3s",
            "ping --sender ä",
        ] {
            assert!(send(flags).is_err(), "{flags}");
        }
        assert!(send("ping --no-wait").is_ok_and(|send| send.no_wait));
    }

    /// Catches: control characters of a reply that reach the terminal, JSON printed as a quoted text.
    #[test]
    fn replies_are_printed_as_what_they_are() {
        let send = send("ping --id 7").expect("settings");
        let said = |content_type: &str, data: &[u8]| {
            let answer = Answer::Data { content_type: content_type.to_owned(), data: data.to_owned() };
            let reply = Reply { source: "/b".to_owned(), answer };
            Said::of(&send, "7".to_owned(), Some(reply)).line()
        };
        assert_eq!(said("application/json", br#"{"a": 1}"#), r#"{"a":1}"#);
        assert_eq!(said("text/plain", b"a\x1b[2J"), r"a\u{1b}[2J");
        assert_eq!(said("application/json", b"\"\x7f\""), r"\u{7f}");
        assert_eq!(said("application/json", b"[\"\x7f\"]"), r#"["\u007f"]"#);
        assert_eq!(said("image/png", &[0xff, 0]), r#"{"base64":"/wA="}"#);
        assert_eq!(said("text/plain", b""), "done");
    }

    #[test]
    fn who_waits_in_vain_hears_how_to_ask_again() {
        let send = send("ping --wait 2s").expect("settings");
        let said = Said::of(&send, "7".to_owned(), None);
        let reason = said.reason.as_deref().unwrap_or_default();
        assert!(!said.is_good() && reason.contains("within 2s") && reason.ends_with("--id 7"), "{reason}");
        let refused = Reply { source: "/b".to_owned(), answer: Answer::Failure("no".to_owned()) };
        let said = Said::of(&send, "7".to_owned(), Some(refused));
        assert_eq!((said.is_good(), said.outcome, said.reason.as_deref()), (false, "failed", Some("no")));
    }
}
