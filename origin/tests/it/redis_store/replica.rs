//! Where an edit counts as saved only once a replica has it.

use origin::store::{Logged, RoomLog, StoreError};

use crate::{
    room_store_contract::setup::{any_room, base, batch, file, populate, texts, update},
    support::{
        TestOrigin,
        redis::{Cluster, Redis, SOON, ask, open_replicated, until, with_user},
    },
};

/// A primary, and a replica that follows it.
async fn pair() -> (Redis, Redis) {
    let primary = Redis::start(&["--repl-diskless-sync-delay", "0"]).await;
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).await;
    until(async || follows(&replica).await).await;
    (primary, replica)
}

async fn follows(replica: &Redis) -> bool {
    replica.ask::<String>(&["INFO", "replication"]).await.contains("master_link_status:up")
}

fn is_unknown(answer: &Result<Vec<Logged>, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Failed(_)))
}

#[tokio::test]
async fn an_append_is_acknowledged_only_once_a_replica_has_it_however_often_it_is_repeated() {
    let (primary, replica) = pair().await;
    let opened = open_replicated(&with_user(&primary.url()).await, SOON);
    let (store, room) = (opened.store, any_room());
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    // The replica may not have caught up yet.
    until(async || store.append(&room, epoch, batch("o1", 1, vec![update(1, "a")])).await.is_ok()).await;

    replica.freeze();
    let second = batch("o1", 2, vec![update(1, "b")]);
    for _ in 0..3 {
        let answer = store.append(&room, epoch, second.clone()).await;
        assert!(is_unknown(&answer), "{answer:?}");
        let answer = store.append(&room, epoch, batch("o2", 0, vec![])).await;
        assert!(is_unknown(&answer), "nothing new, but not everything is at the replica: {answer:?}");
    }
    // Over a connection that has written nothing yet.
    let other = open_replicated(&with_user(&primary.url()).await, SOON).store;
    let answer = other.append(&room, epoch, second.clone()).await;
    assert!(is_unknown(&answer), "{answer:?}");
    let read = store.read(&room, &file(1)).await.unwrap();
    assert_eq!(texts(&read.updates), ["a", "b"], "what does not wait for the replica goes on");

    replica.thaw();
    until(async || store.append(&room, epoch, second.clone()).await.is_ok()).await;
    assert_eq!(texts(&store.read(&room, &file(1)).await.unwrap().updates), ["a", "b"]);
    let copied: u64 = replica.ask(&["XLEN", &format!("c:{{{room}}}:l:{}", file(1))]).await;
    assert_eq!(copied, 2);
}

#[tokio::test]
async fn in_a_cluster_the_replica_of_the_rooms_own_node_counts() {
    let cluster = Cluster::start();
    let url = cluster.url().await;
    let nodes = cluster.nodes().await;
    let replica = Redis::start_in_cluster(&["--repl-diskless-sync-delay", "0"]).await;
    cluster.meet(&replica).await;
    until(async || {
        let mut command = redis::cmd("CLUSTER");
        command.arg("REPLICATE").arg(&nodes[0].id);
        command.query_async::<String>(&mut replica.administrator().await).await.is_ok()
    })
    .await;
    until(async || follows(&replica).await).await;

    let store = open_replicated(&url, SOON).store;
    let slot_of = async |room: &str| ask::<u64>(&replica.url(), &["CLUSTER", "KEYSLOT", room]).await;
    let (mut with, mut without) = (None, None);
    while with.is_none() || without.is_none() {
        let room = any_room();
        // The first node has the first third of the slots.
        if slot_of(room.as_str()).await <= 5460 { with = Some(room) } else { without = Some(room) }
    }
    let (with, without) = (with.unwrap(), without.unwrap());
    let append = async |room, epoch| store.append(room, epoch, batch("o1", 1, vec![update(1, "a")])).await;
    let epoch = populate(&*store, &with, vec![base(1)]).await.epoch;
    until(async || append(&with, epoch).await.is_ok()).await;
    let epoch = populate(&*store, &without, vec![base(1)]).await.epoch;
    let without = append(&without, epoch).await;
    assert!(is_unknown(&without), "its node has no replica: {without:?}");
}

#[tokio::test]
async fn members_are_told_to_hold_while_the_replica_stands_still_and_nothing_is_shown_as_saved() {
    let (primary, replica) = pair().await;
    let url = format!("--redis-url={}", with_user(&primary.url()).await);
    let origin = TestOrigin::start(&[&url, "--durability=replica", "--redis-deadline-ms=1000"]).await;
    let room = any_room();
    let mut ada = origin.client(room.as_str()).await;
    ada.open(".room").await;
    ada.open("a.txt").await;
    ada.append("a.txt", "before ").await;
    ada.saved("a.txt").await;

    replica.freeze();
    ada.append("a.txt", "meanwhile").await;
    let holds = |event: &serde_json::Value| event["type"] == "hold" && event["why"] == "store-failed";
    // Held, tried again, held again: by then the log was read, and shows the edit.
    ada.until(|ada| ada.events.iter().filter(|event| holds(event)).count() >= 3).await;
    let text = origin.get(&format!("/api/v1/shards/{room}/files/a.txt")).await.text;
    assert_eq!(text, "before meanwhile");
    assert!(!ada.is_saved("a.txt"), "a single server has it");
    replica.thaw();
    ada.saved("a.txt").await;
    drop(ada);
    origin.stop().await;
}
