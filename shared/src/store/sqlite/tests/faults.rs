//! A file in trouble: nothing of a call is applied, the answer says what to do, and it goes on when that is done.

use std::fs;

use super::*;
use crate::store::suite::{Member, assignee, event, outgoing, settled, statuses};
use crate::store::{Migration, Statement, Status};

async fn member(file: &InFile) -> (Arc<SqliteStore>, Member) {
    let store = Arc::new(file.store().await);
    let member = Member::own(Arc::clone(&store) as Arc<dyn Store>, assignee()).await;
    (store, member)
}

async fn trouble(member: &Member, id: &str) -> StoreError {
    let batch = [event(id).handled(member.owner)];
    member.store.settle(Arc::new(batch)).await.expect_err("trouble")
}

fn unavailable(error: &StoreError) -> &str {
    match error {
        StoreError::Unavailable(text) => text,
        StoreError::Unusable(text) => panic!("unusable: {text}"),
    }
}

async fn pragma(store: &SqliteStore, text: &'static str) {
    let done = store.writer.ask(move |file| {
        file.connection().execute_batch(text).expect(text);
        Ok(())
    });
    done.await.expect("done");
}

#[tokio::test]
async fn a_full_disk() {
    let file = in_file().await;
    let (store, member) = member(&file).await;
    pragma(&store, "pragma max_page_count = 1").await; // no more than it has
    let long = "x".repeat(100_000);
    let batch = [event("small").handled(member.owner), event(&long).at(1).handled(member.owner)];
    let error = store.settle(Arc::new(batch)).await.expect_err("full");
    assert!(unavailable(&error).contains("disk is full"), "{error}");
    assert_eq!(statuses(&*store, "service-b", &["small", &long]).await, [None, None]);
    pragma(&store, "pragma max_page_count = 1000000").await;
    settled(&member.settle_one(event(&long).handled(member.owner)).await);
}

/// Catches: a batch taken for settled, or a store given up, because the file is locked.
#[tokio::test]
async fn a_file_that_another_process_keeps_locked() {
    let file = in_file().await;
    let (_, member) = member(&file).await;
    let other = file.beside();
    other.execute_batch("begin exclusive").expect("locked");
    let error = trouble(&member, "1").await;
    assert!(unavailable(&error).contains("locked"), "{error}");
    let other_error = member.store.lease("me", PATIENCE).await.expect_err("locked");
    assert!(unavailable(&other_error).contains(&file.path().display().to_string()), "{other_error}");
    other.execute_batch("rollback").expect("let go");
    settled(&member.settle_one(event("1").handled(member.owner)).await);
}

#[tokio::test]
async fn a_file_that_cannot_be_written() {
    let file = in_file().await;
    let (store, member) = member(&file).await;
    pragma(&store, "pragma query_only = on").await; // permissions stop no administrator, who may run the tests
    let error = trouble(&member, "1").await;
    assert!(unavailable(&error).contains("cannot be written"), "{error}");
    settled(&member.settle_one(event("1").handled(member.owner)).await);
}

#[tokio::test]
async fn a_damaged_file() {
    let file = in_file().await;
    let (_, member) = member(&file).await;
    let batch: Vec<_> = (0..2000).map(|id| event(&id.to_string()).at(id).handled(member.owner)).collect();
    member.settle(batch).await;
    file.sql("pragma wal_checkpoint(truncate)").await;
    let whole = fs::read(file.path()).expect("read");
    let mut damaged = whole.clone();
    damaged[8192..].fill(0xAA);
    fs::write(file.path(), damaged).expect("damaged");
    let looked_up =
        member.store.look_up("service-b", Arc::new([Identity::of(&event("7").arrived()).into_owned()])).await;
    let error = looked_up.expect_err("damaged");
    assert!(unavailable(&error).contains("is damaged"), "{error}");
    fs::write(file.path(), whole).expect("mended");
    assert_eq!(statuses(&*member.store, "service-b", &["7"]).await, [Some(Status::Handled)]);
    settled(&member.settle_one(event("new").handled(member.owner)).await);
}

/// Catches: a store made in place of the one that is gone; another one that is written to as if it were this one.
#[tokio::test]
async fn a_file_that_is_gone_and_another_in_its_place() {
    let file = in_file().await;
    let (_, member) = member(&file).await;
    settled(&member.settle_one(event("1").handled(member.owner)).await);
    file.sql("pragma wal_checkpoint(truncate)").await;
    let folder = file.path().parent().expect("a folder").to_owned();
    let aside = folder.with_extension("aside");
    fs::rename(&folder, &aside).expect("moved");
    let error = trouble(&member, "2").await;
    unavailable(&error);
    assert!(!file.path().exists(), "nothing is made in its place");

    let another = SqliteStore::open(&file.path(), &[]).await.expect("another store");
    let error = trouble(&member, "2").await;
    assert!(matches!(&error, StoreError::Unusable(text) if text.contains(member.store.id())), "{error}");
    let read = member.store.outbox(1, usize::MAX, Vec::new()).await.expect_err("another store");
    assert!(matches!(read, StoreError::Unusable(_)), "{read}");
    assert_eq!(file.sql("select count(*) from ledger").await, 0);
    assert_eq!(file.sql("select count(*) from sqlite_schema where name = 'notes'").await, 0);
    drop(another);
    let log = file.path().with_extension("db-wal");
    while log.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await; // its threads close it, and delete its log by name
    }

    fs::rename(&folder, folder.with_extension("other")).expect("moved");
    fs::rename(&aside, &folder).expect("put back");
    settled(&member.settle_one(event("2").handled(member.owner)).await);
    assert_eq!(statuses(&*member.store, "service-b", &["1"]).await, [Some(Status::Handled)]);
}

