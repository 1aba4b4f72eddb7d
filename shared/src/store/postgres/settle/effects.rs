//! What handlers want written and published.

use futures_util::future::maybe_done;
use futures_util::poll;
use tokio_postgres::Statement as Prepared;

use super::super::error::Trouble;
use super::super::outbox;
use super::super::parameter::Parameter;
use super::super::session::Session;
use crate::store::{Effects, OutboxRecord, Refusal, Settlement, Statement, Step, Value};

/// How many statements are sent before the first one's answer is read.
const AT_ONCE: usize = 500;

/// Applies the effects of these, in order.
pub(super) async fn apply<'a>(
    session: &Session,
    settled: impl Iterator<Item = &'a Settlement>,
) -> Result<(), Trouble> {
    let (mut writes, mut records): (Vec<&(&'static Statement, Vec<Value>)>, Vec<&OutboxRecord>) =
        Default::default();
    for settlement in settled {
        match &settlement.step {
            Step::Handled { effects, events } => {
                writes.extend(effects.writes());
                records.extend(events);
            }
            Step::Dead { letter, .. } => records.push(letter),
            Step::Handling | Step::Deferred { .. } | Step::Expired => {}
        }
    }
    for some in writes.chunks(AT_ONCE) {
        write(session, some).await?;
    }
    outbox::insert(session, &records).await
}

/// Executes what these want written, in order.
pub(in super::super) async fn write_all(session: &Session, effects: &[Effects]) -> Result<(), Trouble> {
    let writes: Vec<_> = effects.iter().flat_map(Effects::writes).collect();
    for some in writes.chunks(AT_ONCE) {
        write(session, some).await?;
    }
    Ok(())
}

/// Sends them all, then reads the answers: a round trip for all instead of one for each.
async fn write(session: &Session, writes: &[&(&'static Statement, Vec<Value>)]) -> Result<(), Trouble> {
    let mut answers = Vec::with_capacity(writes.len());
    for (statement, values) in writes {
        let prepared = registered(session, statement, values)?;
        let parameters = values.iter().map(Parameter);
        let mut answer = Box::pin(maybe_done(session.client().execute_raw(prepared, parameters)));
        // At its first poll it is sent: in this order PostgreSQL executes them.
        let _ = poll!(&mut answer);
        answers.push((statement.name, answer));
    }
    // After the first refusal PostgreSQL refuses the others for that reason alone.
    for (name, mut answer) in answers {
        answer.as_mut().await;
        if let Some(Err(error)) = answer.as_mut().take_output() {
            return Err(Trouble::of_effect(&error, name));
        }
    }
    Ok(())
}

fn registered<'s>(
    session: &'s Session,
    statement: &Statement,
    values: &[Value],
) -> Result<&'s Prepared, Trouble> {
    let name = statement.name;
    let refused = |reason| Trouble::Refused(Refusal { reason, permanent: true });
    let prepared =
        session.effect(statement).ok_or_else(|| refused(format!("{name}: not a registered statement")))?;
    let (wanted, given) = (prepared.params().len(), values.len());
    if wanted != given {
        return Err(refused(format!("{name}: the statement has {wanted} parameters, {given} were given")));
    }
    // PostgreSQL would take it, and sort it above every number.
    if values.iter().any(|value| matches!(value, Value::Real(number) if number.is_nan())) {
        return Err(refused(format!("{name}: a parameter is not a number")));
    }
    Ok(prepared)
}
