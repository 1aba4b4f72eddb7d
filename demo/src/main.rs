//! The pair in one process, on the embedded broker: what `cargo run` shows a newcomer.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use shared::broker::{EmbeddedBroker, Options};
use shared::config::parse_alone;
use shared::consumer::{Counts, Effects, HandleError, Handler, Handlers, Summary};
use shared::event::Event;
use shared::store::TemporaryStore;
use shared::{shutdown, telemetry};
use tokio::sync::mpsc;

/// How many events the demo shows.
const EVENTS: u64 = 10;
/// How long it waits for one before it says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    telemetry::init(telemetry::LogFormat::Human);
    match run() {
        Ok((published, handled)) => {
            let _ = writeln!(std::io::stdout(), "{published} published, {handled} handled");
            ExitCode::from(u8::from(published != EVENTS || handled != EVENTS))
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run() -> anyhow::Result<(u64, u64)> {
    let topics = vec![("topic1".to_owned(), 1), ("dlq.service-b.topic1".to_owned(), 1)];
    let broker = EmbeddedBroker::start(Options { port: 0, topics })?;
    tracing::info!("embedded broker at {}: in memory, for trying things out only", broker.address());

    let (settled, mut seen) = mpsc::unbounded_channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let consumer = tokio::spawn(service_b(broker.address(), settled, async { drop(stopped.await) }));
    let whole = async {
        let published = service_a(broker.address()).await?;
        for _ in 0..published {
            tokio::time::timeout(PATIENCE, seen.recv())
                .await
                .context("service-b did not handle every event")?;
        }
        anyhow::Ok(published)
    };
    let published = tokio::select! {
        published = whole => published?,
        () = shutdown::signalled()? => anyhow::bail!("stopped before it was over"),
    };
    drop(stop);
    Ok((published, consumer.await??.handled))
}

async fn service_a(address: String) -> anyhow::Result<u64> {
    let flags = ["service-a", "--interval", "200ms", "--partitions", "1", "--bootstrap-servers", &address];
    // The shell may name a real outbox: what waits there is not for a broker that is gone in a moment.
    let config = parse_alone::<service_a::config::Cli>(&flags)?.into_config();
    Ok(service_a::run(config, std::future::pending()).await?.report.acknowledged)
}

async fn service_b(
    address: String,
    handled: mpsc::UnboundedSender<()>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<Summary> {
    let store = TemporaryStore::new()?;
    let flags = ["service-b", "--partitions", "1", "--commands", "off", "--bootstrap-servers", &address];
    let mut config = parse_alone::<service_b::config::Cli>(&flags)?.into_config();
    config.store = Some(store.url());
    let handlers = Handlers::new().on("*", Counted(handled))?;
    service_b::run(config, handlers, Arc::new(Counts::default()), shutdown).await
}

/// service-b's own handler, and a word to the demo each time.
struct Counted(mpsc::UnboundedSender<()>);

impl Handler for Counted {
    type Data = ();

    async fn handle(&self, event: &Event, (): ()) -> Result<Effects, HandleError> {
        let effects = service_b::handlers::Log.handle(event, ()).await?;
        let _ = self.0.send(());
        Ok(effects)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Command, CommandFactory};

    fn variables(command: &Command) -> BTreeSet<String> {
        let own = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
        let own: BTreeSet<String> = own.map(str::to_owned).collect();
        command.get_subcommands().map(variables).fold(own, |all, some| &all | &some)
    }

    /// Catches: a variable that `.env.example` leaves out, and one that no flag knows any more.
    #[test]
    fn the_example_names_every_variable() {
        let is_name = |text: &&str| text.chars().all(|c| c == '_' || c.is_ascii_uppercase());
        let lines = include_str!("../../.env.example").lines();
        let assigned = lines.filter_map(|line| Some(line.trim_start_matches('#').split_once('=')?.0));
        let mut named: BTreeSet<String> = assigned.filter(is_name).map(str::to_owned).collect();
        assert!(named.remove("RUST_LOG"), "no flag has it, and both services read it");
        let known =
            &variables(&service_a::config::Cli::command()) | &variables(&service_b::config::Cli::command());
        let differing: Vec<&String> = named.symmetric_difference(&known).collect();
        assert!(differing.is_empty(), "{differing:?}");
    }
}
