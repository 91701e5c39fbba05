//! What every flush queue must do; each test is run against every queue. The numbers of the embedded one in simulated
//! time, and what only BullMQ can do, have files of their own.

#[macro_use]
mod suite;
mod queues;
mod rig;
mod jobs;
mod bull;

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use origin::flush::{Depth, FlushSettings, JobState};
use shared::id::RoomId;
use tokio::time::timeout;

use self::{
    queues::Queues,
    rig::{Rig, reason},
};
use crate::support::redis::until;

mod embedded_contract {
    contract_of!(embedded);
}

mod redis_contract {
    contract_of!(redis);
}

mod cluster_contract {
    contract_of!(cluster);
}

fn room(n: usize) -> RoomId {
    RoomId::parse(&format!("r{n}")).unwrap()
}

/// Numbers that keep nobody waiting.
fn quick() -> FlushSettings {
    FlushSettings {
        delay_ms: 300,
        concurrency: 3,
        limit: 1000,
        window_ms: 1000,
        attempts: 3,
        backoff_ms: 20,
        timeout_ms: 60_000,
    }
}

async fn a_room_asked_for_again_while_it_waits_has_one_job(queues: Queues) {
    let rig = Rig::new(&queues, FlushSettings { delay_ms: 3_600_000, ..quick() }).await;
    rig.queue.ensure(&room(1)).await.unwrap();
    for _ in 0..5 {
        rig.queue.request(&room(1));
        rig.queue.ensure(&room(1)).await.unwrap();
    }
    assert_eq!(rig.queue.job(&room(1)).await.unwrap(), Some(JobState::Delayed));
    assert_eq!(rig.queue.depth().await.unwrap(), Depth { delayed: 1, ..Depth::default() });
    rig.queue.request_now(&room(1));
    let running = rig.run(|_, _| Ok(()));
    rig.until_idle().await;
    assert_eq!(rig.begun(), [room(1)]);
    running.stop().await;
}

async fn a_room_asked_for_while_it_is_flushed_is_flushed_once_more(queues: Queues) {
    let rig = Rig::new(&queues, quick()).await;
    rig.gate.close();
    rig.queue.request_now(&room(1));
    let running = rig.run(|_, _| Ok(()));
    until(async || rig.begun().len() == 1).await;
    assert_eq!(rig.queue.job(&room(1)).await.unwrap(), Some(JobState::Active));
    for _ in 0..3 {
        rig.queue.ensure(&room(1)).await.unwrap();
    }
    assert_eq!(rig.queue.depth().await.unwrap().active, 1, "never twice at once");
    rig.gate.open();
    until(async || rig.begun().len() == 2).await;
    rig.until_idle().await;
    assert_eq!(rig.begun(), [room(1), room(1)]);
    running.stop().await;
}

async fn what_is_wanted_now_waits_for_no_delay(queues: Queues) {
    let rig = Rig::new(&queues, FlushSettings { delay_ms: 3_600_000, ..quick() }).await;
    let running = rig.run(|_, _| Ok(()));
    rig.queue.ensure(&room(1)).await.unwrap();
    assert_eq!(rig.queue.job(&room(1)).await.unwrap(), Some(JobState::Delayed));
    rig.queue.request_now(&room(1));
    until(async || rig.begun() == [room(1)]).await;
    rig.until_idle().await;
    rig.queue.request_now(&room(2));
    until(async || rig.begun() == [room(1), room(2)]).await;

    rig.gate.close();
    rig.queue.request_now(&room(3));
    until(async || rig.begun().len() == 3).await;
    rig.queue.request_now(&room(3));
    rig.gate.open();
    until(async || rig.begun().len() == 4).await;
    running.stop().await;
}

async fn a_failed_job_is_tried_again_and_then_kept_with_its_reason(queues: Queues) {
    let rig = Rig::new(&queues, quick()).await;
    rig.queue.request_now(&room(1));
    let running = rig.run(|_, nth| if nth < 4 { Err(format!("the archive is away {nth}")) } else { Ok(()) });
    until(async || rig.queue.depth().await.unwrap().failed == 1).await;
    let failed = rig.queue.failed().await.unwrap();
    let why = reason("the archive is away 3");
    assert_eq!((&failed[0].room, failed[0].attempts, &failed[0].reason), (&room(1), 3, &why));
    assert_eq!((rig.begun().len(), rig.queue.job(&room(1)).await.unwrap()), (3, None));

    rig.queue.ensure(&room(1)).await.unwrap();
    until(async || rig.begun().len() == 4).await;
    rig.until_idle().await;
    running.stop().await;
}

