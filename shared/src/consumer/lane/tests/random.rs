//! Any events, any crashes: each takes effect once, and in the order of its key.

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Debug, Clone)]
struct Plan {
    events: Vec<(u64, &'static str)>,
    /// So many events arrive; it works for so many milliseconds; then, or not, it loses the partition.
    steps: Vec<(usize, u64, Then)>,
    /// How long the ledger takes for an answer, in milliseconds.
    latency: u64,
    pure: bool,
    lanes: usize,
    deferred_max: usize,
    /// Of the jitter.
    seed: u64,
}

fn plan() -> impl Strategy<Value = Plan> {
    let script = prop_oneof![
        5 => Just("effect"),
        2 => Just("fail 1"),
        1 => Just("fail 3"),
        1 => Just("refuse"),
        1 => Just("bad-effect"),
        1 => Just("unlucky-effect"),
        1 => Just("sleep 3000"),
        1 => Just("plain"),
    ];
    let events = vec((0u64..4, script), 1..40);
    let steps = vec(
        (1usize..20, 0u64..700, prop_oneof![Just(Then::GoOn), Just(Then::Lose), Just(Then::Fence)]),
        0..6,
    );
    (events, steps, 0u64..60, any::<bool>(), 1usize..3, 1usize..6, any::<u64>()).prop_map(
        |(events, steps, latency, pure, lanes, deferred_max, seed)| Plan {
            events,
            steps,
            latency,
            pure,
            lanes,
            deferred_max,
            seed,
        },
    )
}

#[derive(Debug, Clone, Copy)]
enum Then {
    GoOn,
    Lose,
    /// The ledger fences it first; what was fetched goes on coming until the group, too, takes the partition away.
    Fence,
}

impl Rig {
    /// Another member takes the partition: it finds what is in the ledger, and Kafka sends from the first open offset.
    fn hand_over(&mut self, events: &[(u64, &str)]) {
        self.tell(|| ToLane::Forget(self.slot));
        self.take_reports();
        let key = |row: &DeferredRow| {
            let bytes = row.key.as_deref().and_then(|key| key.try_into().ok()).expect("eight bytes");
            u64::from_be_bytes(bytes)
        };
        self.slot = SlotId(self.slot.0 + 1);
        self.epoch += 1;
        let rows = {
            let mut tables = self.ledger.0.lock().expect("tables");
            tables.epoch = self.epoch;
            tables.deferred()
        };
        let owner = Ownership { partition: 1, epoch: self.epoch };
        for (number, lane) in self.lanes.iter().enumerate() {
            let here = rows.iter().filter(|row| key(row) as usize % self.lanes.len() == number);
            let deferred = here.map(|row| (Key(key(row)), row.clone())).collect();
            let taken = Taken { topic: "t", partition: 0, owner, deferred, answered: Vec::new() };
            lane.send(ToLane::Take(self.slot, taken)).expect("a lane");
        }
        let first = (0..events.len() as i64).find(|offset| !self.settled.contains(offset)).unwrap_or(0);
        self.send_from(first, events.get(first as usize..).unwrap_or_default());
    }
}

async fn carry_out(plan: Plan) -> (Vec<(i64, Status)>, Vec<i64>) {
    let change = |common: &mut Common| common.deferred_max = plan.deferred_max;
    let mut rig = if plan.pure {
        Rig::with::<true>(plan.lanes, 3, change)
    } else {
        Rig::with::<false>(plan.lanes, 3, change)
    };
    let mut sent = 0;
    rig.ledger.0.lock().expect("tables").latency = Duration::from_millis(plan.latency);
    for (count, works_for, then) in &plan.steps {
        let until = (sent + count).min(plan.events.len());
        rig.send_from(sent as i64, &plan.events[sent..until]);
        sent = until;
        rig.pass(Duration::from_millis(*works_for)).await;
        if let Then::Fence = then {
            rig.ledger.0.lock().expect("tables").epoch += 1;
            for late in plan.events[sent..].iter().take(3) {
                rig.send_from(sent as i64, std::slice::from_ref(late));
                sent += 1;
                rig.pass(Duration::from_millis(plan.latency)).await;
            }
        }
        if let Then::Lose | Then::Fence = then {
            rig.hand_over(&plan.events[..sent]);
        }
    }
    rig.send_from(sent as i64, &plan.events[sent..]);
    let all = plan.events.len() as i64;
    let deadline = Instant::now() + Duration::from_secs(1000);
    while !(0..all).all(|offset| rig.settled.contains(&offset)) || rig.counts.has_blocked_keys() {
        assert!(Instant::now() < deadline, "settled only {:?}", rig.settled);
        rig.pass(Duration::from_millis(10)).await;
    }
    let effects = rig.ledger.0.lock().expect("tables").effects.clone();
    (rig.ledger(), effects)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Catches: an event lost or applied twice, one that overtakes an earlier one of its key, a key that is stuck.
    #[test]
    fn each_event_takes_effect_once_and_in_the_order_of_its_key(plan in plan()) {
        fastrand::seed(plan.seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (ledger, effects) = runtime.expect("a runtime").block_on(carry_out(plan.clone()));
        let ends: Vec<(i64, Status)> = ledger.into_iter().filter(|(_, status)| *status != Status::Deferred).collect();
        for key in 0..4 {
            let expected: Vec<(i64, Status)> = (0i64..)
                .zip(&plan.events)
                .filter(|(_, (of, _))| *of == key)
                .map(|(offset, (_, script))| match *script {
                    "refuse" | "bad-effect" => (offset, Status::Dead),
                    _ => (offset, Status::Handled),
                })
                .collect();
            let of_key = |(offset, _): &&(i64, Status)| plan.events[*offset as usize].0 == key;
            prop_assert_eq!(ends.iter().filter(of_key).copied().collect::<Vec<_>>(), expected);
        }
        let mut effects = effects;
        effects.sort_unstable();
        let wanted = (0i64..).zip(&plan.events).filter(|(_, (_, script))| matches!(*script, "effect" | "unlucky-effect"));
        prop_assert_eq!(effects, wanted.map(|(offset, _)| offset).collect::<Vec<_>>());
    }
}
