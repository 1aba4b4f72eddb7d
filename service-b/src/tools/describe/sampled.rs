//! Positions, looked at again and again.

use std::collections::HashMap;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant, SystemTime};

use shared::client::{Ends, Member, Members, Membership, Place, Run, Then, Watcher};
use shared::flow::{Estimate, Flow, lag};
use shared::telemetry::{self, Printable};

/// How often positions are looked at.
const SAMPLES: u32 = 10;

/// What is described.
pub(super) enum Scope {
    Topic(String),
    /// Whatever the group has to do with.
    Group,
}

/// A partition, as the group sees it.
pub(super) struct Partition {
    pub(super) place: Place,
    pub(super) ends: Ends,
    pub(super) committed: Option<i64>,
    pub(super) flow: Estimate,
    /// How long ago the record was written at which the group stands; `None` where that is not known.
    pub(super) behind: Option<Duration>,
    /// Which of the members has it.
    pub(super) owner: Option<usize>,
}

pub(super) struct Sampled {
    pub(super) partitions: Vec<Partition>,
    /// All partitions together.
    pub(super) whole: Estimate,
    /// Kafka's word for it; `None` where nobody tells, or there is no such group.
    pub(super) state: Option<String>,
    pub(super) members: Vec<Member>,
    /// Why there are none to be seen.
    pub(super) hidden: Option<String>,
}

pub(super) fn sample(
    watcher: &Watcher,
    group: &str,
    scope: &Scope,
    lasts: Duration,
) -> anyhow::Result<Sampled> {
    let (state, members, hidden) = match watcher.groups(Some(group)).map(|groups| groups.into_iter().next()) {
        Ok(Some(Membership { state, members: Members::Known(members), .. })) => (state, members, None),
        Ok(Some(Membership { state, members: Members::Hidden(why), .. })) => (state, Vec::new(), Some(why)),
        Ok(None) => (None, Vec::new(), None),
        Err(error) => (None, Vec::new(), Some(format!("{error:#}"))),
    };
    let owners = owners(&members);
    let places = places(watcher, scope, &owners)?;
    anyhow::ensure!(
        !places.is_empty() || !members.is_empty(),
        "there is no group {}: nobody is in it, and it has committed nothing. `service-b groups list` shows those that there are",
        Printable(group)
    );
    let Positions { flows, whole, committed, ends } = positions(watcher, &places, lasts)?;
    let written = written(watcher, &places, &committed, &ends);
    let now = SystemTime::now();
    let partitions = places.into_iter().enumerate().map(|(at, place)| Partition {
        ends: ends[at],
        committed: committed[at],
        flow: flows[at].estimate(),
        behind: if lag(ends[at].high, stands(committed[at], ends[at])) == 0 {
            Some(Duration::ZERO)
        } else {
            written.get(&place).map(|written| now.duration_since(*written).unwrap_or_default())
        },
        owner: owners.get(&place).copied(),
        place,
    });
    Ok(Sampled { partitions: partitions.collect(), whole: whole.estimate(), state, members, hidden })
}

/// What was seen of some partitions.
struct Positions {
    flows: Vec<Flow>,
    /// Of all partitions together.
    whole: Flow,
    /// As they were last.
    committed: Vec<Option<i64>>,
    ends: Vec<Ends>,
}

