//! The network between a client and a broker: it can swallow, delay and reset what it carries.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::own::free_port;

/// How the network is. What is cut off arrives when it is whole again, as TCP's repeats do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Everything arrives.
    Whole,
    /// Everything arrives so much later, in each direction.
    Slow(Duration),
    /// Nothing arrives, and nobody is told.
    Silent,
    /// Requests arrive, answers do not.
    WithoutAnswers,
    /// Each connection is reset, a new one at once.
    Resetting,
}

/// A port of this machine that leads to another one.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients connect.
    pub port: u16,
    network: watch::Sender<Network>,
    accepted: Arc<AtomicUsize>,
    // Ends the connections with the test.
    _runtime: Runtime,
}

impl Proxy {
    /// Leads to that port.
    pub fn to(upstream: u16) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let port = free_port();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", port))).unwrap();
        let (network, watched) = watch::channel(Network::Whole);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(pass(client, upstream, watched.clone()));
            }
        });
        Self { port, network, accepted, _runtime: runtime }
    }

    /// Changes the network, also for the connections that there are.
    pub fn becomes(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// How many connections were made so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// One connection. Its errors are its end, which both sides notice themselves.
async fn pass(mut client: TcpStream, upstream: u16, mut network: watch::Receiver<Network>) -> io::Result<()> {
    let mut broker = TcpStream::connect(("127.0.0.1", upstream)).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_broker, to_broker) = broker.split();
    let silent = |network: &Network| *network == Network::Silent;
    let unanswered = |network: &Network| matches!(network, Network::Silent | Network::WithoutAnswers);
    let requests = one_way(from_client, to_broker, network.clone(), silent);
    let answers = one_way(from_broker, to_client, network.clone(), unanswered);
    let is_reset = tokio::select! {
        _ = requests => false,
        _ = answers => false,
        _ = network.wait_for(|network| *network == Network::Resetting) => true,
    };
    if is_reset {
        client.set_zero_linger()?;
        broker.set_zero_linger()?;
    }
    Ok(())
}

/// Carries bytes one way until their source ends, while the network lets them.
async fn one_way(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut network: watch::Receiver<Network>,
    is_cut: impl Fn(&Network) -> bool,
) -> io::Result<()> {
    let (sender, mut chunks) = mpsc::unbounded_channel();
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 || sender.send((Instant::now(), buffer[..read].to_vec())).is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((at, chunk)) = chunks.recv().await {
            let now = *network.borrow();
            if let Network::Slow(by) = now {
                sleep_until(at + by).await;
            }
            let _ = network.wait_for(|network| !is_cut(network)).await;
            to.write_all(&chunk).await?;
        }
        Ok(())
    };
    tokio::try_join!(reading, writing).map(drop)
}
