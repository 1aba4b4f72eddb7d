//! Which event types a handler is for.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// `*` (every type), a prefix such as `com.example.*`, or one type in full.
///
/// Ordered by how specific it is: a type in full, then the longer prefix, then `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    is_prefix: bool,
}

impl Pattern {
    /// Whether the pattern covers the type.
    pub fn matches(&self, ty: &str) -> bool {
        if !self.is_prefix {
            return ty == self.text;
        }
        // `memcmp` of no bytes, at the address that an empty string has, takes hundreds of cycles where it is masked loads.
        self.text.is_empty() || ty.starts_with(&self.text)
    }

    /// What types begin with, or are, and which of the two.
    pub(crate) fn parts(&self) -> (&str, bool) {
        (&self.text, self.is_prefix)
    }

    /// `Greater` is the more specific one.
    pub fn specificity(&self, other: &Self) -> Ordering {
        (!self.is_prefix, self.text.len()).cmp(&(!other.is_prefix, other.text.len()))
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let (text, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        let whole_words = !is_prefix || text.is_empty() || text.ends_with('.');
        if text.contains('*')
            || text.contains(char::is_whitespace)
            || !whole_words
            || (text.is_empty() && !is_prefix)
        {
            return Err(BadPattern);
        }
        Ok(Self { text: text.to_owned(), is_prefix })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }
}

/// Not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write `*`, a prefix such as `com.example.*`, or one event type in full")]
pub struct BadPattern;

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().expect("a pattern")
    }

    #[test]
    fn matches_all_a_prefix_or_one() {
        assert!(pattern("*").matches("plain"));
        assert!(pattern("com.example.*").matches("com.example.a.v1"));
        assert!(!pattern("com.example.*").matches("com.examples"));
        assert!(pattern("a.v1").matches("a.v1") && !pattern("a.v1").matches("a.v10"));
    }

    #[test]
    fn the_most_specific_is_greatest() {
        let mut patterns = ["a.b", "*", "a.*", "a.b.*"].map(pattern);
        patterns.sort_by(Pattern::specificity);
        assert_eq!(patterns.map(|p| p.to_string()), ["*", "a.*", "a.b.*", "a.b"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "a*b", "a*", "**", "a b", ".*x"] {
            assert_eq!(text.parse::<Pattern>(), Err(BadPattern), "{text:?}");
        }
    }
}
