//! service-a: publishes events to Kafka.

use std::process::ExitCode;

use service_a::config::{Asked, Config};
use service_a::report;
use shared::{shutdown, telemetry};

/// Records are freed by another thread than made them; see the dependency's reason.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let (asked, log_format) = Asked::from_args();
    match &asked {
        Asked::Publish(_) => telemetry::init(log_format),
        Asked::Command(_) | Asked::Tool(_) => telemetry::init_answering(log_format),
    }
    match (asked, shutdown::signalled()) {
        (Asked::Publish(config), Ok(signal)) => publish(*config, signal).await,
        (Asked::Command(verb), Ok(signal)) => verb.run(signal).await,
        (Asked::Tool(tool), _) => match tool.run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report::failed(&error),
        },
        (_, Err(error)) => report::failed(&error.into()),
    }
}

async fn publish(config: Config, signal: impl Future<Output = ()>) -> ExitCode {
    let (output, dry_run) = (config.output, config.dry_run);
    match service_a::run(config, signal).await {
        Ok(summary) if dry_run => report::exit_code(&summary),
        Ok(summary) => report::close(&summary, output),
        Err(error) => report::failed(&error),
    }
}
