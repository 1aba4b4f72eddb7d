//! Which events are meant.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::{SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

use super::Status;
use crate::event::Pattern;

/// Which events of a group are meant: those for which all holds that is said here.
///
/// Its text, by `Display` and back by `FromStr`, is a JSON object with the fields that say something, in this order.
/// Filters that mean the same in the same words have the same text, so that it can be stored and compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// One of these; where there are none, any.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub status: BTreeSet<Status>,
    /// Their types. A record that could not be decoded has none: only `*` matches it.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none", with = "pattern")]
    pub ty: Option<Pattern>,
    /// The key, as text. An empty one is a key, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The event's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The topic that its record came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// What its reason contains, letter by letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// First seen at that moment or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// First seen before that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Filter {
    /// The same, of these statuses; of none given, any.
    #[must_use]
    pub fn with_status(self, status: impl IntoIterator<Item = Status>) -> Self {
        Self { status: status.into_iter().collect(), ..self }
    }

    /// Whether no more is said than the status: "all dead ones".
    pub fn is_unbounded(&self) -> bool {
        self.clone().with_status([]) == Self::default()
    }

    /// What no field can know alone.
    ///
    /// # Errors
    /// Nothing can match: why, and what to write.
    pub fn check(&self) -> Result<(), String> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since >= until => {
                Err("--since must lie before --until: nothing was seen between them".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Rows of these statuses alone are kept in an index of their own; `None` where handled ones are among them.
    pub(crate) fn indexed_status(&self) -> Option<&BTreeSet<Status>> {
        let is_indexed = !self.status.is_empty() && !self.status.contains(&Status::Handled);
        is_indexed.then_some(&self.status)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            format!(
                r#"not a filter: {error}; write one such as {{"status":["dead"],"type":"com.example.*"}}"#
            )
        })
    }
}

/// As its text.
mod pattern {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Pattern;

    #[allow(clippy::ref_option, reason = "what serde hands over")]
    pub(super) fn serialize<S: Serializer>(pattern: &Option<Pattern>, to: S) -> Result<S::Ok, S::Error> {
        match pattern {
            Some(pattern) => to.collect_str(pattern),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Pattern>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// A moment as people write it: how long ago (`90s`, `1h 30m`, `2d`), or a date and time as RFC 3339 has it. For clap's
/// `value_parser`.
///
/// # Errors
/// Neither: what to write.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let ago = || {
        let span: jiff::Span = text.parse().ok()?;
        let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        (!ago.is_negative()).then(|| Timestamp::now().checked_sub(ago).ok())?
    };
    let said = "write how long ago, such as 90s, 1h or 2d, or a moment such as 2026-01-31T12:00:00Z";
    text.parse::<Timestamp>().ok().or_else(ago).ok_or_else(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn filters() -> impl Strategy<Value = Filter> {
        let text = || option::of(any::<String>());
        let moment = || {
            option::of(
                (-9_000_000_000_i64..9_000_000_000)
                    .prop_map(|second| Timestamp::from_second(second).expect("a moment")),
            )
        };
        let ty =
            option::of("[a-z]{1,9}(\\.[a-z]{1,9}){0,2}(\\.\\*)?".prop_map(|text| text.parse().expect(&text)));
        (vec(0_usize..8, 0..9), ty, text(), text(), text(), text(), moment(), moment()).prop_map(
            |(status, ty, key, source, topic, reason, since, until)| {
                let status = status.into_iter().map(|at| Status::ALL[at]).collect();
                Filter { status, ty, key, source, topic, reason, since, until }
            },
        )
    }

    proptest! {
        /// Catches: a field that the text leaves out, or text that does not come back as it was.
        #[test]
        fn a_filter_comes_back_from_its_text(filter in filters()) {
            prop_assert_eq!(filter.to_string().parse(), Ok(filter));
        }
    }

    /// Catches: a text that other programs of this version, or the next one, would not know again.
    #[test]
    fn what_means_the_same_has_the_same_text() {
        let filter = |status: &[Status]| Filter {
            ty: Some("com.example.*".parse().expect("a pattern")),
            since: Some(Timestamp::UNIX_EPOCH),
            ..Filter::default().with_status(status.iter().copied())
        };
        let text = r#"{"status":["deferred","dead"],"type":"com.example.*","since":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(filter(&[Status::Dead, Status::Deferred, Status::Dead]).to_string(), text);
        assert_eq!(filter(&[Status::Deferred, Status::Dead]).to_string(), text);
        assert_eq!(Filter::default().to_string(), "{}");
    }

    #[test]
    fn a_text_that_is_no_filter_says_what_to_write() {
        for text in ["", "dead", r#"{"sttus":["dead"]}"#, r#"{"type":"a*b"}"#, r#"{"status":["died"]}"#] {
            let error = text.parse::<Filter>().expect_err(text);
            assert!(error.contains(r#"write one such as {"status""#), "{error}");
        }
    }

    #[test]
    fn a_window_has_a_beginning_before_its_end() {
        let at = |second| Timestamp::from_second(second).ok();
        let window = |since, until| Filter { since, until, ..Filter::default() };
        assert!(window(at(1), at(2)).check().is_ok() && window(at(2), None).check().is_ok());
        assert!(window(at(2), at(2)).check().is_err() && window(at(3), at(2)).check().is_err());
        assert!(!window(at(1), None).with_status([Status::Dead]).is_unbounded());
        assert!(Filter::default().with_status([Status::Dead]).is_unbounded());
    }

    #[test]
    fn moments_are_written_as_people_write_them() {
        let now = Timestamp::now();
        for (text, seconds) in [("90s", 90), ("1h 30m", 5_400), ("2d", 172_800), ("PT1H", 3_600)] {
            let ago = now.duration_since(moment(text).expect(text)).as_secs();
            assert!((seconds - 10..=seconds).contains(&ago), "{text}: {ago}");
        }
        assert_eq!(moment("1970-01-01T01:00:00+01:00"), Ok(Timestamp::UNIX_EPOCH));
        for text in ["", "soon", "-1h", "5", "1mo", "2026-01-31", "99999999d"] {
            assert!(moment(text).expect_err(text).contains("2026-01-31T12:00:00Z"), "{text}");
        }
    }
}
