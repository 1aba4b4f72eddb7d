//! Against a server: `POSTGRES_URL="$(.ci/postgres start 0)" cargo test -p shared --lib -- --include-ignored postgres`.
//! Those that stop a server start one of their own.

mod bench;
mod faults;
mod many;
mod opening;
mod outage;
mod query;
mod speed;

use self::bench::bench;
use crate::store::suite::scenarios;

scenarios!(
    #[ignore = "needs POSTGRES_URL"]
    bench
);
