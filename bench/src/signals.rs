//! The signals that end a run: Ctrl-C, SIGTERM, and SIGHUP when the terminal is closed.

use futures_util::future::select_all;
use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

const ENDING: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// Heard from now on.
pub(crate) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// SIGHUP stays ignored where it was at the start: `nohup` is there for that. To be called on a runtime.
    ///
    /// # Errors
    /// The process may not listen to signals.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let is_deaf = is_in("SigIgn", std::process::id(), Signal::SIGHUP);
        let heard = ENDING.into_iter().filter(|signal| !is_deaf || *signal != Signal::SIGHUP);
        let listen = |signal: Signal| Ok((signal, unix::signal(SignalKind::from_raw(signal as i32))?));
        heard.map(listen).collect::<std::io::Result<_>>().map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        let each = self.0.iter_mut().map(|(signal, heard)| {
            Box::pin(async move {
                if heard.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
                *signal
            })
        });
        select_all(each).await.0
    }
}

/// The exit code of a process that the signal has ended, as shells say it.
pub(crate) fn exit_code(signal: i32) -> u8 {
    128_u8.saturating_add(signal as u8)
}

/// Whether a process catches (`SigCgt`) or ignores (`SigIgn`) the signal.
pub(crate) fn is_in(mask: &str, pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(mask)?.strip_prefix(':'));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal as u64 - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_is_heard_by_its_name_and_has_the_code_of_shells() {
        let mut signals = Signals::listen().expect("listening");
        assert!(is_in("SigCgt", std::process::id(), Signal::SIGTERM));
        nix::sys::signal::raise(Signal::SIGTERM).expect("raised");
        let signal = signals.next().await;
        assert_eq!((signal, exit_code(signal as i32)), (Signal::SIGTERM, 143));
    }
}
