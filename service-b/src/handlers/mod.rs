//! The handlers that service-b brings along. To add one: write it beside these, and name it in `named`.

mod args;
mod discard;
mod log;
mod statistics;

use anyhow::Context as _;
use shared::consumer::Handlers;

pub use self::args::{HandleArgs, HandlingArgs};
pub use self::discard::Discard;
pub use self::log::Log;
pub use self::statistics::Statistics;

/// What `--handle PATTERN=NAME` may name.
pub const NAMES: [&str; 3] = ["log", "discard", "statistics"];

/// Registers what the settings ask for, each as `PATTERN=NAME`.
///
/// # Errors
/// Not `PATTERN=NAME`, an unknown name (the known ones are listed), or two handlers for one pattern.
pub fn from_settings(settings: &[String], statistics: &Statistics) -> anyhow::Result<Handlers> {
    settings.iter().try_fold(Handlers::new(), |handlers, setting| {
        let (pattern, name) = setting
            .rsplit_once('=')
            .with_context(|| format!("--handle {setting}: write PATTERN=NAME, for example '*=log'"))?;
        named(handlers, pattern, name, statistics).with_context(|| format!("--handle {setting}"))
    })
}

fn named(handlers: Handlers, pattern: &str, name: &str, statistics: &Statistics) -> anyhow::Result<Handlers> {
    Ok(match name {
        "log" => handlers.on(pattern, Log)?,
        "discard" => handlers.on(pattern, Discard)?,
        "statistics" => handlers.on(pattern, statistics.clone())?,
        _ => anyhow::bail!("there is no handler {name:?}; there are: {}", NAMES.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let from_settings = |settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            from_settings(&settings, &Statistics::new("service-b", None))
        };
        let error = from_settings(&["*=lgo"]).expect_err("unknown");
        assert!(format!("{error:#}").contains("log, discard, statistics"), "{error:#}");
        assert!(from_settings(&["*=log", "*=discard"]).is_err());
        assert!(from_settings(&["log"]).is_err());
        for name in NAMES {
            assert!(from_settings(&[&format!("a.*={name}"), &format!("*={name}")]).is_ok(), "{name}");
        }
    }
}
