//! The server is full, emptied, frozen, killed, replaced by one that lags.

use bytes::Bytes;
use origin::store::{
    Backfill, Base, Entry, FlushAck, Joined, Leases, Left, Published, RoomLog, RoomStore, StoreError,
    Subscriptions, empty_base,
};
use redis::Value;
use shared::position::Epoch;

use super::{after, next, until_it_ends};
use crate::{
    room_store_contract::setup::{
        LEASE, any_room, base, batch, event, file, path, populate, seq_now, texts, update,
    },
    support::{
        proxy::{Harm, Proxy},
        redis::{Redis, SOON, ask, open, open_with, shared_server, shared_store, until},
    },
};

fn large(n: u8, kilobytes: usize) -> Entry {
    Entry { bytes: Bytes::from(vec![b'x'; kilobytes << 10]), ..update(n, "") }
}

#[tokio::test]
async fn a_full_server_refuses_what_needs_room_and_does_what_frees_it() {
    let redis = Redis::start(&[]).await;
    let store = open(&redis.url()).store;
    let (room, other) = (any_room(), any_room());
    let start = populate(&*store, &room, vec![base(1)]).await;
    for number in 1..=20 {
        store.append(&room, start.epoch, batch("o1", number, vec![large(1, 256)])).await.unwrap();
    }
    let memory: String = redis.ask(&["INFO", "memory"]).await;
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let limit = used.trim().parse::<u64>().unwrap() - (1 << 20);
    redis.ask::<Value>(&["CONFIG", "SET", "maxmemory", &limit.to_string()]).await;
    let refused = store.append(&room, start.epoch, batch("o1", 21, vec![update(1, "a")])).await;
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    let claimed = store.claim(&room, start.epoch, &path("new.js"), &file(2)).await;
    assert!(matches!(claimed, Err(StoreError::Full)), "{claimed:?}");
    assert_eq!(seq_now(&*store, &room).await, 20, "refused as a whole");

    assert!(matches!(store.join(&room, "o2", LEASE).await.unwrap(), Joined::Ready(_)), "a lease is renewed");
    assert!(matches!(store.backfill(&room, start).await.unwrap(), Backfill::Changes(..)));
    let Joined::Load(token) = store.join(&other, "o1", LEASE).await.unwrap() else {
        panic!("not the loader")
    };
    assert!(matches!(store.commit(&other, &token, vec![base(1)], 0).await, Err(StoreError::Full)));
    let read = store.read(&room, &file(1)).await.unwrap();
    let last = read.updates.last().unwrap();
    let ack = FlushAck {
        file: file(1),
        read_base_ts: read.base_ts,
        merged_ts: last.ts,
        merged_seq: last.seq,
        state: empty_base(),
    };
    store.ack(&room, start.epoch, ack).await.unwrap();
    // What was read may still be in the buffers of the connection.
    let takes_again =
        async || store.append(&room, start.epoch, batch("o1", 21, vec![update(1, "a")])).await.is_ok();
    until(takes_again).await;
    assert_eq!(store.leave(&room, "o1", start.epoch).await.unwrap(), Left::Members(1));
}

