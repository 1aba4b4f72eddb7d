//! A service-b whose handler does what its event says: this binary, started again by a test.
//!
//! Data is a script: `ok`, `sleep MILLIS`, `fail TIMES` (transient), `refuse TIMES` (transient that often, then
//! permanent), `panic`, `hang TIMES` (never answers that often), `need FILE` (transient while it is not there),
//! `effect MILLIS` (writes a row of `test_applied` after so long), `mend FILE` (permanent while it is not there, then as
//! `effect`); what follows names the event. In JSON it is the member `do`. A success is logged as the handler `log` does it.
//! The command `do` does the same.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use service_b::config::Asked;
use service_b::{Config, report};
use shared::consumer::{
    Counts, Effects, HandleError, Handler, Handlers, Migration, Schema, Statement, Summary, Value,
};
use shared::event::Event;
use shared::{shutdown, telemetry};

/// The environment variable that asks for it.
pub const ASKED: &str = "PAIR_TEST_SCRIPTED";

/// Its value where the handler is to be pure.
pub const PURE: &str = "pure";

/// Runs the service if this process is to be one.
pub fn asked_for() -> Option<ExitCode> {
    std::env::var_os(ASKED)?;
    let (Asked::Run(config, _), log_format) = Asked::from_args() else { return None };
    telemetry::init(log_format);
    let output = config.output;
    Some(match run(*config) {
        Ok(summary) => report::close(&summary, None, output),
        Err(error) => report::failed(&error),
    })
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<Summary> {
    let shutdown = shutdown::signalled()?;
    let scripted = || Scripted { group: config.group.clone(), attempts: Mutex::default() };
    let handlers = match std::env::var(ASKED).as_deref() {
        Ok(PURE) => Handlers::new().on("*", Pure(scripted()))?,
        _ => Handlers::new().on("*", scripted())?,
    };
    let handlers = handlers.on_command("do", Commanded(scripted()))?;
    service_b::run(config, handlers, Arc::new(Counts::default()), shutdown).await
}

/// Counts how often each event was tried in this process.
#[derive(Debug)]
struct Scripted {
    group: String,
    attempts: Mutex<HashMap<String, u64>>,
}

/// The same for commands. Each time that it runs it answers differently, behind the id.
#[derive(Debug)]
struct Commanded(Scripted);

impl Handler for Commanded {
    type Data = String;

    fn schema(&self) -> Schema {
        self.0.schema()
    }

    async fn handle(&self, event: &Event, data: String) -> Result<Effects, HandleError> {
        let effects = self.0.handle(event, data).await?;
        Ok(effects.reply("text/plain", format!("{} {}", event.id(), uuid::Uuid::now_v7())))
    }
}

/// No unique column: what is applied twice shows.
static APPLIED: Statement = Statement {
    name: "test_applied",
    sqlite: "insert into test_applied (consumer_group, number) values (?1, ?2)",
    postgres: "insert into test_applied (consumer_group, number) values ($1, $2)",
};

static STATEMENTS: [&Statement; 1] = [&APPLIED];

static TABLES: [Migration; 1] = [Migration {
    name: "test_applied",
    sqlite: "create table test_applied (consumer_group text, number text)",
    postgres: "create table test_applied (consumer_group text, number text)",
}];

impl Handler for Scripted {
    type Data = String;

    fn schema(&self) -> Schema {
        Schema { migrations: &TABLES, statements: &STATEMENTS }
    }

    async fn handle(&self, event: &Event, data: String) -> Result<Effects, HandleError> {
        let json = serde_json::from_str::<serde_json::Value>(&data);
        let script = json.ok().and_then(|json| json["do"].as_str().map(str::to_owned)).unwrap_or(data);
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
            "sleep" | "effect" => tokio::time::sleep(Duration::from_millis(number)).await,
            "fail" | "refuse" if attempt <= number => return Err(HandleError::transient("as told")),
            "refuse" => return Err(HandleError::permanent("refused as told")),
            "need" if !script.split(' ').nth(1).is_some_and(|file| Path::new(file).exists()) => {
                return Err(HandleError::transient("not there"));
            }
            "mend" if !script.split(' ').nth(1).is_some_and(|file| Path::new(file).exists()) => {
                return Err(HandleError::permanent("not mended"));
            }
            "panic" => panic!("as told"),
            "hang" if attempt <= number => std::future::pending().await,
            _ => {}
        }
        tracing::info!(id, "Received message: {script}");
        let applied = || [Value::from(self.group.as_str()), Value::from(id.as_str())];
        Ok(if matches!(what, "effect" | "mend") {
            Effects::none().write(&APPLIED, applied())
        } else {
            Effects::none()
        })
    }
}

/// The same, called pure.
struct Pure(Scripted);

impl Handler for Pure {
    type Data = String;
    const PURE: bool = true;

    fn schema(&self) -> Schema {
        self.0.schema()
    }

    async fn handle(&self, event: &Event, data: String) -> Result<Effects, HandleError> {
        self.0.handle(event, data).await
    }
}
