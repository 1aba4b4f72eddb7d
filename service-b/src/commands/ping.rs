//! `ping`: who answers, and what it can do.

use serde::Serialize;
use shared::consumer::{Effects, HandleError, Handler, Handlers};
use shared::event::Event;

use crate::Config;

/// Answers with the group, the instance, and what there are handlers for.
#[derive(Debug, Clone, Serialize)]
pub struct Ping {
    group: String,
    instance: Option<String>,
    process: u32,
    version: &'static str,
    handlers: Vec<String>,
    commands: Vec<String>,
}

impl Ping {
    /// Of the service with those settings, and those handlers beside this one.
    pub fn new(config: &Config, handlers: &Handlers) -> Self {
        let own = std::iter::once("ping".to_owned());
        Self {
            group: config.group.clone(),
            instance: config.instance_id.clone(),
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            handlers: handlers.patterns().map(ToString::to_string).collect(),
            commands: own.chain(handlers.commands().map(ToString::to_string)).collect(),
        }
    }
}

impl Handler for Ping {
    type Data = ();

    const PURE: bool = true;

    async fn handle(&self, _: &Event, (): ()) -> Result<Effects, HandleError> {
        super::answer(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use shared::command::Answer;
    use shared::event::NewEvent;
    use shared::testkit;

    #[test]
    fn says_who_it_is_and_what_it_handles() {
        let config = crate::config::Cli::parse_from(["service-b", "--group", "g"]).into_config();
        let handlers = Handlers::new().on("a.*", crate::handlers::Discard).expect("a pattern");
        let ping = Ping::new(&config, &handlers);
        let effects = testkit::handle(ping, NewEvent::new("/a", "ping")).expect("handled");
        let Some(Answer::Data { data, .. }) = effects.answer() else { panic!("{effects:?}") };
        let answer: serde_json::Value = serde_json::from_slice(data).expect("JSON");
        assert_eq!((&answer["group"], &answer["handlers"][0]), (&"g".into(), &"a.*".into()));
        assert_eq!(answer["commands"], serde_json::json!(["ping"]));
    }
}
