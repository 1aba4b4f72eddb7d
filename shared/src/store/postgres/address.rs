//! Where the database is, from the store's URL.

use std::fmt;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::store::StoreError;

/// How long a connection may take to come about.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// Host, port, database and how to log in. Shown without the password.
pub(super) struct Address {
    pub(super) config: Config,
    /// "PostgreSQL at host:port, database name".
    pub(super) place: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl Address {
    /// # Errors
    /// The URL cannot be read, or asks for TLS. The sentence repeats nothing of it: a password with a character that
    /// should have been encoded may be anywhere in what was found.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let config = url.parse::<Config>().ok().filter(|_| is_url && url.matches('@').count() <= 1);
        let mut config = config.ok_or_else(|| {
            StoreError::Unusable(
                "the store's URL cannot be read: write postgres://user:password@host:port/database, and special \
                 characters of the password percent-encoded (@ as %40, / as %2F)"
                    .to_owned(),
            )
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(StoreError::Unusable(
                "the store's URL says sslmode=require: connections to PostgreSQL are not encrypted here; use \
                 sslmode=disable in a network that you trust, or a tunnel"
                    .to_owned(),
            ));
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        config.ssl_mode(SslMode::Disable);
        config.connect_timeout(CONNECT);
        // A host that vanishes without a word is noticed within seconds.
        config.tcp_user_timeout(CONNECT).keepalives_idle(CONNECT).keepalives_interval(Duration::from_secs(2));
        if config.get_application_name().is_none() {
            config.application_name("event_store");
        }
        let place = place(&config);
        Ok(Self { config, place })
    }
}

fn place(config: &Config) -> String {
    let port = |at: usize| config.get_ports().get(at).or(config.get_ports().last()).copied().unwrap_or(5432);
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(at, host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(at)),
            Host::Unix(path) => format!("{}:{}", path.display(), port(at)),
        })
        .collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or("of the user's name");
    format!("PostgreSQL at {}, database {database}", hosts.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Address::parse(url).expect_err("not to be used").to_string()
    }

    /// Catches: a `Debug` that shows how to log in.
    #[test]
    fn a_place_is_shown_without_its_password() {
        let address = Address::parse("postgres://me:s3cret@db.example:5433/shop").expect("an address");
        assert_eq!(format!("{address:?}"), "PostgreSQL at db.example:5433, database shop");
        let address = Address::parse("postgresql://me@localhost").expect("an address");
        assert_eq!(address.place, "PostgreSQL at localhost:5432, database me");
    }

    #[test]
    fn no_part_of_a_misread_password_is_shown() {
        for url in [
            "postgres://me:s3@cret@host/shop",
            "postgres://me:pass?s3cret=w@host:port/shop",
            "host=h password=s3cret",
            "postgres://me:pw@host:s3cret/shop",
        ] {
            let said = refusal(url);
            assert!(!said.contains("cret") && said.contains("percent-encoded"), "{said}");
        }
    }

    #[test]
    fn encryption_is_refused_instead_of_ignored() {
        assert!(refusal("postgres://me@host/shop?sslmode=require").contains("sslmode=disable"));
    }
}
