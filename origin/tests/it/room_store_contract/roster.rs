//! The part of the contract that is about who is in a room.

use origin::store::{Listed, ListedMember};
use shared::grant::Role;

use super::*;

fn member(name: &str) -> ListedMember {
    let (name, region) = (name.to_owned(), "weur".to_owned());
    ListedMember { id: format!("id of {name}"), name, role: Role::Editor, region }
}

/// Every origin, and the names of those who are there.
async fn roster(store: &dyn RoomStore, room: &RoomId) -> Vec<(String, Option<Vec<String>>)> {
    let mut listed = store.listed(room).await.unwrap();
    listed.sort_unstable_by(|a, b| a.origin.cmp(&b.origin));
    let names = |members: Vec<ListedMember>| members.into_iter().map(|member| member.name).collect();
    listed.into_iter().map(|Listed { origin, members }| (origin, members.map(names))).collect()
}

fn at(origin: &str, names: Option<&[&str]>) -> (String, Option<Vec<String>>) {
    let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    (origin.to_owned(), names)
}

pub(super) async fn members_are_listed_under_the_lease_of_their_origin(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let list = async |origin: &str, names: &[&str]| {
        store.list(&room, origin, names.iter().copied().map(member).collect()).await
    };
    assert!(matches!(store.listed(&room).await, Err(StoreError::Cold)));
    assert!(matches!(list("o1", &["Ada"]).await, Err(StoreError::Cold)));
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    assert_eq!(roster(&*store, &room).await, [at("o1", None)]);
    list("o1", &["Ada"]).await.unwrap();
    assert!(matches!(list("o2", &["Ben"]).await, Err(StoreError::Cold)), "without a lease");
    store.join(&room, "o2", LEASE).await.unwrap();
    list("o2", &["Ben", "Cem"]).await.unwrap();
    assert_eq!(roster(&*store, &room).await, [at("o1", Some(&["Ada"])), at("o2", Some(&["Ben", "Cem"]))]);
    let whole = store.listed(&room).await.unwrap();
    assert!(whole.contains(&Listed { origin: "o1".to_owned(), members: Some(vec![member("Ada")]) }));
    list("o1", &[]).await.unwrap();
    assert_eq!(roster(&*store, &room).await, [at("o1", Some(&[])), at("o2", Some(&["Ben", "Cem"]))]);

    store.join(&room, "o2", Duration::ZERO).await.unwrap();
    assert_eq!(roster(&*store, &room).await, [at("o1", Some(&[]))], "its lease is over");
    assert!(matches!(list("o2", &["Ben"]).await, Err(StoreError::Cold)));
    store.join(&room, "o2", LEASE).await.unwrap();
    assert_eq!(roster(&*store, &room).await, [at("o1", Some(&[])), at("o2", None)], "it begins again");

    list("o2", &["Ben"]).await.unwrap();
    assert_eq!(store.leave(&room, "o2", epoch).await.unwrap(), Left::Members(1));
    assert_eq!(roster(&*store, &room).await, [at("o1", Some(&[]))]);
    list("o1", &["Ada"]).await.unwrap();
    assert_eq!(store.leave(&room, "o1", epoch).await.unwrap(), Left::Gone);
    assert!(matches!(store.listed(&room).await, Err(StoreError::Cold)));
    populate(&*store, &room, vec![base(1)]).await;
    assert_eq!(roster(&*store, &room).await, [at("o1", None)], "nothing of its former life");
    list("o1", &["Ada"]).await.unwrap();
    store.erase(&room).await.unwrap();
    populate(&*store, &room, vec![base(1)]).await;
    assert_eq!(roster(&*store, &room).await, [at("o1", None)]);
}
