//! `cargo test --release -p shared --lib postgres::tests::many -- --ignored --nocapture`

use super::bench::bench;
use crate::store::suite::{FROM, MANY, templates, time_questions};

#[tokio::test]
#[ignore = "prints figures; takes minutes and 4 GB; needs POSTGRES_URL"]
async fn questions_to_ten_million_rows() {
    let database = bench().await;
    let [handled, dead, deferred] = templates(&database).await;
    let all = format!(
        "insert into ledger (number, partition, epoch, \"offset\", hash, attempts, time, due, pause, failing_for, first_seen,
            settled, group_number, status, wait, source, id, key, type, reason, packed, timestamp)
         select n + 1000, t.partition, t.epoch, n, n, t.attempts, t.time, t.due, t.pause, t.failing_for,
            to_timestamp({FROM} / 1000.0 + n / 100.0), to_timestamp({FROM} / 1000.0 + n / 100.0),
            t.group_number, t.status, t.wait, t.source,
            convert_to('0192f3a4-' || lpad(to_hex(n >> 16), 4, '0') || '-' || lpad(to_hex(n & 65535), 4, '0')
                || '-8000-000000000000', 'UTF8'),
            convert_to('key-' || n % 1024, 'UTF8'), t.type,
            case when t.reason is not null then convert_to('order ' || n || ' was refused ' || n % 7, 'UTF8') end,
            t.packed, t.timestamp
         from generate_series(1, {MANY}) as n
         join ledger as t on t.number = case when n % 100 = 0 then {dead} when n % 1000 = 1 then {deferred} else {handled} end"
    );
    database.client().await.batch_execute(&all).await.expect("filled");
    time_questions(&database).await;
}
