//! The program: settings, logs, run, and who stopped and why.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use service_b::config::{Cli, Config};
use service_b::report;
use shared::consumer::{Counts, Summary};
use shared::{config, shutdown, telemetry};

fn main() -> ExitCode {
    let config = config::parse::<Cli>().config();
    telemetry::init(config.common.log_format);
    let handlers = match config.check().and_then(|()| service_b::handlers::from_settings(&config.handle)) {
        Ok(handlers) => handlers,
        Err(error) => return report::failed("service-b", 2, &error),
    };
    let started = Instant::now();
    let (output, timed) = (config.output, config.until_caught_up);
    match run(config, handlers) {
        Ok(summary) => report::done(&summary, timed.then(|| started.elapsed()), output),
        Err(error) => report::failed("service-b", 1, &error),
    }
}

#[tokio::main]
async fn run(config: Config, handlers: shared::consumer::Handlers) -> anyhow::Result<Summary> {
    let shutdown = shutdown::signalled()?;
    service_b::run(config, handlers, Arc::new(Counts::default()), shutdown).await
}
