//! A test: its name is a fact, its needs are declared, and a failure comes with what the programs printed.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use libtest_mimic::{Completion, Failed, Trial};

use super::test::Test;
use super::tier::Stage;

/// What not every tier, or not every machine, has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Topics with settings of their own.
    Admin,
    /// A broker that may be killed.
    Outage,
    /// Kafka from jars for this test alone.
    Own,
    /// Minutes.
    Long,
    /// A broker that refuses a topic when told to.
    Refusals,
    /// Static membership that the broker honours.
    StaticMembers,
    /// The program kcat.
    Kcat,
    /// A Python with kafka-python.
    Python,
    /// A README to try out.
    Readme,
}

/// A test, not yet run.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The fact.
    pub name: &'static str,
    /// What it takes.
    pub needs: &'static [Need],
    /// Panics if it is not one.
    pub run: fn(&Test),
}

/// `scenario!(name_of_a_function)` or `scenario!(name_of_a_function, Outage, Admin)`.
macro_rules! scenario {
    ($name:ident $(, $need:ident)*) => {
        $crate::harness::Scenario {
            name: stringify!($name),
            needs: &[$($crate::harness::Need::$need),*],
            run: $name,
        }
    };
}
pub(crate) use scenario;

/// The names alone, for `--list`: no broker is started for that.
pub fn names_only(scenarios: Vec<Scenario>) -> Vec<Trial> {
    scenarios.into_iter().map(|scenario| Trial::test(scenario.name, || Ok(()))).collect()
}

/// The scenarios, ready to run.
pub fn trials(stage: &Arc<Stage>, scenarios: Vec<Scenario>) -> Vec<Trial> {
    std::panic::set_hook(Box::new(|panic| LAST_PANIC.set(Some(panic.to_string()))));
    let trial = |scenario: Scenario| {
        let stage = Arc::clone(stage);
        Trial::ignorable_test(scenario.name, move || attempt(&stage, &scenario))
    };
    scenarios.into_iter().map(trial).collect()
}

thread_local! {
    /// Where and why this thread panicked: printed with the failed test, not in the middle of the others.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn attempt(stage: &Stage, scenario: &Scenario) -> Result<Completion, Failed> {
    if let Some(reason) = scenario.needs.iter().find_map(|need| stage.lacks(*need)) {
        return Ok(Completion::ignored_with(reason));
    }
    // Each is a Java machine or three, and what they test is timed. The others' broker may be down meanwhile.
    let own = scenario.needs.contains(&Need::Own);
    let _turn = own.then(|| stage.own.lock().unwrap_or_else(PoisonError::into_inner));
    let alone = stage.is_shared() && scenario.needs.contains(&Need::Outage);
    let _quiet = alone.then(|| stage.quiet.write().unwrap_or_else(PoisonError::into_inner));
    let together = !alone && !own;
    let _together = together.then(|| stage.quiet.read().unwrap_or_else(PoisonError::into_inner));
    let _place = stage.places.take();
    let start = Instant::now();
    let test = Test::new(stage.broker());
    let result = catch_unwind(AssertUnwindSafe(|| (scenario.run)(&test)));
    if std::env::var_os("PAIR_TEST_TIMES").is_some() {
        eprintln!("{:6.1} s  {}", start.elapsed().as_secs_f64(), scenario.name);
    }
    match result {
        Ok(()) => Ok(Completion::Completed),
        Err(panic) => Err(format!("{}\n{}", reason(&*panic), test.report()).into()),
    }
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    LAST_PANIC.take().or(text).unwrap_or_else(|| "panicked".to_owned())
}
