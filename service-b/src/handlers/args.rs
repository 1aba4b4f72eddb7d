//! The settings that say which handlers there are.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use shared::consumer::{Handlers, Unhandled};

use super::{Statistics, from_settings};

/// Which handlers there are.
#[derive(Debug, Clone, Args)]
pub struct HandleArgs {
    /// Which handler is for which event types: `*`, `com.example.*`, or one type; repeatable
    #[arg(
        long,
        env = "SERVICE_B_HANDLE",
        value_delimiter = ',',
        default_value = "*=log",
        value_name = "PATTERN=NAME"
    )]
    pub handle: Vec<String>,
}

/// Which handlers there are, what they are told, and what happens to the other events.
#[derive(Debug, Clone, Args)]
pub struct HandlingArgs {
    /// Patterns and names.
    #[command(flatten)]
    pub which: HandleArgs,

    /// The number that the handler `statistics` sums up: a field of the JSON data, or a path such as `order.total`
    #[arg(long, env = "SERVICE_B_STATISTICS_FIELD", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub statistics_field: Option<String>,

    /// What happens to events that no handler is for
    #[arg(long, env = "SERVICE_B_UNHANDLED", value_enum, default_value_t = Unhandled::DeadLetter)]
    pub unhandled: Unhandled,
}

impl HandlingArgs {
    /// The handlers that the settings name, as those of that group.
    ///
    /// # Errors
    /// See [`from_settings`].
    pub fn handlers(&self, group: &str) -> anyhow::Result<Handlers> {
        from_settings(&self.which.handle, &Statistics::new(group, self.statistics_field.as_deref()))
    }
}
