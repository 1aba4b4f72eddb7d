//! The program: settings, logs, run, and who stopped and why.

use std::process::ExitCode;

use service_a::config::{Cli, Config};
use service_a::report;
use shared::{config, shutdown, telemetry};

/// Records are freed by another thread than made them; see the dependency's reason.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = config::parse::<Cli>().config();
    telemetry::init(config.common.log_format);
    if let Err(error) = config.check() {
        return report::failed("service-a", 2, &error);
    }
    let output = config.output;
    match run(config) {
        Ok(summary) => report::done(&summary, output),
        Err(error) => report::failed("service-a", 1, &error),
    }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<report::Summary> {
    let shutdown = shutdown::signalled()?;
    service_a::run(config, shutdown).await
}
