//! The embedded broker: librdkafka's mock cluster behind one fixed port, in memory, for the demo, the first
//! test tier and fault injection.
//!
//! It speaks the real protocol over TCP, so other processes (the services, `kcat`) use it as they would use
//! Kafka. Why not rdkafka's own `mocking::MockCluster`: the mock listens on a port it picks itself and tells
//! clients that one, and rdkafka cannot change what it tells. Here a forwarder owns the port and the mock
//! advertises it.
//!
//! # What it is not
//!
//! Nothing should start it unless asked to: the mock keeps records in memory only and is no Kafka where it
//! matters.
//!
//! - **5 MiB a partition**, the oldest records pruned without a word; one response carries one batch a
//!   partition.
//! - **No admin API**: topics come from [`Options::topics`] and [`EmbeddedBroker::create_topic`]; a topic
//!   that a client asks for by name appears with 4 partitions. No retention, no compaction, no offsets by
//!   timestamp.
//! - **Nothing against duplicates**: transactions succeed without effect, idempotent producers are not
//!   checked.
//! - **Plaintext** on 127.0.0.1, one thread, good for about a hundred connections.
//! - **Groups rebalance slowly**: a first member has its partitions at once, but each later join or leave
//!   waits for `session.timeout.ms - 1000`, and a join with `cooperative-sticky` does so twice. Clients
//!   should set `session.timeout.ms=6000` (10 s until a second member has its share; 88 s with the default of
//!   45000), tests 2000 (2 s): the mock has no lower bound, Kafka has one at 6000. With
//!   `group.protocol=consumer` it is 3 s.
//! - **Idle fetches are slow to notice**: new records do not wake a waiting fetch, so that
//!   `fetch.wait.max.ms` (500 by default) is added to the latency; 10 is a good value here.
//! - **It can abort the process** that hosts it: two members of a group whose first
//!   `partition.assignment.strategy` differs fail an assertion in C.

mod connection;
mod error;
mod forward;
mod mock;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;

pub use self::error::BrokerError;
use self::forward::Forwarder;
use self::mock::Mock;

/// How to start an [`EmbeddedBroker`]. The default is any free port and no topics.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port to listen on at 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// The topics to begin with: name and number of partitions.
    pub topics: Vec<(String, i32)>,
}

/// A broker in this process; dropping it stops it and its data is gone.
///
/// It brings its own threads and may be started, used and dropped inside a tokio runtime or without one. Its
/// methods may be called from any thread, also while clients are connected.
#[derive(Debug)]
pub struct EmbeddedBroker {
    address: SocketAddr,
    // Before the mock: fields drop in this order, and the mock should lose its clients first.
    forwarder: Forwarder,
    mock: Mock,
}

impl EmbeddedBroker {
    /// Starts the broker; when this returns, clients can connect and the topics exist.
    ///
    /// # Errors
    ///
    /// [`BrokerError::AddressInUse`] if something listens on the port already, and the other variants as they
    /// say.
    pub fn start(options: Options) -> Result<Self, BrokerError> {
        let Options { port, topics } = options;
        // The port first: it is what may fail for a reason the user can mend.
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(wanted).map_err(|e| BrokerError::listen(wanted, e))?;
        let address = listener.local_addr().map_err(|e| BrokerError::listen(wanted, e))?;
        let mock = Mock::start(address)?;
        for (topic, partitions) in topics {
            mock.create_topic(&topic, partitions)?;
        }
        let forwarder = Forwarder::start(listener, address, mock.address())?;
        Ok(Self { address, forwarder, mock })
    }

    /// What clients take as `bootstrap.servers`: `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Creates a topic, which the broker's clients cannot do.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Topic`] if it exists, also if a client caused it, or if the name or the number is
    /// unusable.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), BrokerError> {
        self.mock.create_topic(name, partitions)
    }

    /// Makes the broker vanish (`true`: connections are cut, new ones refused) or come back (`false`). Its
    /// data stays.
    ///
    /// When this returns it has happened. It blocks for that long: well below a millisecond, or up to 2 s if
    /// the port was taken meanwhile.
    ///
    /// # Errors
    ///
    /// When coming back, [`BrokerError::AddressInUse`] if another program keeps the port.
    pub fn set_down(&self, down: bool) -> Result<(), BrokerError> {
        self.forwarder.set_down(down)
    }

    /// Answers metadata requests for this topic with an error, until `None` heals it. Clients that know the
    /// topic already go on until they refresh their metadata. An unknown topic is created.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Topic`] if the name is unusable.
    pub fn fail_topic(&self, name: &str, error: Option<RDKafkaErrorCode>) -> Result<(), BrokerError> {
        self.mock.fail_topic(name, error.unwrap_or(RDKafkaErrorCode::NoError))
    }

    /// Fails the next requests of a kind, one for each error, the first error first. `api_key` is Kafka's
    /// number for the kind: 0 is Produce, 1 Fetch, 8 `OffsetCommit`, and `RDKafkaApiKey` has them all by
    /// name. The error `BrokerTransportFailure` cuts the connection instead of answering.
    pub fn push_request_errors(&self, api_key: i16, errors: &[RDKafkaErrorCode]) {
        self.mock.push_request_errors(api_key, errors);
    }

    /// Forgets the errors not yet used up by requests of this kind.
    pub fn clear_request_errors(&self, api_key: i16) {
        self.mock.clear_request_errors(api_key);
    }

    /// Delays each response by this long, in whole milliseconds; zero is the default.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Mock`] if librdkafka refuses.
    pub fn set_round_trip_time(&self, delay: Duration) -> Result<(), BrokerError> {
        self.mock.set_round_trip_time(delay)
    }
}
