//! `cargo test --release -p shared --lib sqlite::tests::many -- --ignored --nocapture`

use super::*;
use crate::store::suite::{FROM, MANY, templates, time_questions};

#[tokio::test]
#[ignore = "prints figures; takes minutes and 2 GB"]
async fn questions_to_ten_million_rows() {
    let file = in_file().await;
    let [handled, dead, deferred] = templates(&file).await;
    let all = format!(
        "with recursive numbers (n) as (values (1) union all select n + 1 from numbers where n < {MANY})
         insert into ledger (partition, offset, scope, id, hash, key, type, time, status, attempts, seen, settled, wait,
            due, pause, failing_for, reason, packed, timestamp)
         select t.partition, n, t.scope, unhex(printf('0192f3a4%08x8000000000000000', n)), n,
            cast('key-' || (n % 1024) as blob), t.type, t.time, t.status, t.attempts, {FROM} + 10 * n,
            {FROM} + 10 * n, t.wait, t.due, t.pause, t.failing_for,
            case when t.reason is not null then 'order ' || n || ' was refused ' || (n % 7) end, t.packed, t.timestamp
         from numbers cross join ledger as t
         where t.row = case when n % 100 = 0 then {dead} when n % 1000 = 1 then {deferred} else {handled} end"
    );
    file.beside().execute_batch(&all).expect("filled");
    time_questions(&file).await;
}
