//! A member of service-b under torture: this program, started again.

use serde::Deserialize;
use service_b::Config;
use service_b::report;
use shared::consumer::{
    Counts, Effects, HandleError, Handler, Handlers, Json, Migration, Schema, Statement, Value,
};
use shared::event::Event;
use shared::{shutdown, telemetry};

/// service-b with a handler that fails now and then.
#[derive(Debug, clap::Args)]
pub(crate) struct Member {
    #[command(flatten)]
    config: Config,
}

/// One attempt in so many fails for a passing cause.
const FAILS: u32 = 20;

/// Nothing unique: what is applied twice shows. The rows stand in the order in which they were applied.
static MIGRATIONS: [Migration; 1] = [Migration {
    name: "torture_applied",
    sqlite: "create table torture_applied (place integer primary key, consumer_group text, number integer)",
    postgres: "create table torture_applied (place bigserial primary key, consumer_group text, number bigint)",
}];

static APPLY: Statement = Statement {
    name: "torture_apply",
    sqlite: "insert into torture_applied (consumer_group, number) values (?1, ?2)",
    postgres: "insert into torture_applied (consumer_group, number) values ($1, $2)",
};

static STATEMENTS: [&Statement; 1] = [&APPLY];

#[tokio::main]
pub(crate) async fn run(member: Member) -> anyhow::Result<()> {
    telemetry::init(member.config.common.log_format);
    let (output, handler) = (member.config.output, Tortured { group: member.config.group.clone() });
    let handlers = Handlers::new().on("*", handler)?;
    let counts = std::sync::Arc::new(Counts::default());
    let summary = service_b::run(member.config, handlers, counts, shutdown::signalled()?).await?;
    report::close(&summary, None, output);
    Ok(())
}

struct Tortured {
    group: String,
}

/// A line, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Line {
    number: i64,
    bad: bool,
}

impl Handler for Tortured {
    type Data = Json<Line>;

    fn schema(&self) -> Schema {
        Schema { migrations: &MIGRATIONS, statements: &STATEMENTS }
    }

    async fn handle(&self, _: &Event, Json(line): Self::Data) -> Result<Effects, HandleError> {
        // Long enough to be in the middle of it when the fault comes.
        tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(0..4))).await;
        if fastrand::u32(0..FAILS) == 0 {
            return Err(HandleError::transient("by chance"));
        }
        if line.bad {
            return Err(HandleError::permanent("bad"));
        }
        Ok(Effects::none().write(&APPLY, [Value::from(self.group.as_str()), Value::from(line.number)]))
    }
}