fn positions(watcher: &Watcher, places: &[Place], lasts: Duration) -> anyhow::Result<Positions> {
    // Nothing is forgotten before the end.
    let window = lasts.saturating_add(Duration::from_secs(60));
    let (mut flows, mut whole) = (vec![Flow::new(window); places.len()], Flow::new(window));
    let (mut committed, mut ends) = (Vec::new(), Vec::new());
    let start = Instant::now();
    let mut progress = Progress::start(lasts);
    for number in 0..SAMPLES {
        std::thread::sleep((lasts.saturating_mul(number) / (SAMPLES - 1)).saturating_sub(start.elapsed()));
        // In this order: what is committed in between makes no lag smaller than it is.
        committed = watcher.committed(places)?;
        ends = watcher.ends(places)?;
        let (at, mut produced, mut consumed) = (start.elapsed(), 0, 0);
        for ((flow, ends), committed) in flows.iter_mut().zip(&ends).zip(&committed) {
            let stands = stands(*committed, *ends);
            flow.note(at, ends.high, stands);
            produced = ends.high.saturating_add(produced);
            consumed = stands.saturating_add(consumed);
        }
        whole.note(at, produced, consumed);
        progress.show(number + 1);
    }
    progress.finish();
    Ok(Positions { flows, whole, committed, ends })
}

/// Without a committed offset the group would begin at the beginning; with one that is gone, where records are left.
fn stands(committed: Option<i64>, ends: Ends) -> i64 {
    committed.unwrap_or(ends.low).max(ends.low)
}

fn owners(members: &[Member]) -> HashMap<Place, usize> {
    let of = |(number, member): (usize, &Member)| {
        let partitions = member.partitions.clone().unwrap_or_default();
        partitions.into_iter().map(move |place| (place, number)).collect::<Vec<_>>()
    };
    members.iter().enumerate().flat_map(of).collect()
}

fn places(watcher: &Watcher, scope: &Scope, owners: &HashMap<Place, usize>) -> anyhow::Result<Vec<Place>> {
    if let Scope::Topic(topic) = scope {
        return watcher.places(topic);
    }
    let streams = watcher.streams()?.into_iter().filter(|stream| !stream.topic.starts_with("__"));
    let all: Vec<Place> = streams
        .flat_map(|stream| {
            stream.partitions.into_iter().map(move |partition| (stream.topic.clone(), partition))
        })
        .collect();
    let committed = watcher.committed(&all)?;
    let is_ours = |place: &Place, committed: &Option<i64>| committed.is_some() || owners.contains_key(place);
    Ok(all
        .into_iter()
        .zip(committed)
        .filter(|(place, at)| is_ours(place, at))
        .map(|(place, _)| place)
        .collect())
}

/// When the records were written at which the group stands. What cannot be read is left out: the rest stands without it.
fn written(
    watcher: &Watcher,
    places: &[Place],
    committed: &[Option<i64>],
    ends: &[Ends],
) -> HashMap<Place, SystemTime> {
    let mut runs: HashMap<&str, Vec<Run>> = HashMap::new();
    for ((place, committed), ends) in places.iter().zip(committed).zip(ends) {
        let run = Run { partition: place.1, first: stands(*committed, *ends), end: ends.high };
        runs.entry(&place.0).or_default().push(run);
    }
    let mut written = HashMap::new();
    for (topic, runs) in runs {
        let read = watcher.read(topic, &runs, |record| {
            let (origin, epoch) = (record.origin(), SystemTime::UNIX_EPOCH);
            let at =
                origin.timestamp.and_then(|at| Some(epoch + Duration::from_millis(u64::try_from(at).ok()?)));
            if let Some(at) = at {
                written.insert((topic.to_owned(), origin.partition), at);
            }
            Then::NextPartition
        });
        if let Err(error) = read {
            tracing::debug!("{topic}: {error:#}");
        }
    }
    written
}

/// A line on a terminal that says how far it is.
struct Progress(Option<Duration>);

impl Progress {
    fn start(lasts: Duration) -> Self {
        let is_shown = std::io::stderr().is_terminal();
        telemetry::progress_line(is_shown);
        Self(is_shown.then_some(lasts))
    }

    fn show(&mut self, number: u32) {
        if let Some(lasts) = self.0 {
            // Who does not see it misses nothing.
            let _ =
                write!(std::io::stderr(), "\r\x1b[2Klooking for {lasts:?}: {number} of {SAMPLES} samples");
        }
    }

    fn finish(self) {
        if self.0.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
            telemetry::progress_line(false);
        }
    }
}
