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
    pub(crate) subjects: Vec<Subject<'a>>,
}

/// One way to do the work.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'static str,
    /// Does it once; the number of the round makes names that are not taken yet.
    pub(crate) run: Box<dyn Fn(u32) -> anyhow::Result<Run> + 'a>,
}

impl Contest<'_> {
    /// Runs the rounds, prints the table and adds to the report.
    ///
    /// # Errors
    /// A subject fails, or has not got through exactly these events.
    pub(crate) fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        let (mut rounds, mut disturbed) = (Vec::new(), 0);
        for round in 0..=bench.rounds {
            eprintln!("{}, {}: round {round} of {}", self.scenario, self.variant, bench.rounds);
            let watch = Watch::start(bench.broker_pid());
            let runs = self.round(round)?;
            // The first one warms up.
            if round > 0 {
                rounds.push((runs, watch.elsewhere() > DISTURBED));
            }
        }
        let quiet = rounds.iter().filter(|(_, is_disturbed)| !is_disturbed).count();
        // Of so few the median would say less than of disturbed ones.
        if quiet * 2 > rounds.len() {
            disturbed = rounds.len() - quiet;
            rounds.retain(|(_, is_disturbed)| !is_disturbed);
        } else if quiet < rounds.len() {
            eprintln!("other load in {} of {} rounds: all are counted", rounds.len() - quiet, rounds.len());
        }
        let rounds: Vec<Vec<Run>> = rounds.into_iter().map(|(runs, _)| runs).collect();
        bench.report.add(&self.lines(&rounds, disturbed))
    }

    fn round(&self, round: u32) -> anyhow::Result<Vec<Run>> {
        let runs = self.subjects.iter().map(|subject| {
            let run = (subject.run)(round)?;
            anyhow::ensure!(
                run.events == self.events,
                "{} got through {} events instead of {}: no ratio of different work",
                subject.name,
                run.events,
                self.events
            );
            Ok(run)
        });
        runs.collect()
    }

    fn lines(&self, rounds: &[Vec<Run>], left_out: usize) -> Vec<Line> {
        let of = |place: usize| rounds.iter().filter_map(move |runs| runs.get(place));
        let line = |place: usize, subject: &Subject<'_>| Line {
            scenario: self.scenario,
            variant: self.variant.clone(),
            subject: subject.name.to_owned(),
            events: self.events,
            rounds: rounds.len(),
            left_out,
            rate: Some(Spread::of(of(place).map(|run| run.events as f64 / run.wall.as_secs_f64()))),
            cpu_us: Some(Spread::of(of(place).map(|run| run.cpu.as_secs_f64() * 1e6 / run.events as f64))),
            rss_mib: Some(Spread::of(of(place).map(|run| run.peak_kib as f64 / 1024.0))),
            figures: Vec::new(),
            ratios: Vec::new(),
        };
        let mut lines: Vec<Line> =
            self.subjects.iter().enumerate().map(|(place, subject)| line(place, subject)).collect();
        if let Some(ours) = lines.first_mut() {
            ours.ratios = self
                .subjects
                .iter()
                .enumerate()
                .skip(1)
                .map(|(place, reference)| {
                    let pairs = of(0).zip(of(place));
                    let ratios =
                        pairs.map(|(ours, theirs)| theirs.wall.as_secs_f64() / ours.wall.as_secs_f64());
                    (reference.name.to_owned(), Spread::of(ratios))
                })
                .collect();
        }
        lines
    }
}
