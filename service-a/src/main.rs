//! service-a: publishes events to Kafka.

use std::process::ExitCode;

use service_a::config::{Asked, Config};
use service_a::report;
use shared::{shutdown, telemetry};

/// Records are freed by another thread than made them; see the dependency's reason.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match Asked::from_args() {
        Asked::Publish(config) => publish(*config).await,
        Asked::Tool(tool) => match tool.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report::failed(&error),
        },
    }
}

async fn publish(config: Config) -> ExitCode {
    telemetry::init(config.common.log_format);
    let (output, dry_run) = (config.output, config.dry_run);
    let result = match shutdown::signalled() {
        Ok(signal) => service_a::run(config, signal).await,
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(summary) if dry_run => report::exit_code(&summary),
        Ok(summary) => report::close(&summary, output),
        Err(error) => report::failed(&error),
    }
}
