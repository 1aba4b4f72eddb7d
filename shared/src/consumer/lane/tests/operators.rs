//! What operators do while a lane is in the middle of it.

use super::*;

fn changed(key: Option<u64>, row: RowId, waiting: Option<Waiting>) -> ToLane {
    ToLane::Changed(SLOT, vec![Changed { key: key.map(Key), row, waiting }])
}

/// Catches: a key that is held for ever, because its dead event was seen to before the lane knew that it is dead.
#[tokio::test(start_paused = true)]
async fn what_is_seen_to_before_the_lane_knows_of_it_holds_nothing() {
    for (status, waiting) in [(Status::Parked, None), (Status::Deferred, Some(Waiting::Until(0)))] {
        let mut rig = Rig::with::<false>(1, 10, |common| common.on_dead = OnDead::HoldKey);
        rig.ledger.0.lock().expect("tables").latency = Duration::from_secs(2);
        rig.send(&[(1, "refuse"), (1, "later")]);
        rig.pass(Duration::from_secs(3)).await;
        assert_eq!(rig.ledger(), [(0, Status::Dead)]);
        rig.change(RowId(0), status);
        let key = waiting.is_some().then_some(1);
        rig.tell(|| changed(key, RowId(0), waiting));
        rig.pass(Duration::from_secs(100)).await;
        let attempts = rig.started().iter().filter(|script| *script == "refuse").count();
        match status {
            Status::Parked => assert_eq!(rig.ended(), ["later"]),
            _ => assert_eq!(attempts, 2, "given back to its handler"),
        }
    }
}

/// Catches: a dead event that is given back while nobody has its partition, and comes after those that it held.
#[tokio::test(start_paused = true)]
async fn what_is_given_back_while_nobody_is_there_goes_before_what_it_held() {
    let mut rig = Rig::with::<false>(1, 10, |common| common.on_dead = OnDead::HoldKey);
    rig.send(&[(1, "refuse"), (1, "later")]);
    rig.until_settled(2).await;
    rig.tell(|| ToLane::Forget(SLOT));
    rig.pass(Duration::from_secs(1)).await;
    rig.change(RowId(0), Status::Deferred);
    (rig.slot, rig.epoch) = (SlotId(2), 1);
    rig.ledger.0.lock().expect("tables").epoch = 1;
    let key = Some(1u64.to_be_bytes().to_vec());
    let row =
        |row, waiting| (Key(1), DeferredRow { row: RowId(row), key: key.clone(), offset: row, waiting });
    rig.take(&[row(0, Waiting::Retry(Duration::ZERO)), row(1, Waiting::Behind)], &[]);
    rig.pass(Duration::from_secs(100)).await;
    assert_eq!(rig.started(), ["refuse", "refuse"], "dead again, it holds its key again");
}
