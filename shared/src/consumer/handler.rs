//! What a user of the crate writes: code that reacts to an event.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::event::{BadData, Event};
use crate::store::{Effects, Schema};

/// Reacts to the events of a type. Sees one event at a time per key, and never sees Kafka.
///
/// It decides; whoever runs it applies. An event may be handled again after a crash, so calls outside carry
/// [`Event::id`] as their idempotency key. A panic is caught and treated as a permanent failure.
///
/// ```
/// use serde::Deserialize;
/// use shared::consumer::{Effects, HandleError, Handler, Json};
/// use shared::event::{Event, NewEvent};
/// use shared::testkit;
///
/// #[derive(Deserialize)]
/// struct OrderPlaced { items: u32 }
///
/// struct Ship;
///
/// impl Handler for Ship {
///     type Data = Json<OrderPlaced>;
///
///     async fn handle(&self, event: &Event, Json(order): Self::Data) -> Result<Effects, HandleError> {
///         if order.items == 0 {
///             return Err(HandleError::permanent(format!("order {} is empty", event.id())));
///         }
///         Ok(Effects::none())
///     }
/// }
///
/// // A handler is tested with one event and no broker.
/// let placed = |json| NewEvent::new("/shop", "com.example.order_placed.v1").data("application/json", json);
/// assert!(testkit::handle(Ship, placed(r#"{"items":2}"#)).is_ok());
/// let refused = testkit::handle(Ship, placed(r#"{"items":0}"#));
/// assert!(matches!(refused, Err(HandleError::Permanent(_))));
/// ```
pub trait Handler: Send + Sync + 'static {
    /// What the handler wants the data to be; data that is not becomes a dead letter before `handle` runs.
    type Data: Data;

    /// Whether the handler only computes its effects from the event. A pure handler may be run again for an event that
    /// is settled already (its effects are thrown away then), and ahead of the commit of the one before; the default is a
    /// reaching one, which also reads a database or calls outside, and is spared both.
    const PURE: bool = false;

    /// The tables and statements that its effects need.
    fn schema(&self) -> Schema {
        Schema::default()
    }

    /// Handles one event.
    fn handle(
        &self,
        event: &Event,
        data: Self::Data,
    ) -> impl Future<Output = Result<Effects, HandleError>> + Send;
}

/// Why an event could not be handled, and with it what happens next.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// Not the event's fault, and it may pass: the event is tried again, its key waits.
    #[error("{0:#}")]
    Transient(anyhow::Error),
    /// Will fail however often it is tried: the event becomes a dead letter.
    #[error("{0:#}")]
    Permanent(anyhow::Error),
}

impl HandleError {
    /// A failure that may pass: a timeout, a lost connection.
    pub fn transient(reason: impl std::fmt::Display) -> Self {
        Self::Transient(anyhow::anyhow!("{reason}"))
    }

    /// A failure that will not pass: data that makes no sense.
    pub fn permanent(reason: impl std::fmt::Display) -> Self {
        Self::Permanent(anyhow::anyhow!("{reason}"))
    }
}

impl From<BadData> for HandleError {
    fn from(error: BadData) -> Self {
        Self::Permanent(error.into())
    }
}

/// What a handler can ask for as its event's data.
pub trait Data: Sized + Send {
    /// Reads it from the event.
    ///
    /// # Errors
    /// The data is not what was asked for.
    fn read(event: &Event) -> Result<Self, BadData>;
}

/// For a handler that looks at the data itself, or not at all.
impl Data for () {
    fn read(_: &Event) -> Result<Self, BadData> {
        Ok(())
    }
}

/// Text.
impl Data for String {
    fn read(event: &Event) -> Result<Self, BadData> {
        event.text_data().map(str::to_owned)
    }
}

/// JSON of the type's shape.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Send> Data for Json<T> {
    fn read(event: &Event) -> Result<Self, BadData> {
        event.json().map(Json)
    }
}

/// A handler of any type of data, as the lanes run it.
pub(crate) trait AnyHandler: Send + Sync {
    fn is_pure(&self) -> bool;

    fn schema(&self) -> Schema;

    fn run(self: Arc<Self>, event: Arc<Event>) -> BoxFuture<'static, Result<Effects, HandleError>>;
}

impl<H: Handler> AnyHandler for H {
    fn is_pure(&self) -> bool {
        H::PURE
    }

    fn schema(&self) -> Schema {
        Handler::schema(self)
    }

    fn run(self: Arc<Self>, event: Arc<Event>) -> BoxFuture<'static, Result<Effects, HandleError>> {
        let handled = async move { self.handle(&event, H::Data::read(&event)?).await };
        // A handler that panicked may have left its own state torn; that is its own to guard, as with a Mutex.
        Box::pin(std::panic::AssertUnwindSafe(handled).catch_unwind().map(|caught| {
            caught.unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                Err(HandleError::permanent(format!("the handler panicked: {}", text.unwrap_or("no message"))))
            })
        }))
    }
}
