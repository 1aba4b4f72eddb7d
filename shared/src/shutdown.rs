//! When to stop: SIGTERM or Ctrl-C. A second one ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// The exit code of a process that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Completes at the first signal; from then on a second one exits without ceremony. To be called on a runtime.
///
/// # Errors
/// The process may not listen to signals.
pub fn signalled() -> std::io::Result<impl Future<Output = ()> + Send> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (heard, first) = oneshot::channel();
    // A task of its own: whatever holds up the one that is to finish, a second signal ends the process.
    tokio::spawn(async move {
        let name = either(&mut interrupt, &mut terminate).await;
        tracing::info!("{name}: finishing what is under way; once more exits at once");
        let _ = heard.send(());
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(INTERRUPTED);
    });
    Ok(async move {
        let _ = first.await;
    })
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
    }
}
