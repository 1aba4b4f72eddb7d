//! The line through points that are known to lie on one, and what is said where they do not.

use proptest::prelude::*;

use super::*;

const LONG: Duration = Duration::from_secs(3600);

/// Samples every half second: `y = a·x + b`, and so much off it, to one side and the other.
fn window(rate: i64, start: i64, off: i64, count: i64) -> Window {
    let mut window = Window::new(LONG);
    for x in 0..count {
        let off = if x % 2 == 0 { off } else { -off };
        // Two samples a second: twice the rate's half.
        window.note(Duration::from_millis(500 * x as u64), start + rate * x + off);
    }
    window
}

fn flow(production: i64, consumption: i64, lag: i64, count: i64) -> Flow {
    let mut flow = Flow::new(LONG);
    for x in 0..count {
        flow.note(Duration::from_secs(x as u64), lag + production * x, consumption * x);
    }
    flow
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-6 * one.abs().max(other.abs()).max(1.0)
}

proptest! {
    /// Catches: sums in place of sums around the mean, offsets as floats (the start has more digits than a float).
    #[test]
    fn a_line_is_found_again(rate in -100_000_i64..100_000, start in 0..i64::MAX / 2, count in 4_i64..50) {
        let line = window(rate, start, 0, count).line().expect("a line");
        prop_assert!(is_near(line.rate, 2.0 * rate as f64), "{line:?}");
        prop_assert!(line.error < 1e-3 && is_near(line.r2, 1.0), "{line:?}");
        prop_assert_eq!(line.samples as i64, count);
    }

    /// Catches: an error that does not grow with what lies off the line, or is smaller than what it is about.
    #[test]
    fn noise_shows_in_the_error_and_moves_the_rate_by_no_more_than_that(
        rate in -1000_i64..1000, off in 1_i64..1000, count in 8_i64..50,
    ) {
        let line = window(rate, 0, off, count).line().expect("a line");
        let (quieter, off) = (window(rate, 0, off / 2, count).line().expect("a line"), off as f64);
        prop_assert!(line.error > quieter.error, "{line:?}");
        prop_assert!((line.rate - 2.0 * rate as f64).abs() <= 3.0 * line.error, "{line:?}");
        prop_assert!(line.error <= 8.0 * off, "{line:?}");
        prop_assert!((0.0..=1.0).contains(&line.r2));
    }

    #[test]
    fn the_lag_goes_as_its_two_lines_go(
        production in 0_i64..10_000, consumption in 0_i64..10_000, lag in 500_000_i64..1_000_000, count in 4_i64..20,
    ) {
        let estimate = flow(production, consumption, lag, count).estimate();
        let net = consumption - production;
        let now = lag - net * (count - 1);
        prop_assert_eq!(estimate.lag, now);
        match estimate.drain {
            Drain::In(seconds) => prop_assert!(net > 0 && is_near(seconds, now as f64 / net as f64), "{seconds}"),
            Drain::Never => prop_assert!(net <= 0),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// Catches: a number that is none, whatever comes from outside.
    #[test]
    fn nothing_that_is_sampled_gives_nonsense(
        samples in proptest::collection::vec((0_u64..100_000, any::<i64>(), any::<i64>()), 0..20),
    ) {
        let mut flow = Flow::new(LONG);
        for (at, end, stands) in samples {
            flow.note(Duration::from_millis(at), end, stands);
        }
        let Estimate { production, consumption, lag, drain } = flow.estimate();
        for line in [production, consumption].into_iter().flatten() {
            prop_assert!(line.rate.is_finite() && line.error.is_finite() && (0.0..=1.0).contains(&line.r2));
        }
        prop_assert!(lag >= 0);
        if let Drain::In(seconds) = drain {
            prop_assert!(seconds.is_finite() && seconds >= 0.0);
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten(before in -1000_i64..1000, now in -1000_i64..1000) {
        let mut window = Window::new(Duration::from_secs(5));
        (0..10).for_each(|x| window.note(Duration::from_secs(x as u64), before * x));
        (10..20).for_each(|x| window.note(Duration::from_secs(x as u64), now * x));
        prop_assert_eq!(window.len(), 6);
        prop_assert!(is_near(window.line().expect("a line").rate, now as f64));
    }
}

#[test]
fn the_line_of_a_textbook() {
    let mut window = Window::new(LONG);
    for (x, y) in [(1, 2), (2, 4), (3, 5), (4, 4), (5, 5)] {
        window.note(Duration::from_secs(x), y);
    }
    let line = window.line().expect("a line");
    assert!(is_near(line.rate, 0.6) && is_near(line.r2, 0.6), "{line:?}");
    assert!(is_near(line.error, (2.4_f64 / 3.0 / 10.0).sqrt()), "{line:?}");
}

/// Catches: a prediction from what says nothing.
#[test]
fn without_a_fit_there_is_no_prediction() {
    assert_eq!(flow(1, 2, 100, 3).estimate().drain, Drain::TooFewSamples(3));
    assert_eq!(flow(1, 2, 100, 0).estimate().drain, Drain::CaughtUp);
    let mut flow = Flow::new(LONG);
    for x in 0..10 {
        flow.note(Duration::from_secs(x), 1000 + [0, 300, 20, 250, 10][x as usize % 5], 0);
    }
    assert!(
        matches!(flow.estimate().drain, Drain::PoorFit(error) if error > WORST_ERROR),
        "{:?}",
        flow.estimate()
    );
    let mut at_once = Flow::new(LONG);
    (0..10).for_each(|x| at_once.note(Duration::ZERO, 100 + x, 0));
    assert_eq!(at_once.estimate().drain, Drain::TooFewSamples(10));
}

#[test]
fn a_group_that_stands_still_never_gets_there() {
    assert_eq!(flow(0, 0, 100, 8).estimate().drain, Drain::Never);
    assert_eq!(flow(5, 5, 100, 8).estimate().drain, Drain::Never);
    assert_eq!(flow(0, 0, 0, 8).estimate().drain, Drain::CaughtUp);
    assert_eq!(lag(10, 15), 0, "a stream that was made anew");
}

#[test]
fn a_spread_is_the_most_less_the_least() {
    assert_eq!(spread(&[]), None);
    assert_eq!(spread(&[2.0, 5.0, 2.0]), Some(Spread { mean: 3.0, range: 3.0 }));
}

/// A group commits once a second: steps, and yet a time.
#[test]
fn commits_in_steps_are_good_enough() {
    let mut flow = Flow::new(LONG);
    for x in 0..10_u64 {
        let at = Duration::from_millis(333 * x);
        flow.note(at, 10_000, 1000 * at.as_secs() as i64);
    }
    let Drain::In(seconds) = flow.estimate().drain else { panic!("{:?}", flow.estimate()) };
    assert!((6.0..14.0).contains(&seconds), "{seconds}");
}
