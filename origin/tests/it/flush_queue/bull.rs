//! What only the shared queue can do, and what must not happen to it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use origin::flush::{
    Depth, FlushQueue, FlushSettings, JobState, QueueError,
    bullmq::{BullQueue, BullSettings},
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{
    queues::{bull, settings},
    quick,
    rig::{Rig, reason},
    room,
};
use crate::support::{
    PATIENCE,
    proxy::{Harm, Proxy},
    redis::{Redis, ask, shared_server, shared_url, until, with_user},
};

/// A queue on the shared server, and how its keys begin.
async fn shared(flush: FlushSettings) -> (Rig, BullSettings, String) {
    let settings = settings(&shared_url().await, flush);
    let keys = format!("bull:{}:", settings.name);
    (Rig::with(bull(settings.clone()).0, flush), settings, keys)
}

async fn field(key: &str, name: &str) -> Option<String> {
    ask(&shared_server(), &["HGET", key, name]).await
}

/// Another process with the same queue.
fn another(settings: &BullSettings) -> Arc<BullQueue> {
    bull(BullSettings { worker: "w2".to_owned(), ..settings.clone() }).0
}

#[tokio::test]
async fn the_reason_of_an_attempt_is_on_the_job_while_it_waits_for_the_next() {
    let (rig, _, keys) = shared(FlushSettings { backoff_ms: 3_600_000, ..quick() }).await;
    rig.queue.request_now(&room(1));
    let running = rig.run(|_, nth| Err(format!("no majority {nth}")));
    until(async || {
        rig.queue.job(&room(1)).await.unwrap() == Some(JobState::Delayed) && !rig.begun().is_empty()
    })
    .await;
    let job = keys + "1";
    let (first, second) = (reason("no majority 1"), reason("no majority 2"));
    assert_eq!(field(&job, "failedReason").await, Some(first.clone()));
    assert_eq!(field(&job, "stacktrace").await, Some(format!(r#"["attempt 1: {first}"]"#)));
    rig.queue.request_now(&room(1));
    until(async || field(&job, "failedReason").await.as_deref() == Some(&second)).await;
    let both = format!(r#"["attempt 1: {first}","attempt 2: {second}"]"#);
    assert_eq!(field(&job, "stacktrace").await, Some(both));
    running.stop().await;
}

#[tokio::test]
async fn a_job_says_how_often_it_is_tried_and_how_long_it_is_kept() {
    let (rig, _, keys) = shared(FlushSettings { delay_ms: 700, ..quick() }).await;
    rig.queue.ensure(&room(1)).await.unwrap();
    let job = keys + "1";
    assert_eq!(field(&job, "name").await.as_deref(), Some("flush-room"));
    assert_eq!(field(&job, "data").await.as_deref(), Some(r#"{"room":"r1"}"#));
    let options: serde_json::Value = serde_json::from_str(&field(&job, "opts").await.unwrap()).unwrap();
    assert_eq!(options["attempts"], 3);
    assert_eq!(options["delay"], 700);
    assert_eq!(options["backoff"], serde_json::json!({ "type": "exponential", "delay": 20 }));
    assert_eq!(options["removeOnComplete"], serde_json::json!({ "age": 3600, "count": 1000 }));
    assert_eq!(options["removeOnFail"], serde_json::json!({ "age": 604_800, "count": 5000 }));
}

#[tokio::test]
async fn a_job_waits_twice_as_long_after_each_attempt() {
    let flush = FlushSettings { attempts: 4, backoff_ms: 200, ..quick() };
    let (rig, _, keys) = shared(flush).await;
    rig.queue.request_now(&room(1));
    let running = rig.run(|_, _| Err("the archive is away".to_owned()));
    until(async || rig.queue.depth().await.unwrap().failed == 1).await;
    let events: Vec<(String, HashMap<String, String>)> =
        ask(&shared_server(), &["XRANGE", &(keys + "events"), "-", "+"]).await;
    let delayed = events.iter().filter(|(_, event)| event["event"] == "delayed");
    let due: Vec<u64> = delayed.map(|(_, event)| event["delay"].parse().unwrap()).collect();
    // Each attempt begins when it is due, or later.
    let pauses: Vec<u64> = due.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.len() == 2 && pauses[0] >= 400 && pauses[1] >= 800, "{due:?}");
    running.stop().await;
}

#[tokio::test]
async fn two_workers_together_keep_the_numbers() {
    let flush = FlushSettings { limit: 8, window_ms: 3_600_000, ..quick() };
    let (rig, settings, keys) = shared(flush).await;
    let other = Rig::with(another(&settings), flush);
    rig.gate.close();
    other.gate.close();
    for n in 0..20 {
        rig.queue.request_now(&room(n));
    }
    until(async || rig.queue.depth().await.unwrap().waiting == 20).await;
    let (one, two) = (rig.run(|_, _| Ok(())), other.run(|_, _| Ok(())));
    let three = Depth { waiting: 17, active: 3, ..Depth::default() };
    until(async || rig.queue.depth().await.unwrap() == three).await;
    assert_eq!(field(&(keys.clone() + "meta"), "concurrency").await.as_deref(), Some("3"));
    rig.gate.open();
    other.gate.open();
    let limited = Depth { waiting: 12, ..Depth::default() };
    until(async || rig.queue.depth().await.unwrap() == limited).await;
    assert_eq!(rig.begun().len() + other.begun().len(), 8);
    assert_eq!(ask::<String>(&shared_server(), &["GET", &(keys + "limiter")]).await, "8");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn who_empties_the_queue_does_not_free_its_workers_from_the_numbers() {
    let (rig, settings, keys) = shared(quick()).await;
    let other = Rig::with(another(&settings), quick());
    rig.gate.close();
    other.gate.close();
    let (one, two) = (rig.run(|_, _| Ok(())), other.run(|_, _| Ok(())));
    until(async || field(&(keys.clone() + "meta"), "concurrency").await.is_some()).await;
    ask::<u64>(&shared_server(), &["DEL", &(keys.clone() + "meta")]).await;
    until(async || field(&(keys.clone() + "meta"), "concurrency").await.as_deref() == Some("3")).await;
    for n in 0..20 {
        rig.queue.request_now(&room(n));
    }
    let three = Depth { waiting: 17, active: 3, ..Depth::default() };
    until(async || rig.queue.depth().await.unwrap() == three).await;
    rig.gate.open();
    other.gate.open();
    rig.until_idle().await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_job_of_a_worker_that_died_is_done_by_another() {
    let (rig, settings, _) = shared(quick()).await;
    let dying = BullSettings { lock: Duration::from_secs(1), ..settings.clone() };
    // On a runtime of its own, which ends in the middle of the job.
    let dies = move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async move {
            let dying = Rig::with(bull(dying).0, quick());
            dying.gate.close();
            dying.queue.request_now(&room(1));
            let _running = dying.run(|_, _| Ok(()));
            until(async || !dying.begun().is_empty()).await;
            dying.queue.ensure(&room(1)).await.unwrap();
        });
        runtime.shutdown_background();
    };
    TaskTracker::new().spawn_blocking(dies).await.unwrap();
    assert_eq!(rig.queue.job(&room(1)).await.unwrap(), Some(JobState::Active));
    let running = rig.run(|_, _| Ok(()));
    // Once for the one that died, once for what was asked for meanwhile.
    until(async || rig.begun() == [room(1), room(1)]).await;
    rig.until_idle().await;
    running.stop().await;
}

#[tokio::test]
async fn a_job_that_is_none_of_ours_fails_for_good() {
    let (rig, settings, keys) = shared(quick()).await;
    let running = rig.run(|_, _| Ok(()));
    let connection = bullmq::options::RedisConnectionOptions::new().url(shared_server());
    let options = bullmq::QueueOptions::new().connection(connection);
    let foreign = bullmq::Queue::with_options(&settings.name, options).await.unwrap();
    foreign.add("flush-room", serde_json::json!({ "room": "not a room" })).attempts(5).await.unwrap();
    foreign.add("another", serde_json::json!({ "room": "r1" })).attempts(5).await.unwrap();
    until(async || rig.queue.depth().await.unwrap().failed == 2).await;
    let reason = field(&(keys + "1"), "failedReason").await.unwrap();
    assert!(reason.contains("not a job such as flush-room"), "{reason}");
    assert_eq!(rig.begun(), []);
    foreign.add("flush-room", serde_json::json!({ "room": "r1" })).await.unwrap();
    until(async || rig.begun() == [room(1)]).await;
    running.stop().await;
}

#[tokio::test]
async fn what_was_asked_for_while_redis_was_away_is_done_when_it_is_back() {
    let mut redis = Redis::start(&[]).await;
    let own = settings(&with_user(&redis.url()).await, quick());
    let rig = Rig::with(bull(own).0, quick());
    let running = rig.run(|_, _| Ok(()));
    rig.queue.ensure(&room(1)).await.unwrap();
    until(async || rig.begun() == [room(1)]).await;
    redis.kill();
    rig.queue.request(&room(2));
    assert!(matches!(rig.queue.ensure(&room(2)).await, Err(QueueError::Away(_))));
    redis.revive().await;
    with_user(&redis.url()).await;
    until(async || rig.begun() == [room(1), room(2)]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_black_hole_is_noticed_by_who_adds_and_by_who_works() {
    let redis = Redis::start(&[]).await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let own = settings(&format!("redis://{}", proxy.address()), quick());
    let rig = Rig::with(bull(own).0, quick());
    let running = rig.run(|_, _| Ok(()));
    rig.queue.ensure(&room(1)).await.unwrap();
    until(async || rig.begun() == [room(1)]).await;
    // Connections that are made from now on lead to the server.
    proxy.harm_those_here(Harm::BlackHole);
    let asked = async || rig.queue.ensure(&room(2)).await.is_ok();
    until(asked).await;
    let done = async { until(async || rig.begun() == [room(1), room(2)]).await };
    timeout(PATIENCE, done).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn the_last_requests_are_handed_on_when_the_process_ends() {
    let flush = FlushSettings { delay_ms: 3_600_000, ..quick() };
    let settings = settings(&shared_url().await, flush);
    let (queue, connections) = bull(settings.clone());
    queue.ensure(&room(1)).await.unwrap();
    for n in 0..50 {
        queue.request(&room(n));
    }
    assert!(connections.close_all(PATIENCE).await);
    let depth = another(&settings).depth().await.unwrap();
    assert_eq!(depth, Depth { delayed: 50, ..Depth::default() });
}
