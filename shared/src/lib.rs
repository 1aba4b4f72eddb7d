//! shared

pub mod broker;
