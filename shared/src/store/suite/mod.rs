//! One suite of scenarios for every database that can be a store: who passes it keeps the promises in
//! [`store`](super).
//!
//! A database brings a [`Bench`] and one line, `scenarios!(make)`, where `async fn make() -> impl Bench` gives a
//! database that nobody else uses.

mod dead;
mod draft;
mod effects;
mod handling;
mod hostile;
mod many;
mod operating;
mod outbox;
mod pausing;
mod pruning;
mod query;
mod replaying;
mod replies;
mod settling;
mod sharing;
mod unpublished;
mod waiting;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub(crate) use self::dead::*;
pub(crate) use self::draft::*;
pub(crate) use self::effects::*;
pub(crate) use self::handling::*;
pub(crate) use self::hostile::*;
pub(crate) use self::many::*;
pub(crate) use self::operating::*;
pub(crate) use self::outbox::*;
pub(crate) use self::pausing::*;
pub(crate) use self::pruning::*;
pub(crate) use self::query::*;
pub(crate) use self::replaying::*;
pub(crate) use self::replies::*;
pub(crate) use self::settling::*;
pub(crate) use self::sharing::*;
pub(crate) use self::unpublished::*;
pub(crate) use self::waiting::*;
use super::operate::Operate;
use super::{
    Assigned, Assignee, Migration, Ownership, Schema, Settlement, Statement, Store, StoreUrl, Verdict,
};

/// A database for one scenario.
pub(crate) trait Bench: Sync {
    /// Opens it with [`SCHEMA`], as one more member: every member of a scenario sees the same rows.
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>>;

    /// The same, for an operator.
    fn operator(&self) -> BoxFuture<'_, Arc<dyn Operate>>;

    /// Executes a statement beside the store, and gives the first column of its first row, 0 where there is none.
    /// Asked are the suite's own table `notes`, `outbox`, and of `ledger` the columns `status`, `due` and `packed`.
    fn sql<'a>(&'a self, text: &'a str) -> BoxFuture<'a, i64>;

    /// Where it is, once it has been opened.
    fn url(&self) -> StoreUrl;

    /// Makes a row one that was first seen at that moment, in milliseconds since 1970.
    fn seen_at(&self, row: i64, millis: i64) -> BoxFuture<'_, i64>;

    /// Notes an operation, by its number, on a row that was dead after three attempts, for the reason `before`, five
    /// seconds after 1970 began.
    fn operated(&self, row: i64, what: i64) -> BoxFuture<'_, i64>;
}

/// What the handlers of the suite write.
pub(crate) const SCHEMA: Schema = Schema {
    migrations: &[Migration {
        name: "suite: notes",
        sqlite: "create table notes (note text primary key, number integer, ratio real, bytes blob)",
        postgres: "create table notes (note text primary key, number bigint, ratio double precision, bytes bytea)",
    }],
    statements: &[&NOTE, &NUMBER],
};

/// Refused where the note is there already.
pub(crate) static NOTE: Statement = Statement {
    name: "note",
    sqlite: "insert into notes (note) values (?1)",
    postgres: "insert into notes (note) values ($1)",
};

/// A value of each type; takes the place of the note that is there.
pub(crate) static NUMBER: Statement = Statement {
    name: "number",
    sqlite: "insert into notes (note, number, ratio, bytes) values (?1, ?2, ?3, ?4)
             on conflict (note) do update set number = excluded.number",
    postgres: "insert into notes (note, number, ratio, bytes) values ($1, $2, $3, $4)
               on conflict (note) do update set number = excluded.number",
};

/// Never registered.
pub(crate) static STRANGER: Statement =
    Statement { name: "stranger", sqlite: "delete from notes", postgres: "delete from notes" };

/// The topic of the suite's events.
pub(crate) const TOPIC: &str = "orders";

/// A member that owns partition 0 of the topic.
pub(crate) struct Member {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) owner: Ownership,
    pub(crate) assigned: Assigned,
}

impl Member {
    pub(crate) async fn join(bench: &dyn Bench) -> Self {
        Self::own(bench.open().await, assignee()).await
    }

    pub(crate) async fn own(store: Arc<dyn Store>, partition: Assignee) -> Self {
        let mut answers = store.assign(vec![partition]).await.expect("assigned");
        assert_eq!(answers.len(), 1);
        let assigned = answers.remove(0);
        Self { store, owner: assigned.owner, assigned }
    }

    pub(crate) async fn settle(&self, batch: impl Into<Arc<[Settlement]>>) -> Vec<Verdict> {
        self.store.settle(batch.into()).await.expect("settled")
    }

    pub(crate) async fn settle_one(&self, settlement: Settlement) -> Verdict {
        let mut verdicts = self.settle([settlement]).await;
        assert_eq!(verdicts.len(), 1);
        verdicts.remove(0)
    }
}

pub(crate) fn assignee() -> Assignee {
    Assignee {
        group: "service-b".to_owned(),
        topic: TOPIC.to_owned(),
        partition: 0,
        answers_from: None,
        dead_hold: false,
    }
}

