//! service-b: subscribes to Kafka topics and handles their events.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use service_b::{Config, report};
use shared::consumer::Counts;
use shared::{shutdown, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let (config, handlers) = Config::from_args();
    telemetry::init(config.common.log_format);
    let (output, timed, started) = (config.output, config.until_caught_up, Instant::now());
    let result = match shutdown::signalled() {
        Ok(signal) => service_b::run(config, handlers, Arc::new(Counts::default()), signal).await,
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(summary) => report::close(&summary, timed.then(|| started.elapsed()), output),
        Err(error) => report::failed(&error),
    }
}
