//! The Kafka client: how it is set up, reached and heard.

mod admin;
mod context;
mod property;
mod refusal;
mod settings;

pub use self::admin::{TopicSpec, Unreachable, ensure_topics, has_topic, may_pass, reach};
pub use self::context::Context;
pub use self::property::{Property, PropertyError};
pub use self::settings::{Connection, Group, GroupProtocol, MAX_RECORD_BYTES};
