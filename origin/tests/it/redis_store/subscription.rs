//! The subscriber: whatever it may have missed, whoever listens is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use origin::{
    redis::Fault,
    store::{Entry, Leases, Published, RoomLog, SUBSCRIBER_QUEUE, Subscriptions, redis::RedisStore},
};
use redis::Value;
use shared::{id::RoomId, position::Position};
use tokio::sync::mpsc;

use super::{a_while, after, next, until_it_ends};
use crate::{
    room_store_contract::setup::{LEASE, any_room, base, batch, populate, texts, update},
    support::{
        PATIENCE,
        proxy::{Harm, Proxy},
        redis::{Cluster, Redis, SOON, open, open_with, shared_store, shared_url, until},
    },
};

/// Drops the changes that a room hears as the `n`th.
fn loses(room: &RoomId, n: usize) -> Fault {
    let (channel, count) = (format!("c:{{{room}}}:ch"), AtomicUsize::new(0));
    Arc::new(move |heard, message| {
        heard == channel && message.starts_with(b"\x01U") && count.fetch_add(1, Relaxed) + 1 == n
    })
}

/// The receiver ends, what it may have missed is in the log, and a new one hears what `writer` logs next.
async fn assert_comes_back(
    store: &RedisStore,
    writer: &RedisStore,
    room: &RoomId,
    start: Position,
    heard: &mut mpsc::Receiver<Published>,
) {
    until_it_ends(heard).await;
    let mut heard = store.subscribe(room).await.unwrap();
    assert_eq!(after(store, room, start).await, ["a"]);
    writer.append(room, start.epoch, batch("o3", 1, vec![update(1, "b")])).await.unwrap();
    let Some(Published::Changes(_, changes)) = next(&mut heard).await else { panic!("not heard") };
    assert_eq!(texts(&changes), ["b"]);
}

#[tokio::test]
async fn a_killed_subscriber_comes_back_and_lets_go_of_who_may_have_missed_something() {
    let redis = Redis::start(&[]).await;
    let store = open(&redis.url()).store;
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1)]).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    redis.ask::<Value>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    store.append(&room, start.epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    assert_comes_back(&store, &store, &room, start, &mut heard).await;
}

#[tokio::test]
async fn a_black_hole_is_noticed_by_the_probe() {
    let redis = Redis::start(&[]).await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let opened = open_with(&format!("redis://{}", proxy.address()), SOON, None);
    let (store, elsewhere) = (opened.store, open(&redis.url()).store);
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1)]).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    proxy.harm_those_here(Harm::BlackHole);
    elsewhere.append(&room, start.epoch, batch("o2", 1, vec![update(1, "a")])).await.unwrap();
    assert_comes_back(&store, &elsewhere, &room, start, &mut heard).await;
}

#[tokio::test]
async fn the_end_of_any_one_connection_hides_nothing() {
    let redis = Redis::start(&[]).await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let opened = open_with(&format!("redis://{}", proxy.address()), SOON, None);
    let (store, elsewhere) = (opened.store, open(&redis.url()).store);
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1)]).await;
    until(async || opened.connections.states().iter().all(|state| state.up)).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    let mut known = 0;
    for (connection, harm) in (0..3).flat_map(|n| [(n, Harm::BlackHole), (n, Harm::Cut)]) {
        proxy.harm(connection, harm);
        let logged = elsewhere.append(&room, start.epoch, batch("o2", known + 1, vec![update(1, "a")])).await;
        let seq = logged.unwrap()[0].seq;
        while known < seq {
            match next(&mut heard).await {
                Some(Published::Changes(_, changes)) => known = changes[0].seq,
                Some(other) => panic!("{other:?}"),
                None => {
                    heard = store.subscribe(&room).await.unwrap();
                    until(async || store.names(&room).await.is_ok()).await;
                    known = after(&*store, &room, start).await.len() as u64;
                }
            }
        }
    }
    assert!(proxy.connections() > 3, "none was made again");
}

#[tokio::test]
async fn half_closed_and_slow_connections_lose_nothing_unseen() {
    let redis = Redis::start(&[]).await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let store = open(&format!("redis://{}", proxy.address())).store;
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1)]).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    proxy.harm_those_here(Harm::HalfClose);
    until_it_ends(&mut heard).await;
    until(async || store.names(&room).await.is_ok()).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    proxy.harm_those_here(Harm::Delay(Duration::from_millis(100)));
    store.append(&room, start.epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    let Some(Published::Changes(_, changes)) = next(&mut heard).await else { panic!("not heard") };
    assert_eq!(texts(&changes), ["a"]);
}

