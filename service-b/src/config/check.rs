//! What is wrong shows before anything starts.

use std::time::Duration;

use super::Config;

/// A rebalance waits that long too, and polls nothing meanwhile: well below `max.poll.interval.ms`.
const LONGEST_DEADLINE: Duration = Duration::from_secs(45);

impl Config {
    /// Checks what clap cannot: what is wrong shows before anything starts.
    ///
    /// # Errors
    /// Which setting, and what to write.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.group.is_empty(), "--group: a group needs a name");
        anyhow::ensure!(
            self.shutdown_deadline <= LONGEST_DEADLINE,
            "--shutdown-deadline: at most {LONGEST_DEADLINE:?}; the group shuts a member out that does not poll for a minute"
        );
        // What waits there to be published would go to a broker that is gone in a moment.
        anyhow::ensure!(
            !(self.embedded_broker && self.store.is_some()),
            "--embedded-broker forgets everything at its end: leave --store (SERVICE_B_STORE) out with it"
        );
        self.topic_specs()?;
        if let Some(commands) = self.commands_topic()? {
            anyhow::ensure!(
                !self.topics.contains(&commands),
                "--topic {commands}: commands come by this topic; leave it out, or say --commands off"
            );
        }
        self.connection().consumer(&self.group())?;
        self.connection().producer()?;
        Ok(())
    }
}
