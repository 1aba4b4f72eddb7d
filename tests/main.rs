//! The pair as a whole: real processes, a real protocol, every broker there is.
//!
//! # Layout
//! - [`harness`]: the broker of the tier, processes, raw records, waiting.
//! - [`scenarios`]: the tests, a file for each theme. Their names are the facts they establish.
//! - [`scripted`]: a service-b whose handler does what its event says; this binary, started again.
//!
//! # Tiers
//! `KAFKA_BOOTSTRAP_SERVERS` names a broker to use; else `PAIR_TEST_BROKER=container|embedded` forces one; else
//! a container where an engine has the image or can pull it; else the embedded broker. What a tier cannot do is
//! ignored, with the reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on ends by panicking, and says why"
)]
#![allow(
    unreachable_pub,
    reason = "a test binary exports nothing; `pub` marks what a module offers the others"
)]

mod harness;
mod scenarios;
mod scripted;

use std::process::ExitCode;

use libtest_mimic::Arguments;

/// Tests that have a thread each; those that work at once are fewer, see [`harness::Stage`].
const THREADS: usize = 64;

fn main() -> ExitCode {
    if let Some(code) = scripted::asked_for() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    if arguments.list {
        return libtest_mimic::run(&arguments, harness::names_only(scenarios::all())).exit_code();
    }
    let stage = harness::Stage::set();
    // The container ends with the stage, at the end of this function, also after a failure.
    libtest_mimic::run(&arguments, harness::trials(&stage, scenarios::all())).exit_code()
}
