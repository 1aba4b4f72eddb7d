//! How fast it settles, beside the bare insert.

use std::sync::Arc;
use std::time::Instant;

use tokio_postgres::types::ToSql;

use super::bench::{Database, bench};
use crate::store::suite::{Draft, Member, event};
use crate::store::{Identity, Settlement};

const BATCH: i64 = 2_000;
const BATCHES: i64 = 50;

fn drafts(batch: i64) -> Vec<Draft> {
    let one = |number: i64| Draft {
        data: vec![b'x'; 100],
        ..event(&uuid::Uuid::now_v7().to_string())
            .at(batch * BATCH + number)
            .key(&format!("key {}", number % 100))
    };
    (0..BATCH).map(one).collect()
}

/// `cargo test --release -p shared --lib -- --ignored --nocapture postgres::tests::speed`
#[tokio::test]
#[ignore = "prints figures; needs POSTGRES_URL"]
async fn rows_a_second_of_settle_and_of_the_bare_insert() {
    let bare = bare(&bench().await).await;
    let settle = settle(&bench().await).await;
    println!("bare insert {bare:.0} rows/s, settle {settle:.0} rows/s, ratio {:.2}", settle / bare);
}

async fn settle(database: &Database) -> f64 {
    let member = Member::join(database).await;
    let batches: Vec<Arc<[Settlement]>> = (0..BATCHES)
        .map(|batch| drafts(batch).iter().map(|draft| draft.handled(member.owner)).collect())
        .collect();
    let begun = Instant::now();
    for batch in batches {
        member.settle(batch).await;
    }
    (BATCH * BATCHES) as f64 / begun.elapsed().as_secs_f64()
}

/// The same columns with the same content into the same table, a transaction each, and nothing else.
async fn bare(database: &Database) -> f64 {
    let member = Member::join(database).await;
    let client = database.client().await;
    let insert = client
        .prepare(
            "insert into ledger (number, partition, epoch, \"offset\", hash, attempts, time, group_number, status, \
                source, id, key, type)
             select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                $7::bigint[], $8::integer[], $9::smallint[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[])
             on conflict do nothing",
        )
        .await
        .expect("prepared");
    let batches: Vec<_> = (0..BATCHES).map(|batch| (batch, drafts(batch))).collect();
    let begun = Instant::now();
    for (batch, drafts) in &batches {
        let numbers: Vec<i64> = (1..=BATCH).map(|number| batch * BATCH + number).collect();
        let (ones, owner) = (vec![1_i64; numbers.len()], member.owner);
        let (partitions, epochs) = (vec![owner.partition; numbers.len()], vec![owner.epoch; numbers.len()]);
        let hashes: Vec<i64> = drafts.iter().map(|draft| Identity::of(&draft.arrived()).hash).collect();
        let sources: Vec<&[u8]> = drafts.iter().map(|draft| draft.source.as_bytes()).collect();
        let ids: Vec<&[u8]> = drafts.iter().map(|draft| draft.id.as_bytes()).collect();
        let keys: Vec<Option<&[u8]>> = drafts.iter().map(|draft| draft.key.as_deref()).collect();
        let types: Vec<&[u8]> = drafts.iter().map(|draft| draft.ty.as_bytes()).collect();
        let (groups, statuses) = (vec![1_i32; numbers.len()], vec![2_i16; numbers.len()]);
        let columns: [&(dyn ToSql + Sync); 13] = [
            &numbers,
            &partitions,
            &epochs,
            &numbers,
            &hashes,
            &ones,
            &numbers,
            &groups,
            &statuses,
            &sources,
            &ids,
            &keys,
            &types,
        ];
        let count = client.execute(&insert, &columns).await.expect("inserted");
        assert_eq!(count, drafts.len() as u64);
    }
    (BATCH * BATCHES) as f64 / begun.elapsed().as_secs_f64()
}