#[tokio::test]
async fn an_emptied_server_is_a_cold_room_and_its_listeners_are_let_go() {
    let redis = Redis::start(&[]).await;
    let store = open(&redis.url()).store;
    let room = any_room();
    let mut heard = store.subscribe(&room).await.unwrap();
    let first = populate(&*store, &room, vec![base(1)]).await;
    store.append(&room, first.epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    redis.ask::<Value>(&["FLUSHALL"]).await;
    until_it_ends(&mut heard).await;
    let late = store.append(&room, first.epoch, batch("o1", 2, vec![update(1, "b")])).await;
    assert!(matches!(late, Err(StoreError::Cold)));

    let mut heard = store.subscribe(&room).await.unwrap();
    let second = populate(&*store, &room, vec![base(1)]).await;
    assert!(second.epoch > first.epoch);
    assert_eq!(next(&mut heard).await, Some(Published::Epoch(second.epoch)));
    let ahead = store.backfill(&room, first).await.unwrap();
    assert_eq!(ahead, Backfill::Reset(second));
}

#[tokio::test]
async fn an_origin_that_lost_its_loaders_token_need_not_wait_for_it_to_expire() {
    let store = shared_store().await.store;
    let room = any_room();
    let Joined::Load(lost) = store.join(&room, "o1", LEASE).await.unwrap() else { panic!("not the loader") };
    let Joined::Load(token) = store.join(&room, "o1", LEASE).await.unwrap() else { panic!("it waits") };
    assert!(matches!(store.commit(&room, &lost, vec![], 0).await, Err(StoreError::Stale)));
    store.commit(&room, &token, vec![base(1)], 0).await.unwrap();
}

#[tokio::test]
async fn a_frozen_server_leaves_the_outcome_open_and_a_repeat_doubles_nothing() {
    let redis = Redis::start(&[]).await;
    let opened = open_with(&redis.url(), SOON, None);
    let (room, store) = (any_room(), opened.store);
    let start = populate(&*store, &room, vec![base(1)]).await;
    redis.freeze();
    let open = store.append(&room, start.epoch, batch("o1", 1, vec![update(1, "a")])).await;
    assert!(matches!(open, Err(StoreError::Failed(_))), "{open:?}");
    until(async || opened.connections.states().iter().all(|state| !state.up)).await;
    redis.thaw();
    until(async || opened.connections.states().iter().all(|state| state.up)).await;
    // The server had it in its socket and has logged it by now, or the repeat is the first that it sees.
    let logged = store.append(&room, start.epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    assert_eq!(logged[0].seq, 1);
    assert_eq!(after(&*store, &room, start).await, ["a"]);
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_found_in_the_log() {
    let redis = Redis::start(&[]).await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let store = open_with(&format!("redis://{}", proxy.address()), SOON, None).store;
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1)]).await;
    // From here on the server knows the script.
    store.append(&room, start.epoch, batch("o0", 1, vec![])).await.unwrap();
    proxy.harm_those_here(Harm::SwallowAnswers);
    let lost = store.append(&room, start.epoch, batch("o1", 1, vec![event("h", 1), update(1, "a")])).await;
    assert!(matches!(lost, Err(StoreError::Failed(_))), "{lost:?}");
    until(async || store.names(&room).await.is_ok()).await;
    assert_eq!(after(&*store, &room, start).await, ["h1", "a"]);
    let again = batch("o1", 1, vec![event("h", 1), update(1, "a")]);
    let logged = store.append(&room, start.epoch, again).await.unwrap();
    assert_eq!((logged[0].seq, logged[1].seq), (1, 2), "its whole answer is repeated");
    assert_eq!(seq_now(&*store, &room).await, 2);
}

#[tokio::test]
async fn what_was_answered_survives_a_kill_of_the_server_which_begins_a_new_epoch() {
    let mut redis = Redis::start(&[]).await;
    let (store, other) = (open(&redis.url()).store, open(&redis.url()).store);
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1)]).await;
    for number in 1..=200 {
        store.append(&room, start.epoch, batch("o1", number, vec![update(1, "a")])).await.unwrap();
    }
    redis.crash().await;
    until(async || store.names(&room).await.is_ok()).await;
    assert_eq!(store.read(&room, &file(1)).await.unwrap().updates.len(), 200);
    // The server may have lost its last second: what follows must not be taken for the same history.
    let late = store.append(&room, start.epoch, batch("o1", 201, vec![update(1, "b")])).await;
    assert!(matches!(late, Err(StoreError::Epoch(_))), "{late:?}");
    let stood = store.backfill(&room, start).await.unwrap();
    assert!(matches!(stood, Backfill::Reset(_)), "{stood:?}");
    let mut heard = other.subscribe(&room).await.unwrap();
    let Joined::Ready(now) = store.join(&room, "o1", LEASE).await.unwrap() else { panic!("not populated") };
    assert!(now.epoch > start.epoch);
    assert_eq!(now.seq, 200);
    assert_eq!(next(&mut heard).await, Some(Published::Epoch(now.epoch)));
    store.append(&room, now.epoch, batch("o1", 202, vec![update(1, "b")])).await.unwrap();
    let Some(Published::Changes(of, changes)) = next(&mut heard).await else { panic!("no changes") };
    assert_eq!((of, texts(&changes)), (now.epoch, vec!["b"]));
    assert_eq!(other.join(&room, "o2", LEASE).await.unwrap(), Joined::Ready(now_of(&*other, &room).await));
}

async fn now_of(store: &dyn RoomStore, room: &shared::id::RoomId) -> shared::position::Position {
    store.read(room, &file(1)).await.unwrap().position
}

