//! Places of records, as people write them.

use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use shared::client::Ends;
use shared::config::duration;
use shared::topic::Topic;

/// `TOPIC/PARTITION/OFFSET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    pub(super) topic: Topic,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let [topic, partition, offset] = parts[..] else {
            return Err("write TOPIC/PARTITION/OFFSET, for example topic1/0/42".to_owned());
        };
        let number = |what: &str, text: &str| {
            text.parse::<i64>()
                .ok()
                .filter(|number| *number >= 0)
                .ok_or_else(|| format!("{what}: a number from 0 on"))
        };
        Ok(Self {
            topic: topic.parse().map_err(|error: shared::topic::BadTopic| error.to_string())?,
            partition: number("the partition", partition)?
                .try_into()
                .map_err(|_| "there is no such partition")?,
            offset: number("the offset", offset)?,
        })
    }
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tools) enum From {
    /// At that offset, or the first that there still is.
    Offset(i64),
    /// So many before the end.
    Last(i64),
    /// At the first record that young.
    Time(Timestamp),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse::<i64>() {
            return Ok(if number < 0 { Self::Last(number.saturating_neg()) } else { Self::Offset(number) });
        }
        if let Ok(ago) = duration(text) {
            let at = SystemTime::now().checked_sub(ago).and_then(|at| Timestamp::try_from(at).ok());
            return Ok(Self::Time(at.unwrap_or(Timestamp::UNIX_EPOCH)));
        }
        text.parse().map(Self::Time).map_err(|_| {
            "write an offset, -N for the last N, a time such as 2026-01-31T12:00:00Z, or how long ago, such as 1h".to_owned()
        })
    }
}

impl From {
    /// The first offset that is wanted of a partition; `at_time` is that of its first record that is young enough.
    pub(in crate::tools) fn first(self, ends: Ends, at_time: Option<i64>) -> i64 {
        match self {
            Self::Offset(offset) => offset.max(ends.low),
            Self::Last(count) => ends.high.saturating_sub(count).max(ends.low),
            Self::Time(_) => at_time.unwrap_or(ends.high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let at: At = "a.b/3/42".parse().expect("a place");
        assert_eq!((at.topic.as_str(), at.partition, at.offset), ("a.b", 3, 42));
        for text in ["a/1", "a/1/2/3", "a/-1/2", "a/1/-2", "a b/1/2", "a/9999999999/1", "a/1/x", ""] {
            assert!(text.parse::<At>().is_err(), "{text}");
        }
    }

    #[test]
    fn beginnings_are_read() {
        assert_eq!("7".parse(), Ok(From::Offset(7)));
        assert_eq!("-7".parse(), Ok(From::Last(7)));
        assert!(matches!("1h".parse(), Ok(From::Time(at)) if at < Timestamp::now()));
        assert_eq!(
            "2026-01-31T12:00:00Z".parse(),
            Ok(From::Time("2026-01-31T12:00:00Z".parse().expect("a time")))
        );
        assert!("soon".parse::<From>().is_err());
    }

    /// Catches: an offset outside of the partition, for which Kafka has no answer.
    #[test]
    fn a_beginning_is_within_the_partition() {
        let ends = Ends { low: 10, high: 20 };
        assert_eq!(From::Offset(3).first(ends, None), 10);
        assert_eq!(From::Offset(15).first(ends, None), 15);
        assert_eq!(From::Last(3).first(ends, None), 17);
        assert_eq!(From::Last(i64::MAX).first(ends, None), 10);
        assert_eq!(From::Time(Timestamp::UNIX_EPOCH).first(ends, None), 20, "none is that young");
        assert_eq!(From::Time(Timestamp::UNIX_EPOCH).first(ends, Some(12)), 12);
    }
}