/// Makes a test of every scenario. Attributes before the name are put on each.
macro_rules! scenarios {
    ($(#[$attribute:meta])* $make:path) => {
        $crate::store::suite::scenarios! { @each [$(#[$attribute])*] $make:
            every_step_becomes_a_row
            an_empty_batch_is_settled
            an_event_that_comes_again_is_known
            the_same_id_with_another_content_is_a_conflict
            what_has_no_id_goes_by_its_place
            what_is_known_can_be_looked_up
            a_settle_that_is_repeated_applies_nothing_twice
            a_row_moves_only_from_the_attempt_that_was_begun
            a_row_that_is_moved_twice_moves_once
            a_row_that_is_dead_without_an_attempt_stays_dead
            a_member_that_lost_the_partition_settles_nothing
            one_lost_partition_takes_no_other_with_it
            groups_do_not_see_each_other
            two_members_insert_the_same_event_once
            the_store_is_the_same_for_every_member
            effects_and_their_row_come_together
            follow_up_events_go_to_the_outbox
            effects_of_known_events_are_not_applied
            of_a_large_batch_only_the_refused_one_and_its_key_are_left
            a_refused_event_leaves_the_row_it_had
            statements_that_nobody_registered_are_refused
            parameters_keep_their_types
            odd_parameters_are_refused
            deferred_events_are_there_after_opening_again
            a_pause_is_never_longer_than_asked_for
            waiting_for_a_moment_and_behind_others
            rows_are_named_by_row_and_not_by_offset
            only_what_is_deferred_is_loaded
            records_are_kept_only_while_they_are_needed
            rows_answer_for_earlier_records
            what_is_handled_has_a_row_before
            what_a_crash_left_in_the_middle_is_handled_again
            what_a_crash_left_is_found_among_many
            a_deferred_event_waits_again_after_a_crash
            what_is_being_handled_answers_for_nobody
            a_cancel_is_in_time_or_says_that_it_is_not
            what_need_not_have_a_row_is_not_cancelled_ahead
            a_cancel_and_a_handler_never_both_have_their_way
            a_dead_event_is_given_back_to_its_handler
            only_what_has_failed_is_tried_again_early
            what_is_deleted_is_still_known
            a_cancel_ahead_is_forgotten_in_time
            another_record_of_an_event_ends_nothing
            what_is_cancelled_ahead_and_deleted_stays_cancelled
            what_is_being_handled_or_dead_is_not_ended
            nothing_of_a_deleted_event_is_kept_in_its_history
            a_history_goes_with_its_row
            what_is_given_back_goes_before_what_it_held
            what_has_no_row_is_replayed_once
            what_has_a_row_is_not_replayed
            what_is_replayed_goes_to_the_next_owner_too
            nothing_is_replayed_where_no_row_tells_nothing
            what_is_pruned_is_not_taken_for_missed
            a_dead_event_and_its_letter_come_together
            a_dead_event_holds_its_key_where_that_is_wanted
            a_command_that_comes_again_gets_the_same_reply
            replies_stay_with_their_commands
            a_reply_comes_with_the_last_attempt
            what_is_not_done_is_answered_too
            a_reply_is_kept_though_nobody_waits
            pruning_takes_what_is_settled_for_good
            pruning_keeps_what_is_younger_above_or_anothers
            pruning_is_bounded
            records_are_added_with_the_position_of_their_source
            a_source_that_another_reads_too_is_not_read_twice
            the_outbox_is_bounded
            the_outbox_gives_its_lowest_rows
            a_look_at_the_outbox_is_bounded_in_bytes
            what_is_held_is_not_read
            what_remains_is_counted
            a_refused_record_stays
            a_number_of_the_outbox_is_never_used_again
            the_lease_has_one_holder
            the_lease_expires
            a_pause_is_there_for_every_member_and_later
            each_pause_ends_by_itself
            paused_twice_is_paused_since_the_first_time
            an_event_source_is_paused_for_no_group
            an_empty_key_is_no_null_key
            ids_do_not_collide
            sources_and_ids_do_not_flow_into_each_other
            odd_texts_come_back_as_they_were
            very_long_ids_work
            many_sources_and_types_work
            a_row_is_shown_as_it_is
            each_part_of_a_filter_is_kept_to
            pages_go_on_where_they_ended
            what_is_asked_for_may_lie_far_down
            a_window_of_time_is_kept_to
            an_event_is_found_by_its_id
            an_event_has_its_record_and_its_operations
            a_group_is_asked_for_itself
            reasons_are_counted_over_all_rows
            an_export_has_every_record
            what_waits_in_the_outbox_is_found_page_by_page
            event_sources_are_listed_with_how_far_they_are
        }
    };
    (@each $attributes:tt $make:path: $($name:ident)*) => {
        $($crate::store::suite::scenarios! { @one $attributes $make: $name })*
    };
    (@one [$(#[$attribute:meta])*] $make:path: $name:ident) => {
        #[tokio::test]
        $(#[$attribute])*
        async fn $name() {
            $crate::store::suite::$name(&$make().await).await;
        }
    };
}
pub(crate) use scenarios;
