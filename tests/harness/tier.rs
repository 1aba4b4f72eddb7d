//! Which kind of broker the run is on, chosen once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use super::broker::Broker;
use super::container::Container;
use super::places::Places;
use super::scenario::Need;
use super::tools;

/// Most of a test's time is waiting: so many at once keep one core of two busy.
const MOST_AT_ONCE: usize = 8;

/// A kind of broker, and what the tests can do with it.
#[derive(Debug)]
enum Tier {
    /// Somebody's broker, and a script that can kill and start it.
    Given { address: String, control: Option<PathBuf> },
    /// One container for the whole run.
    Container(Arc<Container>),
    /// An embedded broker for each test.
    Embedded,
}

/// What all trials share.
#[derive(Debug)]
pub struct Stage {
    tier: Tier,
    /// Held for writing by a test that takes down the broker which others use.
    pub(super) quiet: RwLock<()>,
    /// Held by a test that starts brokers of its own.
    pub(super) own: Mutex<()>,
    /// Taken by a test that waits for none of these.
    pub(super) places: Places,
}

impl Stage {
    /// Chooses the tier, says so, and builds the programs under test.
    pub fn set() -> Arc<Self> {
        let (tier, why) = choose();
        println!("broker: {why}");
        build();
        Arc::new(Self {
            tier,
            quiet: RwLock::new(()),
            own: Mutex::new(()),
            places: Places::new(MOST_AT_ONCE),
        })
    }

    /// The broker for one test.
    pub(super) fn broker(&self) -> Broker {
        match &self.tier {
            Tier::Given { address, control } => {
                Broker::Given { address: address.clone(), control: control.clone() }
            }
            Tier::Container(container) => Broker::Container(Arc::clone(container)),
            Tier::Embedded => Broker::embedded(),
        }
    }

    /// Whether a test that takes its broker down takes it from others.
    pub(super) fn is_shared(&self) -> bool {
        !matches!(self.tier, Tier::Embedded)
    }

    /// Why this need cannot be met here; `None` where it can.
    pub(super) fn lacks(&self, need: Need) -> Option<String> {
        let embedded = matches!(self.tier, Tier::Embedded);
        match (need, &self.tier) {
            (Need::Admin, Tier::Embedded) => Some("the embedded broker has no admin API".to_owned()),
            (Need::StaticMembers, Tier::Embedded) => {
                Some("the embedded broker rebalances at every join, static member or not".to_owned())
            }
            (Need::Refusals, _) if !embedded => {
                Some("only the embedded broker can be told to refuse one topic for a while".to_owned())
            }
            (Need::Outage, Tier::Given { control: None, .. }) => Some(
                "nobody may restart the broker given: name a script in PAIR_KAFKA_CONTROL that takes kill and start"
                    .to_owned(),
            ),
            (Need::Own, Tier::Given { control: Some(_), .. }) => None,
            (Need::Own, _) => Some(
                "it starts Kafka from jars for itself: name a running one in KAFKA_BOOTSTRAP_SERVERS and .ci/kafka in \
                 PAIR_KAFKA_CONTROL"
                    .to_owned(),
            ),
            (Need::Long, _) => std::env::var_os("PAIR_TEST_LONG")
                .is_none()
                .then(|| "it takes minutes: set PAIR_TEST_LONG=1 to run it".to_owned()),
            (Need::Kcat, _) => tools::kcat_missing(),
            (Need::Python, Tier::Embedded) => {
                Some("kafka-python asks for more than the embedded broker answers".to_owned())
            }
            (Need::Python, _) => tools::python_missing(),
            (Need::Readme, _) => {
                let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
                (!std::path::Path::new(readme).exists()).then(|| "there is no README.md".to_owned())
            }
            _ => None,
        }
    }
}

fn choose() -> (Tier, String) {
    if let Ok(address) = std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
        let control = std::env::var_os("PAIR_KAFKA_CONTROL").map(PathBuf::from);
        let why = format!("{address}, as KAFKA_BOOTSTRAP_SERVERS says");
        return (Tier::Given { address, control }, why);
    }
    match std::env::var("PAIR_TEST_BROKER").as_deref() {
        Ok("embedded") => (Tier::Embedded, "embedded, as PAIR_TEST_BROKER says".to_owned()),
        Ok("container") => {
            let container = Container::start().expect("PAIR_TEST_BROKER=container");
            (Tier::Container(Arc::new(container)), "a container, as PAIR_TEST_BROKER says".to_owned())
        }
        Ok(other) => panic!("PAIR_TEST_BROKER={other}: write embedded or container"),
        Err(_) => match Container::start() {
            Ok(container) => {
                let why = format!("a container at {}", container.address);
                (Tier::Container(Arc::new(container)), why)
            }
            Err(error) => {
                let error = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
                (Tier::Embedded, format!("embedded, one a test, because there is no container ({error})"))
            }
        },
    }
}

/// The programs under test, of the same profile as this one. Built with the environment as it is: what the
/// machine's owner tells the tool chain there (to install nothing, say) must reach it.
fn build() {
    let mut cargo = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--locked", "-p", "service-a", "-p", "service-b"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.output().expect("cargo starts");
    assert!(built.status.success(), "the services do not build:\n{}", String::from_utf8_lossy(&built.stderr));
}
