//! From where to where, in each partition.

use shared::client::{Ends, Place, Run, Watcher};
use shared::topic::Topic;

use super::Committed;
use crate::tools::records::{self, From};

/// What is to be read.
pub(super) struct Range {
    /// Of each partition that has something of it.
    pub(super) runs: Vec<Run>,
    pub(super) committed: Committed,
}

impl Range {
    /// Only what the group has passed: the rest comes to it by itself, and would overtake what lies before.
    pub(super) fn passed(mut self) -> Self {
        for run in &mut self.runs {
            run.end = run.end.min(self.committed.get(&run.partition).copied().unwrap_or(0));
        }
        self.runs.retain(|run| run.first < run.end);
        self
    }
}

pub(super) fn of(
    watcher: &Watcher,
    topic: &Topic,
    partition: Option<i32>,
    from: Option<From>,
    to: Option<From>,
) -> anyhow::Result<Range> {
    let ends = records::ends(watcher, topic, partition)?;
    let places: Vec<Place> = ends.iter().map(|(place, _)| place.clone()).collect();
    let since = |at: Option<From>| match at {
        Some(From::Time(at)) => watcher.since(&places, at.as_millisecond()),
        _ => Ok(vec![None; places.len()]),
    };
    let (first_at, end_at) = (since(from)?, since(to)?);
    let committed = watcher.committed(&places)?;
    let runs =
        ends.iter().zip(first_at.into_iter().zip(end_at)).map(|(((_, partition), ends), (first, end))| Run {
            partition: *partition,
            ..run(*ends, from.map(|from| (from, first)), to.map(|to| (to, end)))
        });
    let committed = places.iter().zip(committed).filter_map(|((_, partition), at)| Some((*partition, at?)));
    Ok(Range { runs: runs.filter(|run| run.first < run.end).collect(), committed: committed.collect() })
}

/// A bound, and the offset of the first record that is as young as it, where it is a time.
type Bound = Option<(From, Option<i64>)>;

fn run(ends: Ends, from: Bound, to: Bound) -> Run {
    Run {
        partition: 0,
        first: from.map_or(ends.low, |(from, at)| from.first(ends, at)),
        end: to.map_or(ends.high, |(to, at)| to.first(ends, at).min(ends.high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an end beyond the partition's, for which the tool would wait; one that is read although it is not wanted.
    #[test]
    fn a_range_is_within_its_partition() {
        let ends = Ends { low: 10, high: 20 };
        let of = |from: Option<i64>, to: Option<i64>| {
            let at = |offset: i64| (From::Offset(offset), None);
            let run = run(ends, from.map(at), to.map(at));
            (run.first, run.end)
        };
        assert_eq!(of(None, None), (10, 20));
        assert_eq!(of(Some(3), Some(15)), (10, 15));
        assert_eq!(of(Some(12), Some(99)), (12, 20));
        assert_eq!(of(Some(12), Some(3)), (12, 10), "nothing");
        let time = From::Time(jiff::Timestamp::UNIX_EPOCH);
        let run = run(ends, Some((From::Last(2), None)), Some((time, None)));
        assert_eq!((run.first, run.end), (18, 20), "no record is as young as that");
    }

    /// Catches: an event that overtakes its key.
    #[test]
    fn what_the_group_has_not_passed_is_left_to_it() {
        let run = |partition| Run { partition, first: 5, end: 20 };
        let range = Range { runs: (0..4).map(run).collect(), committed: [(0, 12), (1, 5), (2, 30)].into() };
        let passed = range.passed().runs.into_iter().map(|run| (run.partition, run.end));
        assert_eq!(passed.collect::<Vec<_>>(), [(0, 12), (2, 20)]);
    }
}
