//! Redis takes nothing, for whatever reason: that is neither an acknowledgement nor a refusal, and what was not
//! logged is in no document.

use bytes::Bytes;
use shared::wire::link::{HubMessage, OriginMessage};
use yrs::{StateVector, updates::decoder::Decode};

use super::{Hub, fill, logged_text, make_room, one_on_the_other, update};
use crate::{
    room_store_contract::setup::any_room,
    support::{
        Edge, LINK_KEYS, TestOrigin,
        redis::{Redis, open, with_user},
    },
};

async fn origin_on(redis: &Redis) -> TestOrigin {
    let url = format!("--redis-url={}", with_user(&redis.url()).await);
    TestOrigin::start(&[&url, &format!("--link-keys={LINK_KEYS}"), "--redis-deadline-ms=300"]).await
}

#[tokio::test]
async fn a_link_is_held_while_redis_stands_still_its_members_are_told_and_what_it_brings_again_is_logged() {
    let redis = Redis::start(&[]).await;
    let origin = origin_on(&redis).await;
    let (edge, room) = (Edge::open("weur").await, any_room());
    let mut hub = Hub::at(&edge, &origin, &room, None).await;
    let (channel, file) = hub.open(1, "a.txt").await;
    let mut ada = origin.client(room.as_str()).await;
    ada.open(".room").await;
    ada.open("a.txt").await;
    ada.saved("a.txt").await;
    let [first, second] = one_on_the_other("one ", "two ");
    let changes = [update(channel, &file, 1, &first), update(channel, &file, 2, &second)];

    redis.freeze();
    hub.say(&changes[..1]).await;
    assert_eq!(hub.is_held().await, "store-failed");
    ada.append("a.txt", "three ").await;
    ada.until(|ada| ada.events.iter().any(|event| event["type"] == "hold")).await;
    assert!(!ada.is_saved("a.txt"));
    // The link is alive all the while, and nothing that comes meanwhile is taken.
    for _ in 0..3 {
        hub.say(&[changes[1].clone(), HubMessage::Ping]).await;
        let pong = |message: &OriginMessage| match message {
            OriginMessage::Pong => Some(()),
            OriginMessage::Ack { .. } => panic!("acknowledged although nothing is logged"),
            _ => None,
        };
        hub.hears(pong).await;
    }
    redis.thaw();
    hub.is_resumed().await;
    hub.say(&changes).await;
    hub.is_acknowledged(1).await;
    hub.is_acknowledged(2).await;
    ada.saved("a.txt").await;
    drop((ada, hub));
    let text = origin.get(&format!("/api/v1/shards/{room}/files/a.txt")).await.text;
    assert_eq!(text.len(), "one two three ".len(), "each once: {text}");
    assert!(text.contains("one two ") && text.contains("three "), "{text}");
    origin.stop().await;
}

#[tokio::test]
async fn what_a_failed_append_did_not_log_is_in_no_document_and_nothing_is_logged_on_top_of_it() {
    let redis = Redis::start(&[]).await;
    let origin = origin_on(&redis).await;
    let (near, far, room) = (Edge::open("weur").await, Edge::open("enam").await, any_room());
    let mut author = Hub::at(&near, &origin, &room, None).await;
    let mut other = Hub::at(&far, &origin, &room, None).await;
    let (writes, file) = author.open(1, "a.txt").await;
    let (builds, _) = other.open(2, "a.txt").await;
    let [first, on_top] = one_on_the_other("first ", "on top");
    let store = open(&redis.url()).store;

    fill(&redis).await;
    author.say(&[update(writes, &file, 1, &first)]).await;
    assert_eq!(author.is_held().await, "store-full");
    let asks = HubMessage::Sync {
        channel: builds,
        file: file.clone(),
        ask: 7,
        state_vector: Bytes::from_static(&[0]),
    };
    let is_nothing = |message: &OriginMessage| match message {
        OriginMessage::Diff { ask: 7, state_vector, .. } => {
            Some(StateVector::decode_v1(state_vector).unwrap() == StateVector::default())
        }
        _ => None,
    };
    other.say(&[asks]).await;
    make_room(&redis).await;
    assert!(other.hears(is_nothing).await, "the document holds what is not logged");
    other.is_resumed().await;
    // A neighbour has seen the first one through the hub, and its change is the first to come.
    other.say(&[update(builds, &file, 1, &on_top)]).await;
    let misses = |message: &OriginMessage| match message {
        OriginMessage::Missing { hub_seq, .. } => Some(*hub_seq),
        OriginMessage::Ack { .. } => panic!("logged on top of what is not there"),
        _ => None,
    };
    assert_eq!(other.hears(misses).await, 1);
    assert_eq!(logged_text(&*store, &room, "a.txt").await.as_deref(), Some(""));

    author.is_resumed().await;
    author.say(&[update(writes, &file, 1, &first)]).await;
    author.is_acknowledged(1).await;
    other.say(&[update(builds, &file, 2, &on_top)]).await;
    other.is_acknowledged(2).await;
    drop((author, other));
    let text = origin.get(&format!("/api/v1/shards/{room}/files/a.txt")).await.text;
    assert_eq!(text, "first on top");
    origin.stop().await;
}
