//! `command`: asks a service to do something, and waits for its reply.

mod said;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use shared::command::{Caller, Command};
use shared::config::{CommonArgs, duration};
use shared::listing::Output;
use shared::topic::Topic;

use self::said::Said;
use crate::config::word;
use crate::report;

/// What can be done with commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Send a command to a service, and wait for its reply
    ///
    /// The reply's data goes to standard output, the reason of a failure to standard error. A command takes effect once: sent
    /// again under the same --id, with the same data, it gets the same reply again.
    #[command(after_help = EXAMPLES)]
    Send(Box<Send>),
}

const EXAMPLES: &str = "\
Examples:
  service-a command send ping                                        which service-b is there?
  service-a command send resize --data '{\"width\":80}' --key image-7 one that you have written a handler for
  service-a command send status --output json | jq .data.handled

Exit codes: 0 done (with --no-wait: sent), 1 it failed or nobody replied in time, 2 wrong usage.";

/// The settings of `command send`.
#[derive(Debug, Args)]
pub struct Send {
    /// What is to be done: a word such as `ping`, or reverse DNS and imperative, `com.example.resize.v1`
    #[arg(value_parser = word)]
    pub name: String,

    /// The command's data
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub data: Option<String>,

    /// Commands of one key are handled one after the other [default: the command's id]
    #[arg(long, value_name = "TEXT")]
    pub key: Option<String>,

    /// Do not wait for the reply; the command is worth handling at any time
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,

    #[command(flatten)]
    calling: Calling,
}

/// The settings of `cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The event's id
    event: String,

    /// The event's source
    #[arg(long, env = "SERVICE_A_SOURCE", default_value = "/service-a", value_name = "URI")]
    source: String,

    #[command(flatten)]
    calling: Calling,
}

/// Whom to call, and how.
#[derive(Debug, Args)]
struct Calling {
    /// The service that is to do it: the group of a service-b
    #[arg(long, env = "SERVICE_A_TO", default_value = "service-b", value_name = "SERVICE", value_parser = service)]
    to: String,

    /// Who sends: the replies come by the topic `SENDER.replies`
    #[arg(long, env = "SERVICE_A_SENDER", default_value = "service-a", value_parser = service)]
    sender: String,

    /// The id of a command that was sent before, to ask for its reply again [default: a new one]
    #[arg(long, value_parser = word)]
    id: Option<String>,

    /// How long to wait for the reply; it is also how long the command is worth handling
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "TIME")]
    wait: Duration,

    /// The reply's data alone, or one JSON object with all that is known
    #[arg(long, env = "SERVICE_A_OUTPUT", value_enum, default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    common: CommonArgs,
}

impl From<Cancel> for Verb {
    /// A command like any other.
    fn from(Cancel { event, source, calling }: Cancel) -> Self {
        let data = serde_json::json!({ "id": event, "source": source }).to_string();
        let name = "cancel".to_owned();
        Self::Send(Box::new(Send { name, data: Some(data), key: Some(event), no_wait: false, calling }))
    }
}

/// How long Kafka may take to acknowledge a command whose reply nobody waits for.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

impl Verb {
    /// What no single flag can know.
    ///
    /// # Errors
    /// librdkafka refuses a setting: which, and what to write.
    pub fn check(&self) -> Result<(), String> {
        let Self::Send(send) = self;
        send.calling.common.connection().producer().map(drop).map_err(|error| error.to_string())
    }

    /// Does it, and prints what came of it.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> ExitCode {
        let Self::Send(send) = self;
        let said = tokio::select! {
            said = send.run() => said,
            () = shutdown => Err(anyhow::anyhow!("stopped; the command may have been sent")),
        };
        match said {
            Ok(said) => said.print(send.calling.output),
            Err(error) => report::failed(&error),
        }
    }
}

impl Send {
    async fn run(&self) -> anyhow::Result<Said<'_>> {
        let command = self.command()?;
        let caller = Caller::new(
            self.calling.common.connection(),
            &self.calling.sender,
            self.calling.common.partitions,
        )
        .await?;
        let id = command.event().id.clone();
        if self.no_wait {
            caller.send(&self.calling.to, &command, ACKNOWLEDGED).await?;
            return Ok(Said::sent(self, id));
        }
        let reply = caller.call(&self.calling.to, &command, self.calling.wait).await?;
        Ok(Said::of(self, id, reply))
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.calling.sender, &self.name)?;
        if let Some(id) = &self.calling.id {
            command = command.id(id.clone());
        }
        // Sent again while the first is still being handled, it waits for that.
        let key = self.key.clone().unwrap_or_else(|| command.event().id.clone());
        command = command.key(key.as_str());
        if let Some(data) = &self.data {
            command = command.data("application/json", data.as_str());
        }
        Ok(if self.no_wait { command } else { command.expires_after(self.calling.wait) })
    }
}

fn json(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("write JSON, a text in double quotes: {error}")),
    }
}

/// A name that its topics can be made of.
fn service(text: &str) -> Result<String, String> {
    match (Topic::commands(text), Topic::replies(text)) {
        (Ok(_), Ok(_)) => Ok(text.to_owned()),
        _ => Err("write the name of a service: letters, digits, . _ and -".to_owned()),
    }
}
