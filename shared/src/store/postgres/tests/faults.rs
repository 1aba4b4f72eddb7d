//! Connections killed, calls dropped, members that lock each other out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::Client;

use super::super::address::Address;
use super::super::session::Session;
use super::bench::{Database, bench};
use crate::store::suite::{Bench, Member, NOTE, NUMBER, assignee, event, outgoing, settled};
use crate::store::{
    Advance, Assignee, Effects, Settlement, SourcePosition, Store, StoreError, Value, Verdict,
};

/// Waits until so many transactions of this database wait for a lock; their processes.
async fn waiting(client: &Client, count: usize) -> Vec<i32> {
    for _ in 0..500 {
        let asked = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let rows = client.query(asked, &[]).await.expect("asked");
        if rows.len() == count {
            return rows.iter().map(|row| row.get(0)).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {count} transactions that wait");
}

/// A note that nobody else can write until the client's transaction is at its end.
async fn holding(database: &Database, notes: &[&str]) -> Client {
    let client = database.client().await;
    client.batch_execute("begin").await.expect("begun");
    for note in notes {
        client.execute("insert into notes (note) values ($1)", &[note]).await.expect("held");
    }
    client
}

fn note(note: &str) -> Effects {
    Effects::none().write(&NOTE, [note.into()])
}

/// Catches: a batch taken for settled, or an answer not known to be lost, when its connection is.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_connection_killed_within_a_settle_is_made_anew() {
    let database = bench().await;
    let store = Arc::new(database.store().await);
    let member = Member::own(Arc::clone(&store) as Arc<dyn Store>, assignee()).await;
    let holder = holding(&database, &["held"]).await;
    let batch: Arc<[Settlement]> = [
        event("1").writing(member.owner, note("first")),
        event("2").at(1).writing(member.owner, note("held")),
    ]
    .into();
    let settling = tokio::spawn({
        let (store, batch) = (Arc::clone(&member.store), Arc::clone(&batch));
        async move { store.settle(batch).await }
    });
    let watcher = database.client().await;
    let pid = waiting(&watcher, 1).await[0];
    watcher.execute("select pg_terminate_backend($1)", &[&pid]).await.expect("killed");
    let ended = settling.await.expect("no panic");
    assert!(matches!(ended, Err(StoreError::Unavailable(_))), "{ended:?}");
    assert!(store.unsure.load(Ordering::Acquire), "it may have been committed");
    holder.batch_execute("rollback").await.expect("let go");
    for verdict in member.settle(batch).await {
        settled(&verdict);
    }
    assert_eq!(database.sql("select count(*) from notes").await, 2);
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_call_that_is_dropped_leaves_nothing_half_done() {
    let database = bench().await;
    let member = Member::join(&database).await;
    let holder = holding(&database, &["held"]).await;
    let batch: Arc<[Settlement]> = [
        event("1").writing(member.owner, note("first")),
        event("2").at(1).writing(member.owner, note("held")),
    ]
    .into();
    let dropped = member.store.settle(Arc::clone(&batch));
    tokio::time::timeout(Duration::from_millis(300), dropped).await.expect_err("it waits");
    holder.batch_execute("rollback").await.expect("let go");
    let others = [event("3").at(2).writing(member.owner, note("third"))];
    settled(&member.settle(others).await[0]);
    for verdict in member.settle(batch).await {
        settled(&verdict);
    }
    assert_eq!(database.sql("select count(*) from notes").await, 3);
}

/// Each holds what the other wants: PostgreSQL sends one of them back.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn members_that_deadlock_both_settle_in_the_end() {
    let database = bench().await;
    let one = Member::join(&database).await;
    let other = Member::own(database.open().await, Assignee { partition: 1, ..assignee() }).await;
    let holder = holding(&database, &["gate one", "gate other"]).await;
    let write = |notes: [&str; 3]| {
        notes.iter().fold(Effects::none(), |effects, note| {
            effects.write(&NUMBER, [(*note).into(), 1.into(), Value::Null, Value::Null])
        })
    };
    let forth = event("1").writing(one.owner, write(["a", "gate one", "b"]));
    let back = event("2").writing(other.owner, write(["b", "gate other", "a"]));
    let open_the_gates = async {
        waiting(&database.client().await, 2).await;
        holder.batch_execute("rollback").await.expect("let go");
    };
    let (forth, back, ()) = tokio::join!(one.settle([forth]), other.settle([back]), open_the_gates);
    settled(&forth[0]);
    settled(&back[0]);
    assert_eq!(database.sql("select count(*) from notes").await, 4);
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    for _ in 0..100 {
        if database.sql(deadlocks).await > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing was tested: there was no deadlock");
}

/// Catches: a deferred event whose row nobody knows, because the answer to its commit was lost.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn who_asks_again_after_a_lost_answer_is_given_the_row() {
    let database = bench().await;
    let store = Arc::new(database.store().await);
    let member = Member::own(Arc::clone(&store) as Arc<dyn Store>, assignee()).await;
    let batch: Arc<[Settlement]> = [
        event("1").retry(member.owner),
        event("2").at(1).dead(member.owner, outgoing("dlq", "2")),
        event("3").at(2).handled(member.owner),
        event("1").at(3).retry(member.owner),
    ]
    .into();
    let first = member.settle(Arc::clone(&batch)).await;
    store.unsure.store(true, Ordering::Release);
    let again = member.settle(batch).await;
    assert_eq!(again[..2], first[..2]);
    assert!(matches!(again[2..], [Verdict::Known(_), Verdict::Known(_)]), "{again:?}");
    assert_eq!(database.sql("select count(*) from outbox").await, 1);
}

/// A constraint that is checked at the commit refuses its event as any other does.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn what_the_commit_refuses_is_an_effect() {
    let database = bench().await;
    let member = Member::join(&database).await;
    let deferred =
        "alter table notes add other text default 'none' references notes deferrable initially deferred";
    database.client().await.batch_execute(deferred).await.expect("changed");
    let batch =
        [event("1").handled(member.owner), event("2").key("other").at(1).writing(member.owner, note("a"))];
    let verdicts = member.settle(batch).await;
    settled(&verdicts[0]);
    assert!(matches!(&verdicts[1], Verdict::Refused(refusal) if refusal.permanent), "{verdicts:?}");
}

