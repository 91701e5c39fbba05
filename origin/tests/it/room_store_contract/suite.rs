//! `contract_of!(name)` runs every test of the contract against the store that `stores::name()` opens.

macro_rules! contract_tests {
    ($store:ident: $($test:ident)*) => {
        mod $store {
            $(
                #[tokio::test]
                async fn $test() {
                    let (store, _guard) = super::super::stores::$store().await;
                    super::$test(store).await;
                }
            )*
        }
    };
}

/// The suite for the store that `stores::$store()` opens: it answers the store and what keeps it alive.
macro_rules! contract_of {
    ($store:ident) => {
        contract_tests! { $store:
            one_loader_populates_and_the_others_wait
            a_loader_that_gave_up_cannot_commit
            an_origin_that_has_lost_its_token_gets_another
            a_sealed_room_lets_nobody_in_until_it_is_erased
            a_room_that_is_not_populated_takes_nothing
            seq_rises_by_one_and_ts_with_it
            a_repeated_batch_is_logged_once
            the_batch_numbers_of_an_origin_begin_again_after_it_left
            an_event_of_a_hub_is_logged_once_whoever_brings_it
            a_batch_with_one_unknown_file_logs_nothing
            a_batch_over_several_files_is_read_in_its_order
            of_a_batch_that_was_merged_in_part_the_rest_is_kept
            a_batch_may_be_long
            text_of_a_client_that_somebody_else_has_logged_meanwhile_is_not_logged_twice
            what_a_batch_extends_is_counted_within_it
            one_update_may_extend_as_many_clients_as_the_gate_lets_through
            a_room_that_is_populated_again_counts_again
            a_client_belongs_to_who_has_extended_it_until_the_room_is_populated_again
            a_room_has_a_secret_for_as_long_as_it_is_populated
            an_ack_keeps_what_was_logged_meanwhile
            an_ack_that_comes_too_late_changes_nothing
            a_compacted_file_stays_dirty_until_it_is_flushed
            a_flush_and_a_compaction_of_one_base_never_both_count
            a_claimed_file_that_is_compacted_waits_for_the_archive_since_its_creation
            a_compaction_makes_a_log_small_and_forgets_no_clock
            the_last_to_leave_removes_a_clean_room_only
            every_populated_room_is_listed
            a_lease_that_has_run_out_holds_nothing
            members_are_listed_under_the_lease_of_their_origin
            a_new_epoch_is_above_the_last_and_above_the_archive
            a_path_has_one_owner
            a_backfill_gives_what_came_after_or_says_that_it_cannot
            events_are_kept_in_order_up_to_a_limit_and_are_never_dirty
            subscribers_hear_what_is_logged_and_announced
            an_erased_room_is_gone_for_everybody
            how_flushes_ended_is_kept_while_the_room_is_there
            logs_are_measured_and_are_small_again_after_a_flush
            a_deletion_that_was_left_is_kept_in_mind
        }
    };
}