async fn an_error_a_panic_a_hang_and_a_blocked_thread_end_as_failures_and_free_their_slot(queues: Queues) {
    let settings = FlushSettings { attempts: 1, concurrency: 1, timeout_ms: 2000, ..quick() };
    let rig = Rig::new(&queues, settings).await;
    let blocked = rig.blocked.clone();
    let running = rig.run_guarded(move |which: RoomId| {
        let blocked = blocked.clone();
        async move {
            match which.as_str() {
                "r1" => Err("the archive is away".to_owned()),
                "r2" => panic!("a broken document"),
                "r3" => std::future::pending().await,
                "r4" => {
                    blocked.wait();
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    });
    for n in 1..=5 {
        rig.queue.ensure(&room(n)).await.unwrap();
        rig.queue.request_now(&room(n));
    }
    until(async || rig.done.load(Relaxed) == 5 && rig.queue.depth().await.unwrap().failed == 4).await;
    assert!(rig.begun().contains(&room(5)));
    let mut failed = rig.queue.failed().await.unwrap();
    failed.sort_by(|a, b| a.room.cmp(&b.room));
    let reasons: Vec<_> = failed.iter().map(|job| &*job.reason).collect();
    let late = "not finished after 2000 ms";
    assert_eq!(reasons, [&reason("the archive is away"), "panicked: a broken document", late, late]);
    rig.blocked.wait();
    running.stop().await;
}

async fn a_blocked_thread_keeps_only_its_own_job(queues: Queues) {
    let rig = Rig::new(&queues, FlushSettings { timeout_ms: 60_000, ..quick() }).await;
    let blocked = rig.blocked.clone();
    for n in 1..=9 {
        rig.queue.request_now(&room(n));
    }
    until(async || rig.queue.depth().await.unwrap().waiting == 9).await;
    let running = rig.run_guarded(move |which: RoomId| {
        let blocked = blocked.clone();
        async move {
            if which == room(2) {
                blocked.wait();
            }
            Ok(())
        }
    });
    until(async || rig.done.load(Relaxed) == 8).await;
    until(async || rig.queue.depth().await.unwrap() == Depth { active: 1, ..Depth::default() }).await;
    rig.blocked.wait();
    rig.until_idle().await;
    running.stop().await;
}

async fn never_more_at_once_than_allowed(queues: Queues) {
    let rig = Rig::new(&queues, quick()).await;
    rig.gate.close();
    for n in 0..12 {
        rig.queue.request_now(&room(n));
    }
    until(async || rig.queue.depth().await.unwrap().waiting == 12).await;
    let running = rig.run(|_, _| Ok(()));
    let three = Depth { waiting: 9, active: 3, ..Depth::default() };
    until(async || rig.queue.depth().await.unwrap() == three && rig.begun().len() == 3).await;
    rig.gate.open();
    rig.until_idle().await;
    let mut begun = rig.begun();
    begun.sort();
    begun.dedup();
    assert_eq!((begun.len(), rig.most.load(Relaxed)), (12, 3));
    running.stop().await;
}

async fn never_more_in_a_window_than_allowed(queues: Queues) {
    let settings = FlushSettings { limit: 5, window_ms: 3_600_000, ..quick() };
    let rig = Rig::new(&queues, settings).await;
    for n in 0..12 {
        rig.queue.request_now(&room(n));
    }
    let running = rig.run(|_, _| Ok(()));
    let limited = Depth { waiting: 7, ..Depth::default() };
    until(async || rig.queue.depth().await.unwrap() == limited).await;
    assert_eq!(rig.begun().len(), 5);
    running.stop().await;
    assert_eq!((rig.begun().len(), rig.queue.depth().await.unwrap()), (5, limited));
}

async fn who_stops_begins_nothing_and_ends_what_runs(queues: Queues) {
    let rig = Rig::new(&queues, FlushSettings { concurrency: 1, ..quick() }).await;
    rig.gate.close();
    rig.queue.request_now(&room(1));
    let running = rig.run(|_, _| Ok(()));
    until(async || rig.begun().len() == 1).await;
    rig.queue.request_now(&room(2));
    until(async || rig.queue.depth().await.unwrap().waiting == 1).await;
    let stopping = running.stop();
    tokio::pin!(stopping);
    assert!(timeout(Duration::from_millis(800), &mut stopping).await.is_err(), "it did not wait");
    rig.gate.open();
    stopping.await;
    let left = Depth { waiting: 1, ..Depth::default() };
    assert_eq!((rig.begun(), rig.queue.depth().await.unwrap()), (vec![room(1)], left));
}
