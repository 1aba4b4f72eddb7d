//! What can go wrong with the embedded broker.

use std::io;
use std::net::SocketAddr;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

/// Why the embedded broker could not start or do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Another program listens on the port.
    #[error(
        "{address} is in use already, perhaps by another broker: \
         stop that one or choose another port (`--bootstrap-servers 127.0.0.1:PORT`)"
    )]
    AddressInUse {
        /// Where the broker was to listen.
        address: SocketAddr,
    },
    /// The port cannot be used for another reason, such as a missing permission.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where the broker was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The forwarder's thread or its runtime could not be started, or is gone.
    #[error("the embedded broker's forwarder does not run")]
    Forwarder(#[source] io::Error),
    /// librdkafka did not start its host client.
    #[error("cannot start the embedded broker's client")]
    Client(#[source] KafkaError),
    /// librdkafka's mock cluster refused.
    #[error("librdkafka's mock cluster cannot {action}: {reason}")]
    Mock {
        /// What it was told to do.
        action: &'static str,
        /// What it said.
        reason: RDKafkaErrorCode,
    },
    /// A topic cannot be created or changed.
    #[error("topic {topic:?}: {reason}")]
    Topic {
        /// The topic as it was given.
        topic: String,
        /// Why not.
        reason: RDKafkaErrorCode,
    },
}

impl BrokerError {
    /// Sorts out the one reason for which the user can do something.
    pub(super) fn listen(address: SocketAddr, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::AddressInUse { address }
        } else {
            Self::Listen { address, source }
        }
    }
}
