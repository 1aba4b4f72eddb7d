//! What both services need.
#![deny(unsafe_code)]

pub mod broker;
pub mod client;
pub mod config;
pub mod consumer;
pub mod event;
pub mod producer;
mod raw;
pub mod record;
pub mod shutdown;
pub mod telemetry;
pub mod testkit;
pub mod topic;
