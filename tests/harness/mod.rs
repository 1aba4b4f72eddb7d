//! What every scenario needs: a broker, processes, records, and a way to wait.

mod broker;
mod container;
mod database;
mod log;
mod own;
mod places;
mod process;
mod proxy;
mod raw;
mod records;
mod scenario;
mod sys;
mod test;
mod tier;
mod tools;
mod wait;

pub use self::broker::Broker;
pub use self::own::{Node, PLAIN, free_port};
pub use self::process::{Process, Signal};
pub use self::proxy::{Network, Proxy};
pub use self::raw::{Raw, Sent, event_headers};
pub(crate) use self::scenario::scenario;
pub use self::scenario::{Need, Scenario, names_only, trials};
pub use self::test::{ASSIGNED, Test, printed};
pub use self::tier::Stage;
pub use self::tools::{Python, kcat};
pub use self::wait::{eventually, soon};
