//! Another server takes the place of Redis, and lags: it begins a new epoch, and what it lacks returns.

use origin::{config::Role, store::RoomLog};
use redis::Value;

use super::{logged_text, until_left};
use crate::{
    room_store_contract::setup::any_room,
    support::{
        TestOrigin,
        proxy::{Harm, Proxy},
        redis::{Redis, open, until, with_user},
    },
};

#[tokio::test]
async fn what_a_lagging_replica_lacks_returns_though_others_have_moved_on_and_everybody_has_gone() {
    let (primary, replica) = (Redis::start(&[]).await, Redis::start(&[]).await);
    let folder = tempfile::tempdir().unwrap();
    let (of_primary, of_replica) = (with_user(&primary.url()).await, with_user(&replica.url()).await);
    let proxy = Proxy::start(([127, 0, 0, 1], primary.port()).into()).await;
    let moving = of_primary.replace(&format!("127.0.0.1:{}", primary.port()), &proxy.address().to_string());
    let start = async |url: &str| {
        let data_dir = format!("--data-dir={}", folder.path().display());
        TestOrigin::start_as(Role::Serve, &[&format!("--redis-url={url}"), &data_dir, "--lease-ms=1500"])
            .await
    };
    let (first, second) = (start(&moving).await, start(&of_replica).await);
    let room = any_room();
    let mut ada = first.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "both").await;
    ada.saved("a.txt").await;
    replica.ask::<Value>(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).await;
    let store = open(&replica.url()).store;
    until(async || logged_text(&*store, &room, "a.txt").await.as_deref() == Some("both")).await;
    let epoch = store.dirty(&room).await.unwrap().epoch;
    replica.ask::<Value>(&["REPLICAOF", "NO", "ONE"]).await;

    ada.append("a.txt", ", lost").await;
    ada.saved("a.txt").await;
    ada.open("new.txt").await;
    ada.append("new.txt", "lost too").await;
    ada.saved("new.txt").await;
    drop(ada);
    until_left(&primary, &room).await;
    // Whoever is at the replica first logs more than was lost.
    let mut ben = second.client(room.as_str()).await;
    ben.open("a.txt").await;
    for _ in 0..10 {
        ben.append("a.txt", "!").await;
    }
    ben.saved("a.txt").await;
    assert!(store.dirty(&room).await.unwrap().epoch > epoch);
    drop(ben);
    until_left(&replica, &room).await;

    proxy.lead_to(([127, 0, 0, 1], replica.port()).into());
    proxy.harm_those_here(Harm::Cut);
    let whole =
        |text: &str| text.starts_with("both") && text.contains(", lost") && text.contains("!!!!!!!!!!");
    until(async || logged_text(&*store, &room, "a.txt").await.is_some_and(|text| whole(&text))).await;
    until(async || logged_text(&*store, &room, "new.txt").await.as_deref() == Some("lost too")).await;
    assert_eq!(logged_text(&*store, &room, "a.txt").await.unwrap().len(), "both, lost!!!!!!!!!!".len());
    first.stop().await;
    second.stop().await;
}
