//! Who is in a group, and which partitions each has.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::groups::{GroupInfo, GroupMemberInfo};

/// A group, as the broker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Its name.
    pub group: String,
    /// Kafka's word: `Stable`, `Empty`, `PreparingRebalance`, …; `None` where it cannot be known.
    pub state: Option<String>,
    /// Who is in it.
    pub members: Members,
}

/// Who is in a group, if that can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// These.
    Known(Vec<Member>),
    /// It cannot: why.
    Hidden(String),
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id, made by the broker or the client.
    pub id: String,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// What it has; `None` where its assignment is none that consumers write.
    pub partitions: Option<Vec<(String, i32)>>,
}

/// KIP-848's groups are described by a request that this client does not have.
const NEW_PROTOCOL: &str = "the broker hands out this group's partitions (KIP-848), and this client cannot ask it for such \
     a group's members: `kafka-consumer-groups.sh --describe --members` can";

/// All groups, or that one; none where there is no such group.
pub(super) fn fetch(
    client: &BaseConsumer<impl ConsumerContext>,
    group: Option<&str>,
    patience: Duration,
) -> anyhow::Result<Vec<Membership>> {
    let list = match client.fetch_group_list(group, patience) {
        Ok(list) => list,
        Err(KafkaError::GroupListFetch(
            RDKafkaErrorCode::UnsupportedFeature
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::BrokerTransportFailure,
        )) => anyhow::bail!("this broker does not tell its groups: the embedded one has no such request"),
        Err(error) => return Err(error).context("cannot ask for groups"),
    };
    // rdkafka panics on a name that is not UTF-8, and any client may have chosen it.
    let read = || list.groups().iter().map(membership).collect();
    std::panic::catch_unwind(AssertUnwindSafe(read))
        .map_err(|_| anyhow::anyhow!("the name of a group or member is not UTF-8: it cannot be shown"))
}

fn membership(info: &GroupInfo) -> Membership {
    let members: Vec<Member> = info.members().iter().map(member).collect();
    // The list has them, by another protocol's name or as dead, and never with members.
    let is_hidden =
        members.is_empty() && !matches!(info.state(), "Empty" | "PreparingRebalance" | "CompletingRebalance");
    Membership {
        group: info.name().to_owned(),
        // Of those, the broker says "Dead" to a request that is none for them.
        state: (!is_hidden).then(|| info.state().to_owned()),
        members: if is_hidden { Members::Hidden(NEW_PROTOCOL.to_owned()) } else { Members::Known(members) },
    }
}

fn member(info: &GroupMemberInfo) -> Member {
    Member {
        id: info.id().to_owned(),
        client_id: info.client_id().to_owned(),
        host: info.client_host().trim_start_matches('/').to_owned(),
        partitions: parse(info.assignment().unwrap_or_default()),
    }
}

/// Kafka's `ConsumerProtocolAssignment`, of any version: a number, then topics with their partitions, then what we do not
/// need. The bytes come from whoever leads the group. No bytes at all are no partitions.
fn parse(assignment: &[u8]) -> Option<Vec<(String, i32)>> {
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let mut bytes = Bytes(assignment);
    let _version = bytes.take::<2>()?;
    let mut partitions = Vec::new();
    for _ in 0..bytes.length()? {
        let length = u16::from_be_bytes(bytes.take()?);
        let topic = std::str::from_utf8(bytes.run(usize::from(length))?).ok()?;
        for _ in 0..bytes.length()? {
            partitions.push((topic.to_owned(), i32::from_be_bytes(bytes.take()?)));
        }
    }
    Some(partitions)
}

/// What is left to read. Nothing is set aside for what a length only claims to be there.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn run(&mut self, length: usize) -> Option<&'a [u8]> {
        let (run, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(run)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.run(N)?.try_into().ok()
    }

    /// How many elements an array has.
    fn length(&mut self) -> Option<u32> {
        u32::try_from(i32::from_be_bytes(self.take()?)).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn written(topics: &[(String, Vec<i32>)]) -> Vec<u8> {
        let mut bytes = vec![0, 3];
        bytes.extend((topics.len() as i32).to_be_bytes());
        for (topic, partitions) in topics {
            bytes.extend((topic.len() as i16).to_be_bytes());
            bytes.extend(topic.as_bytes());
            bytes.extend((partitions.len() as i32).to_be_bytes());
            bytes.extend(partitions.iter().flat_map(|partition| partition.to_be_bytes()));
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_a_leader_writes_is_read(
            topics in vec(("[a-z.]{1,9}", vec(0_i32..1000, 0..9)), 0..5),
            user_data in vec(any::<u8>(), 0..9),
        ) {
            let flat: Vec<_> =
                topics.iter().flat_map(|(topic, of)| of.iter().map(move |one| (topic.clone(), *one))).collect();
            let mut bytes = written(&topics);
            bytes.extend(user_data);
            prop_assert_eq!(parse(&bytes), Some(flat));
        }

        /// Catches: a panic, or memory for two billion partitions that are only claimed to be there.
        #[test]
        fn no_bytes_panic(bytes in vec(any::<u8>(), 0..60), cut in 0_usize..60) {
            let _ = parse(&bytes);
            let whole = written(&[("topic".to_owned(), vec![1, 2, 3]), ("b".to_owned(), vec![i32::MAX])]);
            let cut = cut.min(whole.len());
            prop_assert_eq!(parse(&whole[..cut]).is_some(), cut == 0 || cut == whole.len());
        }
    }

    #[test]
    fn an_array_of_a_length_below_zero_or_beyond_the_end_is_none() {
        for count in [-1_i32, i32::MIN, i32::MAX] {
            let bytes = [[0, 0].as_slice(), &count.to_be_bytes(), &[0, 1, b'a']].concat();
            assert_eq!(parse(&bytes), None, "{count}");
        }
        assert_eq!(parse(&[]), Some(Vec::new()));
    }
}
