//! What both services need.
#![deny(unsafe_code)]

pub mod broker;
pub mod client;
pub mod config;
pub mod event;
pub mod record;
pub mod shutdown;
pub mod telemetry;
pub mod topic;
