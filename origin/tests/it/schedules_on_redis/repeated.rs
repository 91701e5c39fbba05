//! What comes twice is logged once, and what was not logged is not taken for something that comes twice.

use std::sync::Arc;

use origin::store::RoomLog;
use shared::{id::FileId, wire::link::OriginMessage};

use super::{Hub, chat, fill, logged_chat, make_room, opening, update};
use crate::{
    room_store_contract::setup::any_room,
    support::{
        Edge, LINK_KEYS, TestOrigin,
        proxy::{Harm, Proxy},
        redis::{Redis, open, until, with_user},
    },
};

#[tokio::test]
async fn chat_and_a_new_file_are_logged_once_and_heard_by_all_though_answers_and_messages_are_lost() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let direct = with_user(&redis.url()).await;
    let through = direct.replace(&format!("127.0.0.1:{}", redis.port()), &proxy.address().to_string());
    let flags = |url: &str| {
        let data_dir = format!("--data-dir={}", folder.path().display());
        [
            "--redis-deadline-ms=500".to_owned(),
            format!("--redis-url={url}"),
            data_dir,
            format!("--link-keys={LINK_KEYS}"),
        ]
    };
    let first = flags(&through);
    let first = TestOrigin::start(&first.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let second = flags(&direct);
    // The other origin does not hear what it says.
    let gap = Arc::new(|_: &str, message: &[u8]| message.windows(9).any(|part| part == b"said once"));
    let second: Vec<&str> = second.iter().map(String::as_str).collect();
    let second = TestOrigin::start_losing(gap, &second).await;

    let (near, far) = (Edge::open("weur").await, Edge::open("enam").await);
    let room = any_room();
    let mut here = Hub::at(&near, &first, &room, None).await;
    let mut there = Hub::at(&far, &second, &room, None).await;
    let (channel, _) = here.open(1, ".room").await;
    there.open(2, ".room").await;
    // From here on the server knows the scripts.
    let (old, old_file) = here.open(4, "old.txt").await;
    // And the room has read it, after which it asks for nothing.
    here.has_read(old, &old_file).await;
    let store = open(&redis.url()).store;
    here.say(&[chat(channel, 1, "before")]).await;
    here.is_acknowledged(1).await;
    let position = store.read(&room, &FileId::room()).await.unwrap().position;

    proxy.harm_all(Harm::SwallowAnswers);
    here.say(&[chat(channel, 2, "said once"), opening(3, "new.txt")]).await;
    here.is_held().await;
    until(async || logged_chat(&*store, &room).await.len() == 2).await;
    until(async || store.names(&room).await.unwrap().iter().any(|(_, path)| path.as_str() == "new.txt"))
        .await;
    drop(here);
    // Its hub brings again through the other origin what was not acknowledged.
    let mut here = Hub::at(&near, &second, &room, Some(position)).await;
    here.say(&[opening(1, ".room"), opening(3, "new.txt"), chat(channel, 2, "said once")]).await;
    let opened = |message: &OriginMessage| match message {
        OriginMessage::Opened { channel, file, .. } if *channel == super::channel_of(3) => Some(file.clone()),
        OriginMessage::Closed { reason, .. } => panic!("closed: {reason}"),
        _ => None,
    };
    let file = here.hears(opened).await;
    here.is_acknowledged(2).await;
    here.say(&[chat(channel, 3, "after")]).await;

    assert_eq!(there.chat_until("after").await, ["before", "said once"]);
    assert_eq!(logged_chat(&*store, &room).await, ["before", "said once", "after"]);
    let named = store.names(&room).await.unwrap();
    assert_eq!(named.iter().filter(|(id, path)| *id == file && path.as_str() == "new.txt").count(), 1);
    let log = store.read(&room, &FileId::room()).await.unwrap();
    let creations = log.updates.iter().filter(|entry| entry.bytes.windows(7).any(|part| part == b"new.txt"));
    assert_eq!(creations.count(), 1);
    proxy.harm_all(Harm::None);
    proxy.harm_those_here(Harm::Cut);
    drop((here, there));
    until(async || first.get("/readyz").await.json()["room_store"] == "ok").await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn what_a_full_redis_refused_is_logged_when_it_comes_again_and_then_only_acknowledged() {
    let redis = Redis::start(&[]).await;
    let url = format!("--redis-url={}", with_user(&redis.url()).await);
    let origin = TestOrigin::start(&[&url, &format!("--link-keys={LINK_KEYS}")]).await;
    let (edge, room) = (Edge::open("weur").await, any_room());
    let mut hub = Hub::at(&edge, &origin, &room, None).await;
    let (channel, _) = hub.open(1, ".room").await;
    let (typist, file) = hub.open(2, "a.txt").await;
    let store = open(&redis.url()).store;
    let mark = async || {
        redis.ask::<Option<u64>>(&["HGET", &format!("c:{{{room}}}:h"), &format!("e:{room}~weur")]).await
    };
    let text = origin::project::text::state_of("typed", 7);
    let both = [chat(channel, 1, "said"), update(typist, &file, 2, &text)];

    fill(&redis).await;
    hub.say(&both).await;
    hub.is_held().await;
    assert_eq!(mark().await, None, "the mark is what was committed");
    make_room(&redis).await;
    hub.is_resumed().await;
    for _ in 0..3 {
        hub.say(&both).await;
        hub.is_acknowledged(1).await;
        hub.is_acknowledged(2).await;
        assert_eq!(logged_chat(&*store, &room).await, ["said"]);
        assert_eq!(store.read(&room, &file).await.unwrap().updates.len(), 1);
    }
    assert_eq!(mark().await, Some(1));
    drop(hub);
    origin.stop().await;
}
