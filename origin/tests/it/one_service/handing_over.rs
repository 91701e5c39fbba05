//! Members who come in the very moment the last one leaves, at the same origin or at another.

use std::time::Duration;

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::sleep;

use super::{ARCHIVE, flags, start, until_gone};
use crate::{
    room_store_contract::setup::any_room,
    support::{Client, TestOrigin, redis},
};

const ROOMS: usize = 20;
const RACES: usize = 25;
const FILE: &str = "a.txt";

/// Hands one room over and over: each member finds all that was acknowledged before, adds a word, and leaves while the
/// next one comes. What was acknowledged is the answer.
async fn hand_over(origins: &[TestOrigin; 2], room: &str, seed: u64) -> Vec<String> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut acknowledged = Vec::new();
    let mut last: Option<Client> = None;
    for race in 0..RACES {
        let next = &origins[chance.random_range(0..2)];
        let (leaves_after, comes_after) = (chance.random_range(0..4000), chance.random_range(0..20_000));
        let leaving = async {
            sleep(Duration::from_micros(leaves_after)).await;
            drop(last.take());
        };
        let coming = async {
            sleep(Duration::from_micros(comes_after)).await;
            let mut member = next.client(room).await;
            member.open(FILE).await;
            member
        };
        let ((), mut member) = tokio::join!(leaving, coming);
        let text = member.text(FILE);
        let lost: Vec<_> =
            acknowledged.iter().filter(|word: &&String| !text.contains(word.as_str())).collect();
        assert!(lost.is_empty(), "race {race} in {room}: {lost:?} of {text:?}");
        let word = format!("{race};");
        member.append(FILE, &word).await;
        member.saved(FILE).await;
        acknowledged.push(word);
        last = Some(member);
    }
    acknowledged
}

#[tokio::test]
async fn a_member_who_joins_while_the_last_one_leaves_loses_nothing_in_500_races() {
    let _alone = ARCHIVE.lock().await;
    let server = redis::Redis::start(&[]).await;
    let flags = flags(&server, &["--flush-delay-ms=1"]).await;
    let origins = [start(&flags).await, start(&flags).await];
    let rooms: Vec<String> = (0..ROOMS).map(|_| any_room().to_string()).collect();
    let races = rooms.iter().zip(0..).map(|(room, seed)| hand_over(&origins, room, seed));
    let acknowledged = join_all(races).await;
    for (room, words) in rooms.iter().zip(&acknowledged) {
        until_gone(&server, room).await;
        let stored = origins[0].get(&format!("/api/v1/shards/{room}/files/{FILE}?from=archive")).await.text;
        let mut found: Vec<&str> = stored.split_inclusive(';').collect();
        let mut wanted: Vec<&str> = words.iter().map(String::as_str).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "each word once in {room}");
    }
    assert_eq!(acknowledged.iter().map(Vec::len).sum::<usize>(), 500);
    for origin in origins {
        origin.stop().await;
    }
}
