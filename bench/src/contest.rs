//! A contest: ours and its references do the same work in turn, round after round, so that what the machine does
//! meanwhile meets all alike.

use crate::machine::Watch;
use crate::measure::Run;
use crate::report::{Line, Spread};
use crate::settings::Bench;

/// From which share of the machine's time on that went elsewhere a round is not counted.
const DISTURBED: f64 = 0.1;

/// The first subject is ours.
pub(crate) struct Contest<'a> {
    pub(crate) scenario: &'static str,
    /// What distinguishes it from the scenario's others.
    pub(crate) variant: String,
    /// How many events each subject has to get through in a round.
    pub(crate) events: u64,
    /// Whether a first round does not count.
    pub(crate) warm_up: bool,
    pub(crate) subjects: Vec<Subject<'a>>,
}

/// One way to do the work.
pub(crate) struct Subject<'a> {
    pub(crate) name: String,
    /// Does it once; the number of the round makes names that are not taken yet.
    pub(crate) run: Box<dyn Fn(u32) -> anyhow::Result<Run> + 'a>,
}

/// What the subjects did, round by round.
pub(crate) struct Rounds {
    /// In the order of the subjects.
    runs: Vec<Vec<Run>>,
    /// Rounds that other load disturbed.
    left_out: usize,
}

impl Rounds {
    /// A figure of one subject.
    fn of(&self, place: usize, figure: impl Fn(&Run) -> f64) -> Spread {
        Spread::of(self.runs.iter().filter_map(|runs| runs.get(place)).map(figure))
    }

    /// One subject beside another of the same round.
    pub(crate) fn compared(
        &self,
        place: usize,
        reference: usize,
        compare: impl Fn(&Run, &Run) -> f64,
    ) -> Spread {
        let pairs = self.runs.iter().filter_map(|runs| Some((runs.get(place)?, runs.get(reference)?)));
        Spread::of(pairs.map(|(run, reference)| compare(run, reference)))
    }
}

impl Contest<'_> {
    /// Runs the rounds, prints the table and adds to the report: the rate of the first subject over those of the others.
    ///
    /// # Errors
    /// A subject fails, or has not got through exactly these events.
    pub(crate) fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        let rounds = self.rounds(bench)?;
        let mut lines: Vec<Line> = (0..self.subjects.len()).map(|place| self.line(&rounds, place)).collect();
        if let Some(ours) = lines.first_mut() {
            let ratio = |(place, reference): (usize, &Subject<'_>)| {
                let faster = |ours: &Run, theirs: &Run| theirs.wall.as_secs_f64() / ours.wall.as_secs_f64();
                (reference.name.clone(), rounds.compared(0, place, faster))
            };
            ours.ratios = self.subjects.iter().enumerate().skip(1).map(ratio).collect();
        }
        bench.report.add(&lines)
    }

    /// Runs the rounds.
    ///
    /// # Errors
    /// A subject fails, or has not got through exactly these events.
    pub(crate) fn rounds(&self, bench: &Bench) -> anyhow::Result<Rounds> {
        let (mut rounds, mut left_out) = (Vec::new(), 0);
        for round in u32::from(!self.warm_up)..=bench.rounds {
            eprintln!("{}, {}: round {round} of {}", self.scenario, self.variant, bench.rounds);
            let watch = Watch::start(bench.others());
            let runs = self.round(round)?;
            let elsewhere = watch.elsewhere();
            if elsewhere > DISTURBED {
                eprintln!("{:.0} % of the machine's time went elsewhere", elsewhere * 100.0);
            }
            if round > 0 {
                rounds.push((runs, elsewhere > DISTURBED));
            }
        }
        let quiet = rounds.iter().filter(|(_, is_disturbed)| !is_disturbed).count();
        // Of so few the median would say less than of disturbed ones.
        if quiet * 2 > rounds.len() {
            left_out = rounds.len() - quiet;
            rounds.retain(|(_, is_disturbed)| !is_disturbed);
        } else if quiet < rounds.len() {
            eprintln!("other load in {} of {} rounds: all are counted", rounds.len() - quiet, rounds.len());
        }
        Ok(Rounds { runs: rounds.into_iter().map(|(runs, _)| runs).collect(), left_out })
    }

    /// Each round another subject begins: what the one before leaves behind, writes to the disk before all, meets all.
    fn round(&self, round: u32) -> anyhow::Result<Vec<Run>> {
        let (count, mut runs) = (self.subjects.len(), Vec::new());
        for place in (0..count).map(|step| (step + round as usize) % count) {
            let Subject { name, run } = &self.subjects[place];
            let run = run(round)?;
            anyhow::ensure!(
                run.events == self.events,
                "{name} got through {} events instead of {}: no ratio of different work",
                run.events,
                self.events
            );
            runs.push((place, run));
        }
        runs.sort_by_key(|(place, _)| *place);
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }

    /// What the report says of a subject, without a ratio.
    pub(crate) fn line(&self, rounds: &Rounds, place: usize) -> Line {
        let first = rounds.runs.first().and_then(|runs| runs.get(place));
        let figures = first.map(|run| run.figures.as_slice()).unwrap_or_default();
        let mib = |run: &Run| run.peak_kib.map_or(f64::NAN, |kib| kib as f64 / 1024.0);
        Line {
            scenario: self.scenario,
            variant: self.variant.clone(),
            subject: self.subjects.get(place).map(|subject| subject.name.clone()).unwrap_or_default(),
            events: self.events,
            rounds: rounds.runs.len(),
            left_out: rounds.left_out,
            rate: Some(rounds.of(place, |run| run.events as f64 / run.wall.as_secs_f64())),
            cpu_us: Some(rounds.of(place, |run| run.cpu.as_secs_f64() * 1e6 / run.events as f64)),
            rss_mib: first.and_then(|run| run.peak_kib).map(|_| rounds.of(place, mib)),
            figures: figures
                .iter()
                .map(|(name, _)| (*name, rounds.of(place, |run| run.figure(name))))
                .collect(),
            ratios: Vec::new(),
        }
    }
}
