//! A database for each test, on the server that `POSTGRES_URL` names.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_postgres::{Client, Config, NoTls};

use super::super::Postgres;
use crate::store::operate::Operate;
use crate::store::suite::{Bench, SCHEMA};
use crate::store::{Store, StoreUrl};

/// A database that goes with it.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) url: String,
    name: String,
}

pub(super) async fn bench() -> Database {
    Database::make(&std::env::var("POSTGRES_URL").expect("POSTGRES_URL names a server")).await
}

impl Database {
    /// On the server of that URL, whose path is the database to connect to meanwhile.
    pub(super) async fn make(server: &str) -> Self {
        let name = format!("store_test_{}", uuid::Uuid::now_v7().simple());
        client(server).await.batch_execute(&format!("create database {name}")).await.expect("a database");
        let (before, parameters) =
            server.split_once('?').map_or((server, None), |(url, rest)| (url, Some(rest)));
        let host = before.find("://").map_or(0, |at| at + 3);
        let end = before[host..].find('/').map_or(before.len(), |at| host + at);
        let parameters = parameters.map(|rest| format!("?{rest}")).unwrap_or_default();
        Self { url: format!("{}/{name}{parameters}", &before[..end]), name }
    }

    pub(super) async fn store(&self) -> Postgres {
        Postgres::open(&self.url, &[SCHEMA]).await.expect("opened")
    }

    /// A connection beside the store, at home in its schema.
    pub(super) async fn client(&self) -> Client {
        let client = client(&self.url).await;
        client.batch_execute("set search_path = event_store, public").await.expect("a search path");
        client
    }
}

impl Drop for Database {
    /// On a thread of its own, because a test that fails is here inside its runtime.
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        let removed = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut config: Config = url.parse().expect("a URL");
                let Ok((client, connection)) = config.dbname("postgres").connect(NoTls).await else { return };
                let driver = tokio::spawn(connection);
                let _ = client.batch_execute(&format!("drop database {name} with (force)")).await;
                driver.abort();
            });
        });
        let _ = removed.join();
    }
}

async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("POSTGRES_URL answers");
    tokio::spawn(connection);
    client
}

impl Bench for Database {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async { Arc::new(self.store().await) as Arc<dyn Store> }.boxed()
    }

    fn operator(&self) -> BoxFuture<'_, Arc<dyn Operate>> {
        async { Arc::new(self.store().await) as Arc<dyn Operate> }.boxed()
    }

    fn sql<'a>(&'a self, text: &'a str) -> BoxFuture<'a, i64> {
        async move {
            let rows = self.client().await.query(text, &[]).await.expect(text);
            rows.first().map_or(0, |row| row.get(0))
        }
        .boxed()
    }

    fn url(&self) -> StoreUrl {
        self.url.parse().expect("a URL")
    }

    fn seen_at(&self, row: i64, millis: i64) -> BoxFuture<'_, i64> {
        async move {
            let moment = format!("to_timestamp({millis} / 1000.0)");
            self.sql(&format!(
                "update ledger set first_seen = {moment} where number = {row} returning number"
            ))
            .await
        }
        .boxed()
    }

    fn operated(&self, row: i64, what: i64) -> BoxFuture<'_, i64> {
        async move {
            self.sql(&format!(
                "insert into operation (partition, row, at, what, status, attempts, reason)
                 values (1, {row}, to_timestamp(5), {what}, 4, 3, 'before') returning number"
            ))
            .await
        }
        .boxed()
    }
}
