//! Where the store is, as people write it.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::operate::Operate;
use super::postgres::{Postgres, PostgresQuery};
use super::sqlite::{SqliteQuery, SqliteStore};
use super::{Query, Schema, Store, StoreError};

/// Where the store is: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server: the URL as it was written, password included.
    Postgres(String),
}

/// What is wrong with a store's URL, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadStoreUrl(String);

impl FromStr for StoreUrl {
    type Err = BadStoreUrl;

    fn from_str(text: &str) -> Result<Self, BadStoreUrl> {
        let bad = |problem: &str| {
            Err(BadStoreUrl(format!(
                "{problem}: write sqlite:PATH for a file, or postgres://USER:PASSWORD@HOST/DATABASE for a server"
            )))
        };
        // Never quoted as a whole: it may hold a password.
        match text.split_once(':') {
            Some(("sqlite", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                match path {
                    "" => bad("the file's path is missing"),
                    ":memory:" => bad("a store in memory would forget what was handled"),
                    _ if path.contains('\0') => bad("a path has no NUL character"),
                    _ => Ok(Self::Sqlite(path.into())),
                }
            }
            Some(("postgres" | "postgresql", rest)) => match rest.strip_prefix("//") {
                Some("") | None => bad("the server is missing"),
                Some(_) => Ok(Self::Postgres(text.to_owned())),
            },
            Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                bad(&format!("{scheme:?} is no kind of store"))
            }
            _ => bad("the kind of store is missing"),
        }
    }
}

impl fmt::Display for StoreUrl {
    /// Without the password, and without parameters, which may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", ""));
                let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
                // The last @: a password may hold one that nobody has escaped.
                let Some((user, place)) = rest.rsplit_once('@') else {
                    return write!(f, "{scheme}://{rest}");
                };
                match user.split_once(':') {
                    Some((user, _)) => write!(f, "{scheme}://{user}:***@{place}"),
                    None => write!(f, "{scheme}://{user}@{place}"),
                }
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

/// Opens the store, makes it if it is not there, and prepares what handlers bring.
pub(crate) async fn open(url: &StoreUrl, schemas: &[Schema]) -> Result<Arc<dyn Store>, StoreError> {
    let migrations = schemas.iter().flat_map(|schema| schema.migrations);
    one_text_a_name("migration", migrations.map(|one| (one.name, (one.sqlite, one.postgres))))?;
    let statements = schemas.iter().flat_map(|schema| schema.statements);
    one_text_a_name("statement", statements.map(|one| (one.name, (one.sqlite, one.postgres))))?;
    match url {
        StoreUrl::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path, schemas).await?)),
        StoreUrl::Postgres(url) => Ok(Arc::new(Postgres::open(url, schemas).await?)),
    }
}

/// Opens a store that is there, for an operator. It is asked first: that makes none.
pub(crate) async fn operator(url: &StoreUrl, schemas: &[Schema]) -> Result<Arc<dyn Operate>, StoreError> {
    match url {
        StoreUrl::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path, schemas).await?)),
        StoreUrl::Postgres(url) => Ok(Arc::new(Postgres::open(url, schemas).await?)),
    }
}

/// Opens a store that is there, to ask it: nothing is made, nothing is written.
pub(crate) async fn ask(url: &StoreUrl) -> Result<Arc<dyn Query>, StoreError> {
    match url {
        StoreUrl::Sqlite(path) => Ok(Arc::new(SqliteQuery::open(path).await?)),
        StoreUrl::Postgres(url) => Ok(Arc::new(PostgresQuery::open(url).await?)),
    }
}

/// Two handlers may share what they need, but not a name for two things.
fn one_text_a_name<T: PartialEq + Copy>(
    what: &str,
    named: impl Iterator<Item = (&'static str, T)>,
) -> Result<(), StoreError> {
    let mut texts = HashMap::new();
    for (name, text) in named {
        if *texts.entry(name).or_insert(text) != text {
            let error =
                format!("two handlers have a {what} {name:?}, with different texts: rename one of them");
            return Err(StoreError::Unusable(error));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Migration;

    fn parse(text: &str) -> Result<StoreUrl, String> {
        text.parse().map_err(|BadStoreUrl(problem)| problem)
    }

    #[test]
    fn files_and_servers_are_told_apart() {
        let file = |path: &str| Ok(StoreUrl::Sqlite(path.into()));
        assert_eq!(parse("sqlite:store.db"), file("store.db"));
        assert_eq!(parse("sqlite:/var/lib/store.db"), file("/var/lib/store.db"));
        assert_eq!(parse("sqlite:///var/lib/a b?.db"), file("/var/lib/a b?.db"));
        for server in ["postgres://u:p@h/db", "postgresql://h"] {
            assert_eq!(parse(server), Ok(StoreUrl::Postgres(server.to_owned())));
        }
    }

    #[tokio::test]
    async fn two_migrations_of_one_name_are_refused() {
        static TWO: [Migration; 2] = [
            Migration { name: "m", sqlite: "select 1", postgres: "select 1" },
            Migration { name: "m", sqlite: "select 2", postgres: "select 1" },
        ];
        let schema = Schema { migrations: &TWO, statements: &[] };
        let error = open(&"sqlite:/nonexistent/x.db".parse().expect("a URL"), &[schema]).await;
        assert!(matches!(error, Err(StoreError::Unusable(reason)) if reason.contains("rename")));
    }

    #[test]
    fn what_is_neither_says_what_to_write() {
        for (text, problem) in [
            ("", "kind of store is missing"),
            ("store.db", "kind of store is missing"),
            ("sqlite:", "path is missing"),
            ("sqlite::memory:", "would forget"),
            ("mysql://h/db", "\"mysql\" is no kind"),
            ("postgres:h", "server is missing"),
            ("postgres://", "server is missing"),
        ] {
            let said = parse(text).expect_err(text);
            assert!(said.contains(problem) && said.contains("write sqlite:PATH"), "{text}: {said}");
        }
        let mistyped = parse("user:s3cret@host/db").expect_err("no store");
        assert!(!mistyped.contains("s3cret"), "{mistyped}");
    }

    /// Catches: a password that is shown, also the rest of one behind an @.
    #[test]
    fn a_password_is_never_printed() {
        for (url, shown) in [
            ("postgres://user:s3cret@host:5432/db", "postgres://user:***@host:5432/db"),
            ("postgres://user:s3:c@ret/s3cret@host/db", "postgres://user:***@host/db"),
            ("postgresql://user@host/db?password=s3cret", "postgresql://user@host/db"),
            ("postgres://host/db", "postgres://host/db"),
        ] {
            let url = parse(url).expect("a URL");
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("StoreUrl({shown})"));
        }
    }
}
