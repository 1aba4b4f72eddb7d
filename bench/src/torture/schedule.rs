//! Which fault when: drawn from the seed before anything starts, so that a run can be had again. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a fault falls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// service-a.
    Publisher,
    /// The service-b in that place.
    Member(usize),
    Broker,
}

/// A kind of fault, by the name under which it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// kill -9; started again soon.
    Kill,
    /// SIGTERM; started again soon.
    Term,
    /// SIGTERM of a member that stays away for long: it leaves, and joins later.
    Leave,
    /// SIGSTOP of a member for longer than its session lasts, then SIGCONT.
    Freeze,
}

/// One fault: the target is away for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) at: Duration,
    pub(crate) target: Target,
    pub(crate) fault: Fault,
    pub(crate) away: Duration,
}

/// What may be asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) seed: u64,
    /// How many faults are kill -9; half as many others lie between them.
    pub(crate) kills: usize,
    pub(crate) lasts: Duration,
    /// Places of members, and how many of them never leave.
    pub(crate) members: usize,
    pub(crate) staying: usize,
    pub(crate) publisher: bool,
    pub(crate) broker: bool,
}

/// Nothing happens before everything has started.
const CALM: Duration = Duration::from_secs(8);

/// The faults in the order of their time. A target is left alone while it is away and just after, so that every fault
/// meets a process; where too many are asked for in too short a time, there are fewer.
pub(crate) fn draw(wish: &Wish) -> Vec<Planned> {
    let mut random = fastrand::Rng::with_seed(wish.seed);
    let span = wish.lasts.saturating_sub(CALM).as_millis() as u64;
    let mut kinds: Vec<bool> = vec![true; wish.kills];
    kinds.resize(wish.kills + wish.kills / 2, false);
    random.shuffle(&mut kinds);
    let mut times: Vec<Duration> =
        kinds.iter().map(|_| CALM + Duration::from_millis(random.u64(0..=span))).collect();
    times.sort_unstable();
    let mut away_until = BTreeMap::new();
    let mut plan = Vec::new();
    for (mut at, is_kill) in times.into_iter().zip(kinds) {
        // Nobody there: as soon as somebody is.
        while at <= wish.lasts {
            let Some(planned) = pick(wish, &mut random, at, is_kill, &away_until) else {
                at += Duration::from_millis(250);
                continue;
            };
            let settle = Duration::from_millis(if planned.target == Target::Broker { 8000 } else { 700 });
            away_until.insert(planned.target, at + planned.away + settle);
            plan.push(planned);
            break;
        }
    }
    plan.sort_by_key(|planned| planned.at);
    plan
}

fn pick(
    wish: &Wish,
    random: &mut fastrand::Rng,
    at: Duration,
    is_kill: bool,
    away_until: &BTreeMap<Target, Duration>,
) -> Option<Planned> {
    let members = (0..wish.members).map(Target::Member);
    // Of ten kills of a whole set about six fall on members, three on service-a, one on the broker.
    let candidates = members.flat_map(|member| [member; 2]);
    let candidates = candidates.chain([Target::Publisher; 3].into_iter().filter(|_| wish.publisher));
    let candidates = candidates.chain([Target::Broker].into_iter().filter(|_| wish.broker && is_kill));
    let there: Vec<Target> =
        candidates.filter(|target| away_until.get(target).is_none_or(|until| *until <= at)).collect();
    let target = *there.get(random.usize(0..there.len().max(1)))?;
    let fault = match (is_kill, target) {
        (true, _) => Fault::Kill,
        (false, Target::Member(place)) => match random.u8(0..3) {
            0 => Fault::Freeze,
            1 if place >= wish.staying => Fault::Leave,
            _ => Fault::Term,
        },
        (false, _) => Fault::Term,
    };
    let away = match (fault, target) {
        (Fault::Freeze, _) => random.u64(7_000..12_000),
        (Fault::Leave, _) => random.u64(8_000..20_000),
        (_, Target::Broker) => random.u64(1_000..8_000),
        _ => random.u64(0..2_000),
    };
    Some(Planned { at, target, fault, away: Duration::from_millis(away) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish = Wish {
        seed: 7,
        kills: 300,
        lasts: Duration::from_secs(1200),
        members: 3,
        staying: 1,
        publisher: true,
        broker: true,
    };

    #[test]
    fn the_same_seed_draws_the_same_faults() {
        assert_eq!(draw(&WISH), draw(&WISH));
        assert_ne!(draw(&WISH), draw(&Wish { seed: 8, ..WISH }));
    }

    #[test]
    fn as_many_kills_as_asked_for_and_every_kind_of_fault() {
        let plan = draw(&WISH);
        let count = |fault, target: fn(Target) -> bool| {
            plan.iter().filter(|planned| planned.fault == fault && target(planned.target)).count()
        };
        assert_eq!(count(Fault::Kill, |_| true), 300);
        assert!(count(Fault::Kill, |target| target == Target::Broker) > 10);
        assert!(count(Fault::Kill, |target| target == Target::Publisher) > 30);
        for fault in [Fault::Term, Fault::Leave, Fault::Freeze] {
            assert!(count(fault, |target| matches!(target, Target::Member(_))) > 10, "{fault:?}");
        }
        assert!(plan.is_sorted_by_key(|planned| planned.at));
        assert!(plan.iter().all(|planned| planned.at >= CALM && planned.at <= WISH.lasts));
    }

    #[test]
    fn nothing_falls_on_what_is_away() {
        let plan = draw(&Wish { kills: 1_000, lasts: Duration::from_secs(60), ..WISH });
        for (index, planned) in plan.iter().enumerate() {
            let back = planned.at + planned.away;
            let next = plan[index + 1..].iter().find(|later| later.target == planned.target);
            assert!(next.is_none_or(|later| later.at > back), "{planned:?} {next:?}");
        }
    }

    #[test]
    fn what_cannot_be_hit_is_not() {
        let plan = draw(&Wish { publisher: false, broker: false, members: 2, staying: 2, ..WISH });
        assert!(plan.iter().all(|planned| matches!(planned.target, Target::Member(0 | 1))));
        assert!(plan.iter().all(|planned| planned.fault != Fault::Leave));
        assert!(draw(&Wish { members: 0, publisher: false, broker: false, ..WISH }).is_empty());
    }
}
