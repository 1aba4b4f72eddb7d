//! Which handler is for which event type.

use std::fmt;
use std::sync::Arc;

use super::handler::{AnyHandler, Handler};
use crate::event::{BadPattern, Pattern};
use crate::store::Schema;

/// A handler, and what it is for.
type Registered = (Pattern, Arc<dyn AnyHandler>);

/// The handlers of a service, each for a pattern of event types, and those for commands. The most specific pattern wins.
#[derive(Clone, Default)]
pub struct Handlers {
    /// Most specific first.
    registered: Vec<Registered>,
    /// Likewise. Commands come by another topic: no event finds one of these.
    commands: Vec<Registered>,
}

impl Handlers {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a handler for `*`, a prefix such as `com.example.*`, or one type in full.
    ///
    /// # Errors
    /// Not a pattern, or one that already has its handler: two handlers for the same events are two groups.
    pub fn on<H: Handler>(mut self, pattern: &str, handler: H) -> Result<Self, HandlersError> {
        register(&mut self.registered, pattern, Arc::new(handler))?;
        Ok(self)
    }

    /// Registers a handler for a command, by its name or a pattern of names. It answers with
    /// [`Effects::reply`](crate::store::Effects::reply).
    ///
    /// # Errors
    /// Not a pattern, or one that already has its handler.
    pub fn on_command<H: Handler>(mut self, pattern: &str, handler: H) -> Result<Self, HandlersError> {
        register(&mut self.commands, pattern, Arc::new(handler))?;
        Ok(self)
    }

    /// The patterns of event types, the most specific first.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.registered.iter().map(|(pattern, _)| pattern)
    }

    /// The patterns of commands, the most specific first.
    pub fn commands(&self) -> impl Iterator<Item = &Pattern> {
        self.commands.iter().map(|(pattern, _)| pattern)
    }

    /// The patterns, and whether the handler of each is pure.
    pub fn kinds(&self) -> impl Iterator<Item = (&Pattern, bool)> {
        self.registered.iter().map(|(pattern, handler)| (pattern, handler.is_pure()))
    }

    /// Whether none of them reaches out.
    pub(super) fn are_all_pure(&self) -> bool {
        self.registered.iter().all(|(_, handler)| handler.is_pure())
    }

    /// What they need in the store.
    pub(super) fn schemas(&self) -> Vec<Schema> {
        let mut schemas: Vec<Schema> = Vec::new();
        for (_, handler) in self.registered.iter().chain(&self.commands) {
            let schema = handler.schema();
            if !schemas.contains(&schema) {
                schemas.push(schema);
            }
        }
        schemas
    }

    /// How many there are for events: their places are 0 and so on.
    pub(super) fn len(&self) -> usize {
        self.registered.len()
    }

    /// Those for events, and those for commands: each by itself is as if there were no others.
    pub(super) fn split(self) -> (Self, Self) {
        let Self { registered, commands } = self;
        (Self { registered, commands: Vec::new() }, Self { registered: commands, commands: Vec::new() })
    }

    /// The place of the handler for the type: what the brake knows it by, too.
    pub(crate) fn find(&self, ty: &str) -> Option<usize> {
        self.registered.iter().position(|(pattern, _)| pattern.matches(ty))
    }

    /// The handler at that place.
    pub(crate) fn at(&self, place: usize) -> Option<&Arc<dyn AnyHandler>> {
        self.registered.get(place).map(|(_, handler)| handler)
    }
}

fn register(
    among: &mut Vec<Registered>,
    pattern: &str,
    handler: Arc<dyn AnyHandler>,
) -> Result<(), HandlersError> {
    let parsed: Pattern = pattern
        .parse()
        .map_err(|reason| HandlersError::BadPattern { pattern: pattern.to_owned(), reason })?;
    if among.iter().any(|(other, _)| *other == parsed) {
        return Err(HandlersError::Tie(pattern.to_owned()));
    }
    let at = among.partition_point(|(other, _)| other.specificity(&parsed).is_gt());
    among.insert(at, (parsed, handler));
    Ok(())
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.patterns().map(ToString::to_string)).finish()
    }
}

