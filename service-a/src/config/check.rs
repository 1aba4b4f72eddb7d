//! What is wrong shows before anything starts.

use shared::topic::Topic;

use super::Config;

impl Config {
    /// What no single flag can know.
    ///
    /// # Errors
    /// Two settings contradict each other, or librdkafka refuses one: which, and what to write.
    pub fn check(&self) -> Result<(), String> {
        // clap sees conflicts between flags and variables, but not with the file.
        if self.rate.is_some() && self.interval.is_some() {
            return Err("--rate and --interval (or the file's) say the same thing: keep one".to_owned());
        }
        if self.key.is_some() && self.key_field.is_some() {
            return Err("--key and --key-field (or the file's) say the same thing: keep one".to_owned());
        }
        if self.key_field.is_some() && self.from.is_none() {
            return Err("--key-field needs lines to look into: add --from FILE".to_owned());
        }
        if let (Some(delay), Some(expiry)) = (self.delay, self.expires_after)
            && expiry <= delay
        {
            return Err(
                "--expires-after must be longer than --delay: nobody could handle these events".to_owned()
            );
        }
        if let Some(from) = &self.from_topic {
            self.check_letters(from)?;
        }
        self.common.connection().producer().map(drop).map_err(|error| error.to_string())
    }

    /// Of what makes events nothing has a meaning for those that are there.
    fn check_letters(&self, from: &Topic) -> Result<(), String> {
        let others = [
            ("--from", self.from.is_some()),
            ("--count", self.count.is_some()),
            ("--interval", self.interval.is_some()),
            ("--rate", self.rate.is_some()),
            ("--key", self.key.is_some()),
            ("--key-field", self.key_field.is_some()),
            ("--type", self.ty.is_some()),
            ("--delay", self.delay.is_some()),
            ("--expires-after", self.expires_after.is_some()),
            ("--outbox", self.outbox.is_some()),
            ("--dry-run", self.dry_run),
        ];
        if let Some((other, _)) = others.iter().find(|(_, is_set)| *is_set) {
            return Err(format!(
                "{other} (or its variable, or the file's) has no meaning with --from-topic: leave it out"
            ));
        }
        match &self.to_topic {
            None if !from.is_dead_letters() => Err(format!(
                "{from} is no dead-letter topic, dlq.GROUP.TOPIC: to publish its records all the same, say where with --to-topic"
            )),
            Some(to) if to == from => {
                Err("--from-topic and --to-topic are the same: every record would be there twice".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::Cli;

    fn config(flags: &str) -> Result<Config, String> {
        let arguments = std::iter::once("service-a").chain(flags.split_whitespace());
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let config = cli.into_config();
        config.check()?;
        Ok(config)
    }

    #[test]
    fn the_command_may_be_left_out() {
        for flags in ["--count 3", "publish --count 3"] {
            assert_eq!(config(flags).expect("settings").count, Some(3), "{flags}");
        }
        assert!(config("--count 3 publish").is_err());
    }

    #[test]
    fn dead_letters_may_go_back_and_other_records_only_where_they_are_told() {
        for flags in ["--from-topic dlq.g.t", "--from-topic dlq.g.t --limit 3", "--from-topic a --to-topic b"]
        {
            assert!(config(flags).is_ok(), "{flags}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for flags in [
            "--rate 5 --interval 1s",
            "--key a --key-field b --from -",
            "--key-field b",
            "--rate 0",
            "--rate NaN",
            "--interval soon",
            "--delay 1h --expires-after 30m",
            "--delay soon",
            "--outbox file.db",
            "--outbox sqlite:file.db --outbox-bound 0",
            "--source urn:kafka:record",
            "--from-topic topic1",
            "--from-topic dlq.g.t --to-topic dlq.g.t",
            "--from-topic dlq.g.t --limit 0",
            "--from-topic dlq.g.t --from -",
            "--from-topic dlq.g.t --dry-run",
            "--from-topic dlq.g.t --outbox sqlite:file.db",
            "--to-topic t",
            "--limit 3",
            "--topic a/b",
            "--kafka acks=0",
        ] {
            assert!(config(flags).is_err(), "{flags}");
        }
    }
}
