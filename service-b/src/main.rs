//! service-b: subscribes to Kafka topics and handles their events.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use service_b::config::{Asked, Config};
use service_b::report;
use service_b::tools::Tool;
use shared::consumer::{Counts, Handlers};
use shared::{shutdown, telemetry};

/// Records are freed by another thread than made them; see the dependency's reason.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long a handler that blocks its thread is waited for at the end.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let (asked, log_format) = Asked::from_args();
    telemetry::init(log_format);
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let code = match asked {
                Asked::Run(config, handlers) => runtime.block_on(serve(*config, handlers)),
                Asked::Tool(tool) => runtime.block_on(answer(tool)),
            };
            runtime.shutdown_timeout(LEFT_BEHIND);
            code
        }
        Err(error) => report::failed(&error.into()),
    }
}

async fn answer(tool: Tool) -> ExitCode {
    match tool.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failed(&error),
    }
}

async fn serve(config: Config, handlers: Handlers) -> ExitCode {
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
