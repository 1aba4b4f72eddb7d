//! librdkafka's mock cluster, owned: the only file here that talks to C.
#![allow(
    unsafe_code,
    reason = "rdkafka wraps the mock cluster but not its advertised address nor its group settings"
)]

use std::ffi::{CStr, CString};
use std::net::SocketAddr;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka_sys as sys;

use super::error::BrokerError;

/// The mock's brokers are numbered from 1, and there is one.
const BROKER: i32 = 1;

/// More would be a typing error, for which C would run out of memory and abort.
const MAX_PARTITIONS: i32 = 10_000;

/// A mock cluster of one broker and the client it lives in.
pub(super) struct Mock {
    cluster: NonNull<sys::rd_kafka_mock_cluster_t>,
    address: SocketAddr,
    // Never used, but the cluster runs on its memory. Fields drop after `Drop::drop`, so the cluster goes
    // first, as librdkafka asserts.
    _client: BaseProducer,
}

// SAFETY: the pointer is what keeps these from being derived. librdkafka ties neither cluster nor client to
// the thread that made it. Of the functions called through `&self`, those on request errors take the
// cluster's mutex, the others send an operation to the mock's own thread over a locked queue and wait for the
// reply there (rdkafka_mock.c: "an op queue for controlling the cluster in a thread-safe manner"). What has
// no such guard is called in `start`, before anybody else has the pointer, and in `drop`, after everybody
// else has let go of it.
unsafe impl Send for Mock {}
// SAFETY: see above; no method leaves a reference into the cluster behind.
unsafe impl Sync for Mock {}

impl Mock {
    /// Starts a cluster that tells its clients to connect to `advertised`.
    pub(super) fn start(advertised: SocketAddr) -> Result<Self, BrokerError> {
        let client: BaseProducer = ClientConfig::new()
            // The mock's connections take these two from its client. Small responses must not wait for an
            // acknowledgement, and the client itself has nothing to say: it connects nowhere, and of its log
            // lines ("unsupported request ...") nobody polls the queue.
            .set("socket.nagle.disable", "true")
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()
            .map_err(BrokerError::Client)?;
        // SAFETY: the client is alive and outlives the cluster, see `_client`.
        let cluster = unsafe { sys::rd_kafka_mock_cluster_new(client.client().native_ptr(), BROKER) };
        let cluster = NonNull::new(cluster)
            .ok_or(BrokerError::Mock { action: "start", reason: RDKafkaErrorCode::Fail })?;
        // From here on `drop` destroys the cluster if something fails.
        let mut mock = Self { cluster, address: advertised, _client: client };
        // SAFETY: the string was written before `rd_kafka_mock_cluster_new` returned, is never changed, and
        // is copied here. It names the mock's real listener, whatever is advertised.
        let listener = unsafe { CStr::from_ptr(sys::rd_kafka_mock_cluster_bootstraps(cluster.as_ptr())) };
        let listener = listener.to_str().ok().and_then(|address| address.parse().ok());
        mock.address =
            listener.ok_or(BrokerError::Mock { action: "tell its port", reason: RDKafkaErrorCode::Fail })?;
        let host = c_string(&advertised.ip().to_string())?;
        // SAFETY: the host is copied during the call. The mock's thread reads host, port and delay without
        // the lock that guards these writes, but only to answer a request, and no client has been told of it
        // yet.
        unsafe {
            sys::rd_kafka_mock_broker_set_host_port(
                cluster.as_ptr(),
                BROKER,
                host.as_ptr(),
                advertised.port().into(),
            );
            // The default makes the first member of each group wait for 3 s.
            sys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster.as_ptr(), 0);
        }
        Ok(mock)
    }

    /// Where the mock really listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), BrokerError> {
        let failed = |reason| Err(BrokerError::Topic { topic: topic.to_owned(), reason });
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return failed(RDKafkaErrorCode::InvalidPartitions);
        }
        let name = c_string(topic)?;
        // SAFETY: the cluster is alive, the name is copied.
        let answer =
            unsafe { sys::rd_kafka_mock_topic_create(self.cluster.as_ptr(), name.as_ptr(), partitions, 1) };
        match RDKafkaErrorCode::from(answer) {
            RDKafkaErrorCode::NoError => Ok(()),
            reason => failed(reason),
        }
    }

    pub(super) fn fail_topic(&self, topic: &str, error: RDKafkaErrorCode) -> Result<(), BrokerError> {
        let name = c_string(topic)?;
        // SAFETY: the cluster is alive, the name is copied.
        unsafe { sys::rd_kafka_mock_topic_set_error(self.cluster.as_ptr(), name.as_ptr(), native(error)) };
        Ok(())
    }

    pub(super) fn push_request_errors(&self, api_key: i16, errors: &[RDKafkaErrorCode]) {
        let errors: Vec<_> = errors.iter().copied().map(native).collect();
        let (count, first) = (errors.len(), errors.as_ptr());
        // SAFETY: the cluster is alive; `first` points to `count` errors, which are copied.
        unsafe { sys::rd_kafka_mock_push_request_errors_array(self.cluster.as_ptr(), api_key, count, first) };
    }

    pub(super) fn clear_request_errors(&self, api_key: i16) {
        // SAFETY: the cluster is alive.
        unsafe { sys::rd_kafka_mock_clear_request_errors(self.cluster.as_ptr(), api_key) };
    }

    pub(super) fn set_round_trip_time(&self, delay: Duration) -> Result<(), BrokerError> {
        let millis = i32::try_from(delay.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the cluster is alive.
        let answer = unsafe { sys::rd_kafka_mock_broker_set_rtt(self.cluster.as_ptr(), BROKER, millis) };
        match RDKafkaErrorCode::from(answer) {
            RDKafkaErrorCode::NoError => Ok(()),
            reason => Err(BrokerError::Mock { action: "set the round trip time", reason }),
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // SAFETY: nobody else has the pointer any more, it is destroyed once, and its client is still alive.
        unsafe { sys::rd_kafka_mock_cluster_destroy(self.cluster.as_ptr()) };
    }
}

impl std::fmt::Debug for Mock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mock").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A name for C, which ends at the first zero byte: a name that contains one would be cut short.
fn c_string(name: &str) -> Result<CString, BrokerError> {
    CString::new(name)
        .map_err(|_| BrokerError::Topic { topic: name.to_owned(), reason: RDKafkaErrorCode::InvalidTopic })
}

/// The same error as C numbers it; should it have no such number, "unknown".
fn native(error: RDKafkaErrorCode) -> RDKafkaRespErr {
    RDKafkaRespErr::try_from(error as i32).unwrap_or(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN)
}
