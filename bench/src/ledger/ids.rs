//! The ids of events: where in the ledger's index their rows go.

use clap::ValueEnum;
use uuid::{Builder, Uuid};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ids {
    /// UUIDs of version 7, as service-a makes them: after all that are there.
    V7,
    /// UUIDs of version 4, as other producers make them: anywhere between those that are there.
    Random,
}

impl std::fmt::Display for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::load::name(self))
    }
}

impl Ids {
    /// One that nobody has.
    pub(super) fn make(self) -> Uuid {
        match self {
            Self::V7 => Uuid::now_v7(),
            Self::Random => Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ones_sort_by_time_and_the_others_do_not() {
        let of = |ids: Ids| (0..100).map(|_| ids.make()).collect::<Vec<_>>();
        assert!(of(Ids::V7).is_sorted());
        assert!(!of(Ids::Random).is_sorted());
        assert_eq!(Ids::Random.make().get_version_num(), 4);
    }
}
