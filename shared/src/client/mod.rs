//! The Kafka client: how it is set up, reached and heard.

mod admin;
mod context;
mod delete;
mod members;
mod property;
mod refusal;
mod settings;
mod watch;

pub use self::admin::{TopicSpec, Unreachable, ensure_topics, has_topic, may_pass, reach};
pub use self::context::Context;
pub use self::delete::{bury, cleanup_policy, delete_below};
pub use self::members::{Member, Members, Membership};
pub use self::property::{Property, PropertyError};
pub use self::settings::{Connection, Group, GroupProtocol, MAX_RECORD_BYTES};
pub use self::watch::{Ends, Place, Run, Stream, Then, Watcher, watch};