/// Catches: settling without locking the partition, so that a takeover may come in between.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_settle_waits_for_a_takeover_that_is_under_way() {
    let database = bench().await;
    let member = Member::join(&database).await;
    let other = database.client().await;
    other.batch_execute("begin; update partition set epoch = epoch + 1").await.expect("begun");
    let takeover = async {
        waiting(&database.client().await, 1).await;
        other.batch_execute("commit").await.expect("taken over");
    };
    let (verdicts, ()) = tokio::join!(member.settle([event("1").handled(member.owner)]), takeover);
    assert_eq!(verdicts, [Verdict::Fenced]);
}

/// Catches: a position that is stored in another transaction than the records that were read up to it.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_position_without_its_records_is_not_there() {
    let database = bench().await;
    let store = database.store().await;
    let refused = "create function no() returns trigger language plpgsql as 'begin raise ''no''; end';
        create trigger no before insert on outbox for each row execute function no()";
    database.client().await.batch_execute(refused).await.expect("a trigger");
    let read = Advance { from: 0, to: SourcePosition { source: "file".to_owned(), at: 9, number: 1 } };
    store.enqueue(vec![outgoing("t", "1")], Some(read), 10).await.expect_err("refused");
    assert_eq!(store.position("file").await, Ok(None));
}

/// Catches: a transaction that is not on the disk when the offset behind it moves.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn what_is_committed_is_on_the_disk_whatever_the_database_says() {
    let database = bench().await;
    let relaxed = "do 'begin execute format(''alter database %I set synchronous_commit = off'', current_database()); end'";
    database.client().await.batch_execute(relaxed).await.expect("changed");
    let address = Address::parse(&database.url).expect("an address");
    let session = Session::connect(&address).await.expect("connected");
    let rows = session.query("show synchronous_commit", &[]).await.expect("asked");
    assert_eq!(rows[0].get::<_, String>(0), "on");
}
