//! A service-b whose handler does what its event says: this binary, started again by a test.
//!
//! Data is a script: `ok`, `sleep MILLIS`, `fail TIMES` (transient), `refuse TIMES` (transient that often, then
//! permanent), `panic`, `hang TIMES` (never answers that often); what follows names the event. A success is
//! logged as the handler `log` does it.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use service_b::{Config, report};
use shared::consumer::{Counts, Effects, HandleError, Handler, Handlers, Summary};
use shared::event::Event;
use shared::{shutdown, telemetry};

/// The environment variable that asks for it.
pub const ASKED: &str = "PAIR_TEST_SCRIPTED";

/// Runs the service if this process is to be one.
pub fn asked_for() -> Option<ExitCode> {
    std::env::var_os(ASKED)?;
    let (config, _) = Config::from_args();
    telemetry::init(config.common.log_format);
    let output = config.output;
    Some(match run(config) {
        Ok(summary) => report::close(&summary, None, output),
        Err(error) => report::failed(&error),
    })
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<Summary> {
    let shutdown = shutdown::signalled()?;
    let handlers = Handlers::new().on("*", Scripted::default())?;
    service_b::run(config, handlers, Arc::new(Counts::default()), shutdown).await
}

/// Counts how often each event was tried in this process.
#[derive(Debug, Default)]
struct Scripted {
    attempts: Mutex<HashMap<String, u64>>,
}

impl Handler for Scripted {
    type Data = String;

    async fn handle(&self, event: &Event, script: String) -> Result<Effects, HandleError> {
        let id = event.id().into_owned();
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap();
            let attempts = attempts.entry(id.clone()).or_default();
            *attempts += 1;
            *attempts
        };
        tracing::info!(id, attempt, "Trying: {script}");
        let mut words = script.split(' ');
        let what = words.next().unwrap_or_default();
        let number: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        match what {
            "sleep" => tokio::time::sleep(Duration::from_millis(number)).await,
            "fail" | "refuse" if attempt <= number => return Err(HandleError::transient("as told")),
            "refuse" => return Err(HandleError::permanent("refused as told")),
            "panic" => panic!("as told"),
            "hang" if attempt <= number => std::future::pending().await,
            _ => {}
        }
        tracing::info!(id, "Received message: {script}");
        Ok(Effects::none())
    }
}