#[tokio::test]
async fn a_message_that_is_missing_in_the_middle_ends_the_subscription() {
    let room = any_room();
    let store = open_with(&shared_url().await, PATIENCE, Some(loses(&room, 2))).store;
    let start = populate(&*store, &room, vec![base(1)]).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    for (number, text) in [(1, "a"), (2, "b"), (3, "c")] {
        store.append(&room, start.epoch, batch("o1", number, vec![update(1, text)])).await.unwrap();
    }
    let Some(Published::Changes(_, changes)) = next(&mut heard).await else { panic!("not heard") };
    assert_eq!(texts(&changes), ["a"]);
    assert_eq!(next(&mut heard).await, None, "what follows a gap is not passed on");
    assert_eq!(after(&*store, &room, start).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn the_last_message_before_a_silence_is_missed_by_looking_not_by_a_gap() {
    let room = any_room();
    let store = open_with(&shared_url().await, PATIENCE, Some(loses(&room, 2))).store;
    let start = populate(&*store, &room, vec![base(1)]).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    for (number, text) in [(1, "a"), (2, "b")] {
        store.append(&room, start.epoch, batch("o1", number, vec![update(1, text)])).await.unwrap();
    }
    // Notes say nothing about the log, so they do not break the silence.
    let notes = async {
        loop {
            store.announce(&room, Bytes::from_static(b"{}")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = notes => {}
        () = until_it_ends(&mut heard) => {}
    }
}

#[tokio::test]
async fn a_quiet_room_of_which_nothing_was_missed_is_heard_on() {
    let store = shared_store().await.store;
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1)]).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    for number in 1..=3 {
        // Longer than the silence after which the room is looked at.
        tokio::time::sleep(Duration::from_millis(500)).await;
        store.append(&room, start.epoch, batch("o1", number, vec![update(1, "a")])).await.unwrap();
        assert!(matches!(next(&mut heard).await, Some(Published::Changes(..))));
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_read_is_let_go_and_holds_nobody_up() {
    let store = shared_store().await.store;
    let (slow, quick) = (any_room(), any_room());
    let epoch = populate(&*store, &slow, vec![base(1)]).await.epoch;
    let other = populate(&*store, &quick, vec![base(1)]).await.epoch;
    let mut unread = store.subscribe(&slow).await.unwrap();
    let mut read = store.subscribe(&quick).await.unwrap();
    for number in 1..=SUBSCRIBER_QUEUE as u64 + 50 {
        store.append(&slow, epoch, batch("o1", number, vec![update(1, "a")])).await.unwrap();
    }
    store.append(&quick, other, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    assert!(matches!(next(&mut read).await, Some(Published::Changes(..))));
    a_while().await;
    let mut seqs = Vec::new();
    while let Some(Published::Changes(_, changes)) = next(&mut unread).await {
        seqs.extend(changes.iter().map(|entry| entry.seq));
    }
    assert!(seqs.len() <= SUBSCRIBER_QUEUE + 20, "{}", seqs.len());
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "what was passed on has no gap");
}

#[tokio::test]
async fn a_change_too_large_to_be_published_is_read_from_the_log() {
    let store = shared_store().await.store;
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let mut heard = store.subscribe(&room).await.unwrap();
    let large = Entry { bytes: Bytes::from(vec![7; 300_000]), ..update(1, "") };
    let entries = vec![update(1, "a"), large.clone(), update(1, "b")];
    store.append(&room, epoch, batch("o1", 1, entries)).await.unwrap();
    let Some(Published::Changes(_, changes)) = next(&mut heard).await else { panic!("not heard") };
    assert_eq!(changes.len(), 3);
    assert_eq!((&changes[1].bytes, changes[1].seq), (&large.bytes, 2));
}

#[tokio::test]
async fn a_channel_that_nobody_hears_any_more_is_given_back() {
    let redis = Redis::start(&[]).await;
    let store = open(&redis.url()).store;
    let room = any_room();
    let channel = format!("c:{{{room}}}:ch");
    let listeners = async || redis.ask::<(String, u64)>(&["PUBSUB", "NUMSUB", &channel]).await.1;
    let heard = store.subscribe(&room).await.unwrap();
    assert_eq!(listeners().await, 1);
    drop(heard);
    until(async || listeners().await == 0).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    store.announce(&room, Bytes::from_static(b"{}")).await.unwrap();
    assert!(matches!(next(&mut heard).await, Some(Published::Note(_))));
}

#[tokio::test]
async fn connections_say_whether_they_are_up_and_are_closed_together() {
    let mut redis = Redis::start(&[]).await;
    let opened = open(&redis.url());
    let up = async |up: bool| opened.connections.states().iter().all(|state| state.up == up);
    until(async || up(true).await).await;
    let names: Vec<String> = opened.connections.states().into_iter().map(|state| state.name).collect();
    assert_eq!(names, ["redis-bulk", "redis-commands", "redis-subscriber"]);
    redis.kill();
    until(async || up(false).await).await;
    redis.revive().await;
    until(async || up(true).await).await;
    let heard = opened.store.subscribe(&any_room()).await.unwrap();
    assert!(opened.connections.close_all(PATIENCE).await);
    assert_eq!(opened.connections.states(), []);
    assert!(heard.is_closed() || heard.is_empty());
    let clients: String = redis.ask(&["CLIENT", "LIST"]).await;
    assert_eq!(clients.lines().count(), 1, "only the one that asks: {clients}");
}

/// The client's own subscriptions do not survive this.
#[tokio::test]
async fn a_slot_that_moves_to_another_node_takes_its_listeners_along() {
    let cluster = Cluster::start();
    let store = open(&cluster.url().await).store;
    let room = any_room();
    let mut heard = store.subscribe(&room).await.unwrap();
    let nodes = cluster.nodes().await;
    let tag = room.to_string();
    let slot: u64 = nodes[0].ask(&["CLUSTER", "KEYSLOT", &tag]).await;
    let slot = slot.to_string();
    let mut owner = 0;
    for (number, node) in nodes.iter().enumerate() {
        if node.hears(&room).await {
            owner = number;
        }
    }
    let new = &nodes[(owner + 1) % 3];
    for node in [new, &nodes[owner], &nodes[(owner + 2) % 3]] {
        node.ask::<Value>(&["CLUSTER", "SETSLOT", &slot, "NODE", &new.id]).await;
    }
    until_it_ends(&mut heard).await;
    let mut heard = store.subscribe(&room).await.unwrap();
    while !new.hears(&room).await {
        // The client has asked before all nodes agreed.
        until_it_ends(&mut heard).await;
        heard = store.subscribe(&room).await.unwrap();
    }
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    assert_eq!(next(&mut heard).await, Some(Published::Epoch(epoch)));
    store.join(&room, "o1", LEASE).await.unwrap();
}
