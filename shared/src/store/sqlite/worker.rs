//! A thread that owns a connection: jobs come over a channel, answers go back to who waits for them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::file::File;
use super::settle::{self, Batch};
use crate::store::{Answer, StoreError};

/// The most events that share a transaction, so that nobody waits for long.
const MOST_TOGETHER: usize = 10_000;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    Settle(Batch),
    Other(Box<dyn FnOnce(&mut File) + Send>),
}

/// The sending side. The thread ends when it is dropped.
#[derive(Debug)]
pub(super) struct Worker(Sender<Job>);

impl Worker {
    pub(super) fn start(name: &str, mut file: File) -> Result<Self, StoreError> {
        let (sender, jobs) = channel();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&mut file, &jobs))
            .map_err(|error| StoreError::Unavailable(format!("the thread {name:?} of the store: {error}")))?;
        Ok(Self(sender))
    }

    /// Has the thread do something. It is under way when this returns, whether or not the answer is awaited.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut File) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'static, T> {
        self.send(|reply| {
            Job::Other(Box::new(move |file| {
                let _ = reply.send(job(file)); // nobody waits any more: fine
            }))
        })
    }

    pub(super) fn settle(
        &self,
        settlements: std::sync::Arc<[crate::store::Settlement]>,
    ) -> Answer<'static, Vec<crate::store::Verdict>> {
        self.send(|reply| Job::Settle(Batch::new(settlements, reply)))
    }

    fn send<T: Send + 'static>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Answer<'static, T> {
        let (reply, answer) = oneshot::channel();
        let _ = self.0.send(job(reply)); // a thread that ended drops the reply, which says so below
        async { answer.await.unwrap_or_else(|_| Err(ended())) }.boxed()
    }
}

fn ended() -> StoreError {
    StoreError::Unusable("the store's thread has ended: start again".to_owned())
}

fn work(file: &mut File, jobs: &Receiver<Job>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.recv().ok()) {
        match job {
            Job::Other(job) => job(file),
            Job::Settle(batch) => {
                let mut events = batch.settlements.len();
                let mut batches = vec![batch];
                while events < MOST_TOGETHER {
                    match jobs.try_recv() {
                        Ok(Job::Settle(batch)) => {
                            events += batch.settlements.len();
                            batches.push(batch);
                        }
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                settle::settle(file, batches);
            }
        }
    }
}
