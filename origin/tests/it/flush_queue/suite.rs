//! `contract_of!(name)` runs every test of the contract against the queues that `Queues::name()` opens.

macro_rules! queue_tests {
    ($queue:ident: $($test:ident)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                super::$test(super::Queues::$queue().await).await;
            }
        )*
    };
}

/// The suite for the queues that `Queues::$queue()` opens.
macro_rules! contract_of {
    ($queue:ident) => {
        queue_tests! { $queue:
            a_room_asked_for_again_while_it_waits_has_one_job
            a_room_asked_for_while_it_is_flushed_is_flushed_once_more
            what_is_wanted_now_waits_for_no_delay
            a_failed_job_is_tried_again_and_then_kept_with_its_reason
            an_error_a_panic_a_hang_and_a_blocked_thread_end_as_failures_and_free_their_slot
            a_blocked_thread_keeps_only_its_own_job
            never_more_at_once_than_allowed
            never_more_in_a_window_than_allowed
            who_stops_begins_nothing_and_ends_what_runs
        }
    };
}
