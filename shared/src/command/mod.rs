//! Commands: requests to do something, sent to one service, which answers each with one reply.
//!
//! On the wire both are CloudEvents. A command goes to the topic `<service>.commands`; its type is imperative
//! (`com.example.resize.v1`, or a short word such as `ping`), its extension `replyto` names the topic of the reply, and
//! `expirytime` says until when it is worth handling. A reply goes to `<sender>.replies`; its `correlationid` is the
//! command's id, its type the command's with `.replied` or `.failed` behind it, its data the answer or the reason.
//!
//! A handler of a command is one like any other, registered with
//! [`Handlers::on_command`](crate::consumer::Handlers::on_command):
//!
//! ```
//! use serde::Deserialize;
//! use shared::command::Answer;
//! use shared::consumer::{Effects, HandleError, Handler, Handlers, Json};
//! use shared::event::{Event, NewEvent};
//! use shared::testkit;
//!
//! #[derive(Deserialize)]
//! struct Size { width: u32 }
//!
//! struct Resize;
//!
//! impl Handler for Resize {
//!     type Data = Json<Size>;
//!
//!     async fn handle(&self, _: &Event, Json(size): Self::Data) -> Result<Effects, HandleError> {
//!         if size.width == 0 {
//!             return Ok(Effects::none().refuse("a width of 0 is none"));
//!         }
//!         Ok(Effects::none().reply("text/plain", format!("{} wide now", size.width)))
//!     }
//! }
//!
//! let handlers = Handlers::new().on_command("resize", Resize)?;
//! let command = NewEvent::new("/service-a", "resize").data("application/json", r#"{"width":0}"#);
//! let effects = testkit::handle(Resize, command)?;
//! assert_eq!(effects.answer(), Some(&Answer::Failure("a width of 0 is none".to_owned())));
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! Promise: a command that is sent again under the same id takes effect once, and gets the same reply again. It is a row
//! of the ledger like any event, and its reply is kept there, written in the transaction of its effects. What breaks it:
//! a row that was pruned (after `--dedupe-for`), and a command sent to another group's ledger.
//!
//! - A command whose time is over is not handled. Its reply says so: who asks again under the same id should not wait for
//!   what will not come.
//! - A command that no handler is for, or whose handler refuses it, gets a failure, and that is all. One that becomes a
//!   dead letter gets a failure with the same reason. Without a `replyto` an unknown one becomes a dead letter: somebody
//!   should know.
//! - Commands are handled in a group of their own, named like their topic, by a lane of its own: they wait neither behind
//!   the events of a full window nor before the brake.
//! - A reply may arrive more than once, always under the same id.

mod caller;
mod inbox;
mod reply;
mod request;

pub use self::caller::Caller;
pub use self::reply::{Answer, Reply};
pub(crate) use self::reply::{pack, reply_to};
pub use self::request::Command;

/// The extension that names the topic of the reply.
const REPLY_TO: &str = "replyto";
/// The extension that names the command of a reply.
const CORRELATION: &str = "correlationid";
/// What the type of a reply adds to that of its command.
const REPLIED: &str = ".replied";
const FAILED: &str = ".failed";

/// The type of failures' data.
const TEXT: &str = "text/plain";
