//! The decisions of the embedded queue, without a clock.

use std::collections::HashMap;

use origin::flush::{FlushSettings, JobState, embedded::Jobs};
use proptest::prelude::*;
use shared::id::RoomId;

use super::room;

fn jobs() -> Jobs {
    Jobs::new(FlushSettings::default())
}

#[test]
fn a_room_asked_for_again_while_it_waits_has_one_job() {
    let mut jobs = jobs();
    jobs.request(&room(1), 0);
    jobs.request(&room(1), 3000);
    assert_eq!((jobs.take_due(4999), jobs.next_due(4999)), (vec![], Some(5000)));
    assert_eq!(jobs.state(&room(1), 4999), Some(JobState::Delayed));
    assert_eq!(jobs.state(&room(1), 5000), Some(JobState::Waiting));
    assert_eq!(jobs.take_due(5000), [room(1)]);
    assert_eq!(jobs.state(&room(1), 5000), Some(JobState::Active));
    jobs.finished(&room(1), Ok(()), 5100);
    assert_eq!((jobs.state(&room(1), 5100), jobs.next_due(5100)), (None, None));
}

#[test]
fn a_room_asked_for_while_it_is_flushed_is_flushed_once_more() {
    let mut jobs = jobs();
    jobs.request_now(&room(1), 0);
    assert_eq!(jobs.take_due(0), [room(1)]);
    jobs.request(&room(1), 100);
    jobs.request(&room(1), 200);
    assert_eq!(jobs.take_due(9000), [], "never twice at once");
    jobs.finished(&room(1), Ok(()), 9000);
    assert_eq!(jobs.take_due(9000), [room(1)]);
    jobs.request(&room(1), 9100);
    jobs.request_now(&room(1), 9200);
    jobs.finished(&room(1), Ok(()), 9300);
    assert_eq!(jobs.take_due(9300), [room(1)]);
    jobs.finished(&room(1), Ok(()), 9400);
    assert_eq!(jobs.take_due(u64::MAX / 2), []);
}

#[test]
fn a_failed_job_is_tried_five_times_with_doubled_pauses_and_stays_visible() {
    let mut jobs = jobs();
    jobs.request_now(&room(1), 0);
    let mut now = 0;
    for (attempt, pause) in [1000, 2000, 4000, 8000].into_iter().enumerate() {
        assert_eq!(jobs.take_due(now), [room(1)], "attempt {attempt}");
        jobs.finished(&room(1), Err(format!("attempt {attempt}")), now);
        assert_eq!(jobs.last_reason(&room(1)), Some(&*format!("attempt {attempt}")));
        assert_eq!(jobs.take_due(now + pause - 1), []);
        now += pause;
    }
    assert_eq!(jobs.take_due(now), [room(1)]);
    jobs.finished(&room(1), Err("the last".to_owned()), now);
    assert_eq!((jobs.next_due(now), jobs.state(&room(1), now)), (None, None));
    let failed = jobs.failed();
    assert_eq!((failed.len(), failed[0].attempts, &*failed[0].reason), (1, 5, "the last"));

    jobs.request_now(&room(1), now);
    assert_eq!(jobs.take_due(now), [room(1)]);
    jobs.finished(&room(1), Err("again".to_owned()), now);
    assert_eq!(jobs.failed().len(), 1, "visible until it succeeds");
    assert_eq!(jobs.take_due(now + 1000), [room(1)], "with all its attempts again");
    jobs.finished(&room(1), Ok(()), now + 1000);
    assert_eq!(jobs.failed(), []);
}

#[test]
fn a_failure_does_not_swallow_what_was_asked_for_meanwhile() {
    let mut jobs = Jobs::new(FlushSettings { attempts: 1, ..FlushSettings::default() });
    jobs.request_now(&room(1), 0);
    assert_eq!(jobs.take_due(0), [room(1)]);
    jobs.request(&room(1), 10);
    jobs.finished(&room(1), Err("no".to_owned()), 20);
    assert_eq!(jobs.take_due(5010), [room(1)]);
}

#[test]
fn the_window_opens_again_when_it_has_passed() {
    let mut jobs = Jobs::new(FlushSettings { concurrency: 100, ..FlushSettings::default() });
    (0..25).for_each(|n| jobs.request_now(&room(n), 50_000));
    let taken: Vec<_> = [50_000, 50_001, 59_999, 60_000, 70_000].map(|now| jobs.take_due(now).len()).into();
    assert_eq!(taken, [10, 0, 0, 10, 5]);
    (25..40).for_each(|n| jobs.request_now(&room(n), 70_001));
    assert_eq!(jobs.take_due(70_001), (25..30).map(room).collect::<Vec<_>>(), "first come, first served");
    assert_eq!(jobs.next_due(70_001), Some(80_000));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_three_at_once_nor_ten_per_window_and_everybody_comes_through(
        asked in prop::collection::vec((0usize..40, 0u64..30_000, any::<bool>()), 1..80),
        lengths in prop::collection::vec(1u64..3000, 1..20),
        failures in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let mut jobs = jobs();
        let mut asked = asked;
        asked.sort_by_key(|(_, at, _)| *at);
        let mut last_asked: HashMap<usize, u64> = HashMap::new();
        let mut last_begun: HashMap<RoomId, u64> = HashMap::new();
        let mut running: Vec<(u64, RoomId)> = Vec::new();
        let mut begun: Vec<u64> = Vec::new();
        let mut now = 0;
        let mut turn = 0;
        while now < 600_000 {
            for (n, _, at_once) in asked.extract_if(.., |(_, at, _)| *at <= now) {
                if at_once { jobs.request_now(&room(n), now) } else { jobs.request(&room(n), now) }
                last_asked.insert(n, now);
            }
            for (_, done) in running.extract_if(.., |(end, _)| *end <= now) {
                turn += 1;
                let failed = failures[turn % failures.len()] && turn % 5 != 0;
                jobs.finished(&done, if failed { Err("no".to_owned()) } else { Ok(()) }, now);
            }
            for taken in jobs.take_due(now) {
                prop_assert!(!running.iter().any(|(_, other)| *other == taken));
                last_begun.insert(taken.clone(), now);
                running.push((now + lengths[begun.len() % lengths.len()], taken));
                begun.push(now);
            }
            prop_assert!(running.len() <= 3);
            let next = [jobs.next_due(now), running.iter().map(|(end, _)| *end).min(), asked.first().map(|a| a.1)];
            let Some(next) = next.into_iter().flatten().min() else { break };
            now = next.max(now + 1);
        }
        prop_assert!(running.is_empty() && asked.is_empty());
        for (n, at) in last_asked {
            prop_assert!(last_begun[&room(n)] >= at, "room {} was forgotten", n);
        }
        let mut window = (begun.first().copied().unwrap_or(0), 0);
        for at in begun {
            if at >= window.0 + 10_000 {
                window = (at, 0);
            }
            window.1 += 1;
            prop_assert!(window.1 <= 10, "{} in the window from {}", window.1, window.0);
        }
    }
}
