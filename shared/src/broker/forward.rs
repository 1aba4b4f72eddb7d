//! The forwarder: owns the broker's port and passes bytes between its clients and the mock's own port.
//!
//! One thread with a small tokio runtime of its own, so that the broker works without a runtime around it and
//! a busy one does not slow it down.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection::pass;
use super::error::BrokerError;

/// How long coming back waits for a port that another program holds, perhaps only as an outgoing
/// connection's.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pause before a failed `accept` or `bind` is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// "Go down" or "come back", and where to say that it is done.
struct Order {
    down: bool,
    done: SyncSender<Result<(), BrokerError>>,
}

/// The handle of the forwarder's thread; dropping it cuts all connections and ends the thread.
#[derive(Debug)]
pub(super) struct Forwarder {
    // An option, so that `drop` can close the channel: that is the order to stop.
    orders: Option<UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Begins to pass what arrives on `listener`, bound to `address`, to `upstream`.
    pub(super) fn start(
        listener: StdListener,
        address: SocketAddr,
        upstream: SocketAddr,
    ) -> Result<Self, BrokerError> {
        let (orders, received) = unbounded_channel();
        let (ready, started) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("broker-forward".to_owned())
            .spawn(move || run(listener, address, upstream, received, &ready))
            .map_err(BrokerError::Forwarder)?;
        // From here on `drop` joins the thread if it failed.
        let forwarder = Self { orders: Some(orders), thread: Some(thread) };
        started.recv().map_err(|_| gone())?.map_err(BrokerError::Forwarder)?;
        Ok(forwarder)
    }

    /// Tells the thread and waits until it has happened.
    pub(super) fn set_down(&self, down: bool) -> Result<(), BrokerError> {
        let (done, outcome) = sync_channel(1);
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(Order { down, done }).map_err(|_| gone())?;
        outcome.recv().map_err(|_| gone())?
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // An error would be the thread's panic, which has been printed and leaves nothing to clean up.
            let _ = thread.join();
        }
    }
}

/// The thread has ended, which it does by itself only if it panicked.
fn gone() -> BrokerError {
    BrokerError::Forwarder(io::ErrorKind::BrokenPipe.into())
}

/// The thread: says whether it could start, then serves. The runtime is built and dropped here because a
/// runtime must not be dropped inside another one, where the broker's owner may be.
fn run(
    listener: StdListener,
    address: SocketAddr,
    upstream: SocketAddr,
    orders: UnboundedReceiver<Order>,
    ready: &SyncSender<io::Result<()>>,
) {
    let prepare = || {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        drop(inside);
        Ok((runtime, listener))
    };
    // `start` waits for what is sent here.
    match prepare() {
        Ok((runtime, listener)) => {
            let _ = ready.send(Ok(()));
            runtime.block_on(forward(listener, address, upstream, orders));
        }
        Err(e) => {
            let _ = ready.send(Err(e));
        }
    }
}

/// Serves until the handle is dropped. While down there is no listener, so that clients are refused as they
/// are by a broker that is not there; one that accepts and closes would look like a wrong security protocol
/// to them.
async fn forward(
    listener: TcpListener,
    address: SocketAddr,
    upstream: SocketAddr,
    mut orders: UnboundedReceiver<Order>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let turn = Arc::new(Mutex::new(()));
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(Order { down, done }) = order else { return };
                let outcome = if down {
                    listener = None;
                    connections.shutdown().await;
                    Ok(())
                } else if listener.is_some() {
                    Ok(())
                } else {
                    bind_again(address).await.map(|bound| listener = Some(bound))
                };
                // Whoever asked may have given up waiting.
                let _ = done.send(outcome);
            }
            accepted = accept(listener.as_ref()) => match accepted {
                Ok(client) => { connections.spawn(pass(client, upstream, Arc::clone(&turn))); }
                // Out of file descriptors, most likely: without a pause this would spin.
                Err(_) => sleep(RETRY).await,
            },
            // Takes ended connections out of the set.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The next client, or never while there is no listener.
async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// Listens on the port again; it was free for others meanwhile.
async fn bind_again(address: SocketAddr) -> Result<TcpListener, BrokerError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(e) if Instant::now() >= deadline => return Err(BrokerError::listen(address, e)),
            Err(_) => sleep(RETRY).await,
        }
    }
}