/// Catches: a transaction that is not on the disk when the offset behind it moves.
#[tokio::test]
async fn what_is_committed_is_on_the_disk() {
    let file = in_file().await;
    let store = file.store().await;
    let synchronous = store.writer.ask(|file| {
        Ok(file
            .connection()
            .query_row("pragma synchronous", [], |row| row.get::<_, i64>(0))
            .expect("a number"))
    });
    assert_eq!(synchronous.await, Ok(2), "full");
}

/// Catches: records that are stored in another transaction than how far their source was read.
#[tokio::test]
async fn records_without_their_position_are_not_there() {
    let file = in_file().await;
    let store = file.store().await;
    let refused = "create trigger no before insert on positions begin select raise(abort, 'no'); end";
    file.beside().execute_batch(refused).expect("a trigger");
    let read = Advance { from: 0, to: SourcePosition { source: "file".to_owned(), at: 9, number: 1 } };
    store.enqueue(vec![outgoing("t", "1")], Some(read), 10).await.expect_err("refused");
    assert_eq!(store.remaining().await, Ok(Remaining::default()));
}

async fn unusable(file: &InFile, schemas: &[Schema]) -> String {
    match SqliteStore::open(&file.path(), schemas).await {
        Err(StoreError::Unusable(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_newer_schema_and_what_is_no_store_do_not_start() {
    let file = in_file().await;
    drop(file.store().await);
    file.beside().execute_batch("pragma user_version = 99").expect("a version");
    let text = unusable(&file, &[]).await;
    assert!(text.contains("number 99") && text.contains("knows 3"), "{text}");

    let foreign = in_file().await;
    fs::create_dir_all(foreign.path().parent().expect("a folder")).expect("made");
    foreign.beside().execute_batch("create table theirs (a)").expect("a table");
    let text = unusable(&foreign, &[]).await;
    assert!(text.contains("something else"), "{text}");
    assert_eq!(foreign.sql("select count(*) from sqlite_schema").await, 1, "left as it was");
}

#[tokio::test]
async fn a_statement_that_does_not_parse_does_not_start() {
    for (sqlite, problem) in [
        ("insert into nowhere values (1)", "nowhere"),
        ("selekt", "syntax error"),
        ("select 1", "changes no data"),
        ("commit", "changes no data"),
        ("", "changes no data"),
        ("delete from outbox; delete from ledger", "ultiple"),
    ] {
        let statement = Box::leak(Box::new(Statement { name: "typo", sqlite, postgres: "" }));
        let schema = Schema { migrations: &[], statements: Box::leak(Box::new([&*statement])) };
        let text = unusable(&in_file().await, &[schema]).await;
        assert!(text.contains("\"typo\"") && text.contains(problem), "{sqlite}: {text}");
    }
    for sqlite in ["create tabel a (b)", "commit"] {
        let migrations = Box::leak(Box::new([Migration { name: "odd", sqlite, postgres: "" }]));
        let text = unusable(&in_file().await, &[Schema { migrations, statements: &[] }]).await;
        assert!(text.contains("\"odd\""), "{text}");
    }
}

/// The view is for people: names, words and times instead of numbers.
#[tokio::test]
async fn the_view_is_readable() {
    let file = in_file().await;
    let (_, member) = member(&file).await;
    let id = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506";
    let mut long = event("text").at(2);
    long.source = "s".repeat(300);
    member.settle([event(id).at(1).retry(member.owner), long.handled(member.owner)]).await;
    let first = format!(
        "id = '{id}' and source = '/suite' and type = 'com.example.noted.v1' and status = 'deferred' and waits = 'retry'
         and consumer_group = 'service-b' and topic = 'orders' and partition = 0 and key = 'k' and due like '20%Z'"
    );
    let second = format!("id = 'text' and source = '{}' and settled like '20%Z'", "s".repeat(300));
    assert_eq!((in_events(&file, &first), in_events(&file, &second)), (1, 1));
}

fn in_events(file: &InFile, condition: &str) -> i64 {
    let text = format!("select count(*) from events where {condition}");
    file.beside().query_row(&text, [], |row| row.get(0)).expect("counted")
}
