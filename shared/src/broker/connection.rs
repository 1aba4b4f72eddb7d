//! One client's connection, passed on to the mock.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// Bytes under way in each direction of a connection: few system calls for a large fetch, and at most 12 MiB
/// for a hundred connections.
const BUFFER: usize = 64 * 1024;

/// How long a client waits for the mock before its connection is cut.
const PATIENCE: Duration = Duration::from_secs(2);

/// How soon an unanswered connection attempt is repeated.
const RETRY: Duration = Duration::from_millis(20);

/// Passes bytes both ways until one side closes. Errors are the end of a connection, which both sides notice
/// themselves.
pub(super) async fn pass(
    mut client: TcpStream,
    upstream: SocketAddr,
    turn: Arc<Mutex<()>>,
) -> io::Result<()> {
    let mut broker = connect(upstream, &turn).await?;
    // A request must not wait for the acknowledgement of the one before.
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut broker, BUFFER, BUFFER).await?;
    Ok(())
}

/// Connects to the mock, whose queue of connections to accept holds five. When more arrive at once, the
/// system drops them silently and repeats after 1 s, 2 s, 4 s: a hundred clients would wait for eight
/// seconds. So one connects at a time, and does not wait for the system's repeat.
async fn connect(upstream: SocketAddr, turn: &Mutex<()>) -> io::Result<TcpStream> {
    let _mine = turn.lock().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match timeout(RETRY, TcpStream::connect(upstream)).await {
            Ok(outcome) => return outcome,
            Err(_) if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}
