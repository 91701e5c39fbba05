//! What an origin does not hear of what another has logged: it finds out, reads the log, and every member ends equal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use origin::redis::Fault;
use redis::Value;

use super::{flags, start};
use crate::{
    room_store_contract::setup::any_room,
    support::{
        Client, TestOrigin,
        proxy::{Harm, Proxy},
        redis::{Redis, until, with_user},
    },
};

const FILE: &str = "a.txt";
const BACKFILLS: &str = "edgeroom_backfills_total";
const WORDS: usize = 30;

/// Two members at two origins, each with the file open.
async fn members(origins: &[TestOrigin; 2], room: &str) -> [Client; 2] {
    let mut members = [origins[0].client(room).await, origins[1].client(room).await];
    for member in &mut members {
        member.open(FILE).await;
    }
    members
}

/// Both type; in the middle something happens; both end with all of it, and it is in the log.
async fn type_through(origins: &[TestOrigin; 2], room: &str, happens: impl AsyncFnOnce()) {
    let mut members = members(origins, room).await;
    type_words(&mut members, 0).await;
    all_have(&mut members, 2 * WORDS).await;
    happens().await;
    // First the second one only reads: no own change behind an unheard one tells that something was missed.
    members[0].append(FILE, "alone;").await;
    members[1].until(|member| member.text(FILE).contains("alone;")).await;
    type_words(&mut members, 1).await;
    all_have(&mut members, 2 * 2 * WORDS + 1).await;
    let texts = members.map(|member| member.text(FILE));
    assert_eq!(texts[0], texts[1]);
    for origin in origins {
        let logged = origin.get(&format!("/api/v1/shards/{room}/files/{FILE}")).await.text;
        assert_eq!(logged, texts[0], "what the members saw is logged");
    }
}

/// Waits until everybody has so many words and nothing is on its way.
async fn all_have(members: &mut [Client; 2], words: usize) {
    for member in members {
        member.saved(FILE).await;
        member.until(|member| member.text(FILE).split_inclusive(';').count() == words).await;
    }
}

async fn type_words(members: &mut [Client; 2], part: usize) {
    for word in 0..WORDS {
        for (at, member) in members.iter_mut().enumerate() {
            member.append(FILE, &format!("{part}-{at}-{word};")).await;
        }
        // Some batches, not one.
        if word % 5 == 0 {
            for member in members.iter_mut() {
                member.saved(FILE).await;
            }
        }
    }
}

async fn backfills(origins: &[TestOrigin; 2]) -> [u64; 2] {
    [origins[0].counted(BACKFILLS).await, origins[1].counted(BACKFILLS).await]
}

/// Waits until so many are counted: the members have the text before the metric is written.
async fn until_backfilled(origin: &TestOrigin, least: u64) {
    until(async || origin.counted(BACKFILLS).await >= least).await;
}

async fn stop(origins: [TestOrigin; 2]) {
    for origin in origins {
        origin.stop().await;
    }
}

#[tokio::test]
async fn a_healthy_run_needs_no_backfill() {
    let server = Redis::start(&[]).await;
    let flags = flags(&server, &[]).await;
    let origins = [start(&flags).await, start(&flags).await];
    type_through(&origins, any_room().as_str(), async || {}).await;
    assert_eq!(backfills(&origins).await, [0, 0]);
    stop(origins).await;
}

#[tokio::test]
async fn a_killed_subscriber_costs_a_backfill_and_no_text() {
    let server = Redis::start(&[]).await;
    let flags = flags(&server, &[]).await;
    let origins = [start(&flags).await, start(&flags).await];
    let kill = async || {
        let killed: Value = server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(killed, Value::Int(2));
    };
    type_through(&origins, any_room().as_str(), kill).await;
    for origin in &origins {
        until_backfilled(origin, 1).await;
    }
    stop(origins).await;
}

/// Loses the changes that the room hears as one of these.
fn loses(room: &str, lost: &'static [usize]) -> Fault {
    let (channel, count) = (format!("c:{{{room}}}:ch"), AtomicUsize::new(0));
    Arc::new(move |heard, message| {
        heard == channel && message.starts_with(b"\x01U") && lost.contains(&count.fetch_add(1, Relaxed))
    })
}

#[tokio::test]
async fn dropped_messages_are_found_by_the_next_one_and_the_last_one_by_the_probe() {
    let server = Redis::start(&[]).await;
    let flags = flags(&server, &["--subscriber-probe-ms=200"]).await;
    let room = any_room();
    let borrowed: Vec<&str> = flags.iter().map(String::as_str).collect();
    let lossy = TestOrigin::start_losing(loses(room.as_str(), &[1, 2, 7]), &borrowed).await;
    let origins = [start(&flags).await, lossy];
    type_through(&origins, room.as_str(), async || {}).await;
    until_backfilled(&origins[1], 2).await;
    assert_eq!(origins[0].counted(BACKFILLS).await, 0);
    stop(origins).await;

    // Nothing follows that would show the gap.
    let room = any_room();
    let lossy = TestOrigin::start_losing(loses(room.as_str(), &[0]), &borrowed).await;
    let origins = [start(&flags).await, lossy];
    let [mut ada, mut ben] = members(&origins, room.as_str()).await;
    ada.append(FILE, "the last words before silence").await;
    ada.saved(FILE).await;
    ben.until(|ben| ben.text(FILE) == "the last words before silence").await;
    until_backfilled(&origins[1], 1).await;
    assert_eq!(backfills(&origins).await, [0, 1]);
    drop((ada, ben));
    stop(origins).await;
}

#[tokio::test]
async fn a_subscriber_that_is_ten_seconds_behind_holds_nobody_up() {
    let server = Redis::start(&[]).await;
    let proxy = Proxy::start(([127, 0, 0, 1], server.port()).into()).await;
    proxy.record();
    let near = flags(&server, &[]).await;
    let through = with_user(&server.url())
        .await
        .replace(&format!("127.0.0.1:{}", server.port()), &proxy.address().to_string());
    let far = flags(
        &server,
        &[&format!("--redis-url={through}"), "--subscriber-probe-ms=500", "--redis-deadline-ms=2000"],
    )
    .await;
    // The later flag wins.
    let far: Vec<String> = far.into_iter().skip(1).collect();
    let origins = [start(&near).await, start(&far).await];
    let slow = async || {
        let listens = |said: &Vec<u8>| said.windows(9).any(|words| words == b"SUBSCRIBE");
        let subscriber = proxy.recorded().iter().position(listens).unwrap();
        proxy.harm(subscriber, Harm::Delay(Duration::from_secs(10)));
    };
    type_through(&origins, any_room().as_str(), slow).await;
    until_backfilled(&origins[1], 1).await;
    stop(origins).await;
}
