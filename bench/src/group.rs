//! A process group, and its end.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long its members may take to end by themselves.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the kernel may take to end those that were killed.
const KILLED: Duration = Duration::from_secs(10);

/// By its number, which is that of the process that it was made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group(pub(crate) u32);

impl Group {
    /// Ends every process in it: with SIGTERM first where it is `gently`, in any case with SIGKILL at last.
    ///
    /// # Errors
    /// Some are still there.
    pub(crate) async fn end(self, gently: bool) -> anyhow::Result<()> {
        if gently {
            self.signal(Signal::SIGTERM);
            if self.is_gone(PATIENCE).await {
                return Ok(());
            }
        }
        self.signal(Signal::SIGKILL);
        anyhow::ensure!(self.is_gone(KILLED).await, "processes of the group {} do not end", self.0);
        Ok(())
    }

    /// To each of them.
    pub(crate) fn signal(self, signal: Signal) {
        // A group without processes is no group any more: there is nobody to hear it.
        let _ = killpg(Pid::from_raw(self.0.cast_signed()), signal);
    }

    async fn is_gone(self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while self.is_alive() {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    fn is_alive(self) -> bool {
        crate::proc::all().any(|process| process.group == self.0 && !process.has_ended)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn who_does_not_listen_is_ended_with_what_it_has_started() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; sleep 60 & sleep 60; sleep 60"]).process_group(0);
        let mut child = command.spawn().expect("started");
        let group = Group(child.id());
        let sleeps = || crate::proc::all().filter(|process| process.group == group.0).count();
        let start = Instant::now();
        while sleeps() < 3 {
            assert!(start.elapsed() < KILLED, "it does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        group.end(false).await.expect("ended");
        assert!(!child.wait().expect("waited for").success());
        assert!(!group.is_alive());
    }
}
