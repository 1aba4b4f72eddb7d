//! How the runtime works while it is measured.

use std::path::PathBuf;
use std::time::Duration;

use super::records::TOPIC;
use crate::client::{Group, GroupProtocol};
use crate::consumer::{Delivery, OnDead, Options, RetryPolicy, Unhandled};
use crate::store::StoreUrl;

/// service-b's defaults.
pub(super) fn options(delivery: Delivery) -> anyhow::Result<Options> {
    Ok(Options {
        topics: vec![TOPIC.parse()?],
        commands: None,
        group: Group {
            id: "service-b".to_owned(),
            instance_id: None,
            protocol: GroupProtocol::Classic,
            on_missing_offsets: "error",
        },
        lanes: 1,
        concurrency: 100,
        window: 10_000,
        window_bytes: 16 * 1024 * 1024,
        handler_timeout: Duration::from_secs(30),
        retry: RetryPolicy {
            first: Duration::from_secs(1),
            max: Duration::from_mins(10),
            total: Duration::from_hours(24),
        },
        store: StoreUrl::Sqlite(PathBuf::new()), // the caller's is used
        adopt_store: false,
        delivery,
        deferred_max: 1000,
        on_dead: OnDead::FlowOn,
        dedupe_for: Duration::from_hours(24),
        unhandled: Unhandled::DeadLetter,
        until_caught_up: false,
        shutdown_deadline: Duration::from_secs(30),
    })
}
