//! A service-b with the handler of the run: fails now and then, and notes each application of its effects.

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use shared::consumer::{
    Counts, Effects, HandleError, Handler, Handlers, Json, Migration, Schema, Statement, Value,
};
use shared::event::Event;
use shared::shutdown;

use super::events::Line;

/// The flags of service-b, and the kind of handler.
#[derive(Debug, clap::Args)]
pub(crate) struct Member {
    /// The handler only computes
    #[arg(long)]
    pure: bool,
    #[arg(last = true)]
    flags: Vec<String>,
}

/// Nothing is unique in it: an application that comes twice has to show.
static MIGRATIONS: [Migration; 1] = [Migration {
    name: "torture-1",
    sqlite: "create table torture (
        sequence integer primary key autoincrement, run text not null, number integer not null, key text,
        at integer not null);
        create index torture_run on torture (run, number)",
    postgres: "create table torture (
        sequence bigserial primary key, run text not null, number bigint not null, key text,
        at bigint not null);
        create index torture_run on torture (run, number)",
}];

static APPLY: Statement = Statement {
    name: "torture",
    sqlite: "insert into torture (run, number, key, at)
        values (?1, ?2, ?3, cast(unixepoch('subsec') * 1000 as integer))",
    postgres: "insert into torture (run, number, key, at)
        values ($1, $2, $3, cast(extract(epoch from clock_timestamp()) * 1000 as bigint))",
};

static STATEMENTS: [&Statement; 1] = [&APPLY];

struct Noting<const PURE: bool>;

impl<const PURE: bool> Handler for Noting<PURE> {
    type Data = Json<Line>;

    const PURE: bool = PURE;

    fn schema(&self) -> Schema {
        Schema { migrations: &MIGRATIONS, statements: &STATEMENTS }
    }

    async fn handle(&self, _: &Event, Json(line): Json<Line>) -> Result<Effects, HandleError> {
        if !PURE && fastrand::u8(0..10) == 0 {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..5_000))).await;
        }
        if fastrand::u8(0..20) == 0 {
            return Err(HandleError::transient("one of twenty attempts"));
        }
        if line.hopeless {
            return Err(HandleError::permanent("hopeless"));
        }
        let key = line.key.map_or(Value::Null, Value::Text);
        let number = Value::Integer(line.number.cast_signed());
        Ok(Effects::none().write(&APPLY, [Value::Text(line.run), number, key]))
    }
}

/// Runs until a signal, and prints its counts now and then: who is killed cannot at the end.
///
/// # Errors
/// As service-b.
#[tokio::main]
#[allow(clippy::print_stdout, reason = "the counts are the result")]
pub(crate) async fn run(member: Member) -> anyhow::Result<()> {
    let flags = std::iter::once("service-b".to_owned()).chain(member.flags);
    let config = service_b::config::Cli::try_parse_from(flags)?.into_config();
    config.check()?;
    let handlers = Handlers::new();
    let handlers =
        if member.pure { handlers.on("*", Noting::<true>)? } else { handlers.on("*", Noting::<false>)? };
    let counts = Arc::<Counts>::default();
    let service = service_b::run(config, handlers, Arc::clone(&counts), shutdown::signalled()?);
    tokio::pin!(service);
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    let summary = loop {
        tokio::select! {
            summary = &mut service => break summary?,
            _ = ticks.tick() => println!("{}", serde_json::json!(counts.summary())),
        }
    };
    println!("{}", serde_json::json!(summary));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::event::NewEvent;
    use shared::testkit;

    #[test]
    fn hopeless_events_never_have_effects_and_others_some_time() {
        let event = |hopeless: bool| {
            let data = format!(r#"{{"run":"r","number":1,"key":"k","hopeless":{hopeless},"filler":""}}"#);
            NewEvent::new("/test", "t").data("application/json", data)
        };
        let outcomes = |hopeless| {
            let outcomes: Vec<_> =
                (0..500).map(|_| testkit::handle(Noting::<true>, event(hopeless))).collect();
            let transient = outcomes.iter().filter(|o| matches!(o, Err(HandleError::Transient(_)))).count();
            let permanent = outcomes.iter().filter(|o| matches!(o, Err(HandleError::Permanent(_)))).count();
            (transient, permanent, outcomes.iter().filter(|o| o.is_ok()).count())
        };
        let (transient, permanent, done) = outcomes(true);
        assert!(transient > 0 && permanent > 0 && done == 0, "{transient} {permanent} {done}");
        let (transient, permanent, done) = outcomes(false);
        assert!(transient > 0 && permanent == 0 && done > 0, "{transient} {permanent} {done}");
    }
}
