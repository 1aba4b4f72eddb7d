//! Whose fault it is that a row was not taken.

use rdkafka::error::RDKafkaErrorCode as Code;

/// Whose fault it is, and so what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The row's own: the same bytes will be refused again.
    Row,
    /// The row's own size.
    Size,
    /// The topic's: other topics go on.
    Topic,
    /// Nobody's here: another row of its batch, the producer that was given up.
    Innocent,
    /// The broker's, or nobody knows: everything waits a while.
    Broker,
}

impl Fault {
    pub(super) fn of(code: Code) -> Self {
        match code {
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => Self::Size,
            Code::InvalidRecord | Code::InvalidTimestamp | Code::InvalidMessage => Self::Row,
            Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::InvalidTopic
            | Code::PolicyViolation
            | Code::TopicAuthorizationFailed => Self::Topic,
            Code::PurgeQueue
            | Code::PurgeInflight
            | Code::InvalidDifferentRecord
            | Code::Fatal
            | Code::GaplessGuarantee => Self::Innocent,
            _ => Self::Broker,
        }
    }

    /// Whether the row itself is at fault.
    pub(super) fn is_own(self) -> bool {
        matches!(self, Self::Row | Self::Size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_row_can_help_is_no_rows_fault() {
        for code in [Code::NotEnoughReplicas, Code::OutOfOrderSequenceNumber, Code::MessageTimedOut] {
            assert_eq!(Fault::of(code), Fault::Broker, "{code}");
        }
        assert!(Fault::of(Code::MessageSizeTooLarge).is_own());
        assert!(!Fault::of(Code::TopicAuthorizationFailed).is_own());
        assert!(!Fault::of(Code::InvalidDifferentRecord).is_own());
    }
}