/// Why handlers cannot be registered as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlersError {
    /// Not a pattern.
    #[error("{pattern:?} is not a pattern of event types: {reason}")]
    BadPattern {
        /// What was given.
        pattern: String,
        /// What to write.
        reason: BadPattern,
    },
    /// Two handlers for the same events.
    #[error("two handlers for {0:?}: keep one, or run the other in a group of its own")]
    Tie(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::{Effects, HandleError};
    use crate::event::{Event, NewEvent};
    use crate::store::Statement;

    struct Named(&'static str);

    impl Handler for Named {
        type Data = ();

        async fn handle(&self, _: &Event, (): ()) -> Result<Effects, HandleError> {
            Err(HandleError::permanent(self.0))
        }
    }

    #[tokio::test]
    async fn the_most_specific_pattern_wins() {
        let handlers = ["a.*", "*", "a.b.*", "a.b.c"]
            .into_iter()
            .try_fold(Handlers::new(), |handlers, pattern| handlers.on(pattern, Named(pattern)))
            .expect("no tie");
        for (ty, wins) in [("a.b.c", "a.b.c"), ("a.b.d", "a.b.*"), ("a.c", "a.*"), ("b", "*")] {
            let event = Arc::new(NewEvent::new("/test", ty).arrived().expect("an event"));
            let place = handlers.find(ty).expect("a place");
            let handler = handlers.at(place).expect("a handler");
            assert_eq!(handlers.patterns().nth(place).expect("a pattern").to_string(), wins);
            assert_eq!(Arc::clone(handler).run(event).await.expect_err("its name").to_string(), wins);
        }
    }

    struct Writes(bool);

    static STATEMENTS: [&Statement; 1] = [&Statement { name: "a", sqlite: "b", postgres: "c" }];

    impl Handler for Writes {
        type Data = ();

        const PURE: bool = true;

        fn schema(&self) -> Schema {
            if self.0 { Schema { migrations: &[], statements: &STATEMENTS } } else { Schema::default() }
        }

        async fn handle(&self, _: &Event, (): ()) -> Result<Effects, HandleError> {
            Ok(Effects::none())
        }
    }

    #[test]
    fn a_handler_of_two_patterns_needs_its_schema_once() {
        let handlers = ["a.*", "b.*", "c"]
            .into_iter()
            .try_fold(Handlers::new(), |handlers, pattern| handlers.on(pattern, Writes(pattern != "c")))
            .expect("no tie");
        assert_eq!((handlers.len(), handlers.schemas().len()), (3, 2));
        assert!(handlers.are_all_pure());
        assert!(!handlers.on("*", Named("reaches out")).expect("no tie").are_all_pure());
    }

    /// Catches: an event that runs a command, a command that goes to a handler of events.
    #[test]
    fn commands_have_handlers_of_their_own() {
        let handlers = Handlers::new().on_command("resize", Named("command")).expect("no tie");
        let handlers = handlers.on("*", Named("event")).expect("no tie").on_command("a.*", Named("a"));
        let handlers = handlers.expect("no tie");
        assert!(handlers.clone().on_command("resize", Named("again")).is_err());
        let (events, commands) = handlers.split();
        let patterns = |handlers: &Handlers| handlers.patterns().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            (patterns(&events), patterns(&commands)),
            (vec!["*".into()], vec!["resize".into(), "a.*".into()])
        );
        assert_eq!(
            (events.find("resize"), commands.find("resize"), commands.find("other")),
            (Some(0), Some(0), None)
        );
    }

    /// Catches: one of two handlers taken for the same events.
    #[test]
    fn a_tie_does_not_start() {
        let handlers = Handlers::new().on("a.*", Named("1")).expect("the first");
        assert_eq!(handlers.on("a.*", Named("2")).expect_err("a tie"), HandlersError::Tie("a.*".to_owned()));
    }
}
