//! Apache Kafka in a container, one for the whole run.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Context as _;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::runtime::Runtime;

/// The image and its version: what `docker-compose.yml` runs, too.
const IMAGE: (&str, &str) = ("apache/kafka", "4.3.1");

/// Pulling the image may take this long.
const PATIENCE: Duration = Duration::from_mins(4);

/// Everything that a single node needs. With one of these set the image drops its own defaults, so all are here.
const SETTINGS: [(&str, &str); 19] = [
    ("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw"),
    ("KAFKA_NODE_ID", "1"),
    ("KAFKA_PROCESS_ROLES", "broker,controller"),
    ("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093"),
    ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
    ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
    ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
    ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093"),
    ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
    ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "4"),
    ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
    ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
    ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "1"),
    ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1"),
    ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
    // A test that misspells a topic should not find one.
    ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
    ("KAFKA_LOG_DIRS", "/var/lib/kafka/data"),
    ("KAFKA_HEAP_OPTS", "-Xms256m -Xmx512m"),
    ("KAFKA_JVM_PERFORMANCE_OPTS", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"),
];

/// A running container; dropping it removes it.
#[derive(Debug)]
pub struct Container {
    runtime: Runtime,
    // An option, because removing takes it away.
    running: Option<ContainerAsync<GenericImage>>,
    /// What clients take as `bootstrap.servers`.
    pub address: String,
}

impl Container {
    /// Starts Kafka. The host's port is chosen here and stays: a restarted container would get another one,
    /// and what it advertises is settled before it starts.
    pub fn start() -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let image = GenericImage::new(IMAGE.0, IMAGE.1)
            .with_wait_for(WaitFor::message_on_stdout("Kafka Server started"))
            .with_mapped_port(port, 9092.tcp())
            .with_env_var("KAFKA_ADVERTISED_LISTENERS", format!("PLAINTEXT://{address}"))
            // Nobody else on the network has business with this broker.
            .with_host_config_modifier(|host| {
                let bindings = host.port_bindings.iter_mut().flat_map(|ports| ports.values_mut().flatten());
                bindings.flatten().for_each(|binding| binding.host_ip = Some("127.0.0.1".to_owned()));
            });
        let image = SETTINGS.iter().fold(image, |image, (name, value)| image.with_env_var(*name, *value));
        let runtime = Runtime::new()?;
        let started = runtime.block_on(async { tokio::time::timeout(PATIENCE, image.start()).await });
        let container = started.context("the container did not start in time")??;
        runtime.spawn(remove_when_interrupted(container.id().to_owned()));
        Ok(Self { runtime, running: Some(container), address })
    }

    fn container(&self) -> &ContainerAsync<GenericImage> {
        self.running.as_ref().expect("there until the drop")
    }

    /// Kills the broker: no time to say goodbye.
    pub fn kill(&self) {
        self.runtime.block_on(self.container().stop_with_timeout(Some(0))).expect("the container stops");
    }

    /// Starts it again, with its data, at the same address.
    pub fn restart(&self) {
        self.runtime.block_on(self.container().start()).expect("the container starts again");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(container) = self.running.take()
            && let Err(error) = self.runtime.block_on(container.rm())
        {
            eprintln!("the container stays behind: {error}");
        }
    }
}

/// Ctrl-C ends the process without a drop, and there is nobody else who would clean up.
async fn remove_when_interrupted(id: String) {
    if tokio::signal::ctrl_c().await.is_ok() {
        let _ = std::process::Command::new("docker").args(["rm", "-f", "-v", &id]).output();
        std::process::exit(130);
    }
}
