//! What commands are answered, the first time and again.

use super::{Bench, Draft, Member, NOTE, event, outgoing, settled};
use crate::store::{Effects, Ownership, Reply, Settlement, Status, Step, Verdict};

/// The sender waits there.
const REPLIES: &str = "service-a.replies";

fn reply(packed: Option<&str>) -> Reply {
    let packed = packed.map(|packed| packed.as_bytes().to_vec());
    Reply { topic: Some(REPLIES.to_owned()), packed }
}

/// Handled, with that answer.
fn done(draft: &Draft, owner: Ownership, says: &str) -> Settlement {
    Settlement { reply: Some(reply(Some(says)).into()), ..draft.handled(owner) }
}

/// What the outbox holds, in order.
async fn published(member: &Member) -> Vec<(String, String)> {
    let rows = member.store.outbox(20, usize::MAX, Vec::new()).await.expect("read");
    let text = |packed: &[u8]| String::from_utf8_lossy(packed).into_owned();
    rows.iter().map(|row| (row.topic.clone(), text(&row.packed))).collect()
}

fn replied(says: &[&str]) -> Vec<(String, String)> {
    says.iter().map(|says| (REPLIES.to_owned(), (*says).to_owned())).collect()
}

/// After a restart, in the same batch, and where the handler would answer differently by now.
/// Catches: a reply that is not kept, another one in its place, an effect that comes with it once more.
pub(crate) async fn a_command_that_comes_again_gets_the_same_reply(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let writes = Effects::none().write(&NOTE, ["once".into()]);
    let first =
        Settlement { reply: Some(reply(Some("one")).into()), ..event("1").writing(owner, writes.clone()) };
    let again =
        Settlement { reply: Some(reply(Some("two")).into()), ..event("1").at(1).writing(owner, writes) };
    let verdicts = member.settle([first, again]).await;
    settled(&verdicts[0]);
    assert_eq!(verdicts[1], Verdict::Known(Status::Handled));
    assert_eq!(published(&member).await, replied(&["one", "one"]));

    let member = Member::join(bench).await;
    // The look-up knew it: nothing was handled.
    let known = Settlement { reply: Some(reply(None).into()), ..event("1").at(2).handled(member.owner) };
    assert_eq!(member.settle_one(known).await, Verdict::Known(Status::Handled));
    assert_eq!(published(&member).await, replied(&["one", "one", "one"]));
    assert_eq!(bench.sql("select count(*) from notes").await, 1);
}

/// Between two that say what they do, of many events that get none.
/// Catches: a reply that goes to another's row, or is lost in a statement of many rows.
pub(crate) async fn replies_stay_with_their_commands(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let batch: Vec<_> = (0..100)
        .map(|number: i64| {
            let draft = event(&number.to_string()).key(&number.to_string()).at(number);
            if number % 45 == 7 { done(&draft, owner, &number.to_string()) } else { draft.handled(owner) }
        })
        .collect();
    member.settle(batch).await.iter().for_each(|verdict| {
        settled(verdict);
    });
    assert_eq!(published(&member).await, replied(&["7", "52", "97"]));
    for number in ["52", "8"] {
        let draft = event(number).key(number).at(200);
        member.settle_one(Settlement { reply: Some(reply(None).into()), ..draft.handled(owner) }).await;
    }
    assert_eq!(published(&member).await, replied(&["7", "52", "97", "52"]));
}

/// Catches: a reply before there is an outcome, and one that is not kept when a row moves.
pub(crate) async fn a_reply_comes_with_the_last_attempt(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let retry = Settlement { reply: Some(reply(None).into()), ..event("1").retry(owner) };
    let row = settled(&member.settle_one(retry).await);
    let again = Settlement { reply: Some(reply(None).into()), ..event("1").at(1).retry(owner) };
    assert_eq!(member.settle_one(again).await, Verdict::Known(Status::Deferred));
    assert_eq!(published(&member).await, []);
    settled(&member.settle_one(done(&event("1").row(row, 1), owner, "at last")).await);
    let again = Settlement { reply: Some(reply(None).into()), ..event("1").at(2).handled(owner) };
    assert_eq!(member.settle_one(again).await, Verdict::Known(Status::Handled));
    assert_eq!(published(&member).await, replied(&["at last", "at last"]));
}

/// Catches: a dead command whose sender waits in vain, and an expired one that is asked again.
pub(crate) async fn what_is_not_done_is_answered_too(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let dead = || {
        let dead = event("1").dead(owner, outgoing("dlq", "letter"));
        Settlement { reply: Some(reply(Some("dead")).into()), ..dead }
    };
    let expired = || Settlement {
        reply: Some(reply(Some("late")).into()),
        ..event("2").at(1).settle(owner, Step::Expired)
    };
    member.settle([dead(), expired()]).await.iter().for_each(|verdict| {
        settled(verdict);
    });
    let known = [Status::Dead, Status::Expired].map(Verdict::Known);
    assert_eq!(member.settle([dead(), expired()]).await, known);
    let mut all = published(&member).await;
    all.retain(|(topic, _)| topic == REPLIES);
    assert_eq!(all, replied(&["dead", "late", "dead", "late"]));
}

/// Nobody waited for the first one: who asks again and waits gets it.
pub(crate) async fn a_reply_is_kept_though_nobody_waits(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let nobody = Reply { topic: None, packed: Some(b"kept".to_vec()) };
    let first = Settlement { reply: Some(nobody.into()), ..event("1").handled(owner) };
    settled(&member.settle_one(first).await);
    assert_eq!(published(&member).await, []);
    member
        .settle_one(Settlement { reply: Some(reply(None).into()), ..event("1").at(1).handled(owner) })
        .await;
    assert_eq!(published(&member).await, replied(&["kept"]));
}
