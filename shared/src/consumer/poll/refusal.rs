//! Which errors of the consumer end the run, and in which words.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// # Errors
/// The error does not pass by itself.
pub(super) fn refusal(error: &KafkaError, group: &str) -> anyhow::Result<()> {
    if let KafkaError::MessageConsumptionFatal(code) = error {
        anyhow::bail!(
            "Kafka has shut this member out: {code}. Another instance with the same --instance-id?"
        );
    }
    match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => anyhow::bail!(
            "a committed offset of group {group} is not in its partition any more: its records were deleted before \
             they were handled. Say --on-missing-offsets earliest (handle what is left) or latest (skip it)"
        ),
        // librdkafka goes on behind the batch: what was in it would be skipped without a word.
        Some(Code::BadMessage) => anyhow::bail!(
            "a batch of records is damaged on the broker or on the way. Nothing behind it is handled: mend the \
             broker's log, or move group {group} past the batch with Kafka's own tools"
        ),
        Some(code @ (Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed)) => {
            anyhow::bail!("{code}: this user may not read the topics, or not as group {group}")
        }
        _ => Ok(()),
    }
}
