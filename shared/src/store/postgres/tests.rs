//! Against a server: `POSTGRES_URL="$(.ci/postgres start 0)" cargo test -p shared --lib -- --ignored postgres`.

mod bench;

use self::bench::bench;
use crate::store::suite::scenarios;

scenarios!(
    #[ignore = "needs POSTGRES_URL"]
    bench
);