/// Schedule 17: by the time this origin is there again, others have moved on beyond what it had seen.
#[tokio::test]
async fn a_failover_to_a_lagging_replica_begins_a_new_epoch_although_seq_is_no_lower() {
    let (primary, replica) = (Redis::start(&[]).await, Redis::start(&[]).await);
    let proxy = Proxy::start(([127, 0, 0, 1], primary.port()).into()).await;
    let store = open(&format!("redis://{}", proxy.address())).store;
    let (room, port) = (any_room(), primary.port().to_string());
    let start = populate(&*store, &room, vec![base(1)]).await;
    store.append(&room, start.epoch, batch("o1", 1, vec![update(1, "both")])).await.unwrap();
    replica.ask::<Value>(&["REPLICAOF", "127.0.0.1", &port]).await;
    until(async || {
        let state: String = replica.ask(&["INFO", "replication"]).await;
        state.contains("master_link_status:up")
    })
    .await;
    replica.ask::<Value>(&["REPLICAOF", "NO", "ONE"]).await;
    store.append(&room, start.epoch, batch("o1", 2, vec![update(1, "lost")])).await.unwrap();

    proxy.lead_to(([127, 0, 0, 1], replica.port()).into());
    // Another origin, which was at the replica first, has logged as much as was lost.
    let elsewhere = open(&replica.url()).store;
    let Joined::Ready(now) = elsewhere.join(&room, "o2", LEASE).await.unwrap() else { panic!("cold") };
    elsewhere.append(&room, now.epoch, batch("o2", 1, vec![update(1, "other")])).await.unwrap();
    proxy.harm_those_here(Harm::Cut);
    let late = async || store.append(&room, start.epoch, batch("o1", 3, vec![update(1, "late")])).await;
    until(async || matches!(late().await, Err(StoreError::Epoch(epoch)) if epoch == now.epoch)).await;
    let from = shared::position::Position { seq: 2, ..start };
    assert!(matches!(store.backfill(&room, from).await.unwrap(), Backfill::Reset(_)));
    let read = store.read(&room, &file(1)).await.unwrap();
    assert_eq!(texts(&read.updates), ["both", "other"]);
}

#[tokio::test]
async fn a_loader_that_stalls_between_two_pieces_is_replaced_and_can_neither_stage_nor_commit() {
    let store = shared_store().await.store;
    let room = any_room();
    let heavy = |n: u8, state: &[u8]| Base { state: Bytes::from(state.repeat(700 << 10)), ..base(n) };
    let Joined::Load(stalled) = store.join(&room, "o1", LEASE).await.unwrap() else {
        panic!("not the loader")
    };
    let meta = format!("c:{{{room}}}:m");
    // Its lease has run out.
    let server = shared_server();
    let _: Value = ask(&server, &["HSET", &meta, "lx", "1"]).await;
    let Joined::Load(token) = store.join(&room, "o2", LEASE).await.unwrap() else { panic!("it waits") };
    let late = store.commit(&room, &stalled, vec![heavy(1, b"s"), heavy(2, b"s"), heavy(9, b"s")], 0).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    store.commit(&room, &token, vec![heavy(1, b"n"), heavy(2, b"n")], 0).await.unwrap();
    let late = store.commit(&room, &stalled, vec![heavy(1, b"s")], 0).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    assert_eq!(store.names(&room).await.unwrap().len(), 2);
    for n in [1, 2] {
        assert_eq!(store.read(&room, &file(n)).await.unwrap().base, heavy(n, b"n").state);
        let ttl: i64 = ask(&server, &["PTTL", &format!("c:{{{room}}}:b:{}", file(n))]).await;
        assert_eq!(ttl, -1, "what is populated does not vanish");
    }
}

#[tokio::test]
async fn a_room_that_is_gone_leaves_no_key_behind() {
    let store = shared_store().await.store;
    let server = shared_server();
    let keys = async |room: &shared::id::RoomId| -> Vec<String> {
        let mut keys: Vec<String> = ask(&server, &["KEYS", &format!("c:{{{room}}}:*")]).await;
        for index in 0..64 {
            let index = format!("c:idx:{index}");
            let listed: Option<f64> = ask(&server, &["ZSCORE", &index, room.as_str()]).await;
            keys.extend(listed.map(|_| index));
        }
        keys
    };
    let (left, erased, failed) = (any_room(), any_room(), any_room());
    for room in [&left, &erased] {
        let epoch = populate(&*store, room, vec![base(1), base(2)]).await.epoch;
        store.append(room, epoch, batch("o1", 1, vec![event("h", 1)])).await.unwrap();
        store.list(room, "o1", Vec::new()).await.unwrap();
        assert!(keys(room).await.len() > 7, "{:?}", keys(room).await);
    }
    let epoch = now_of(&*store, &left).await.epoch;
    assert_eq!(store.leave(&left, "o1", epoch).await.unwrap(), Left::Gone);
    store
        .append(&erased, now_of(&*store, &erased).await.epoch, batch("o1", 2, vec![update(1, "a")]))
        .await
        .unwrap();
    store.seal(&erased, LEASE).await.unwrap();
    store.erase(&erased).await.unwrap();
    assert!(matches!(store.join(&failed, "o1", LEASE).await.unwrap(), Joined::Load(_)));
    assert_eq!(store.leave(&failed, "o1", Epoch(0)).await.unwrap(), Left::NotMine);
    for room in [left, erased] {
        assert_eq!(keys(&room).await, Vec::<String>::new());
    }
    let rest = keys(&failed).await;
    assert!(rest.iter().all(|key| key.starts_with("c:idx:")), "{rest:?}");
}
