//! The last member leaves while the next one comes: nothing that was acknowledged is missing, and in the end
//! nothing is left in Redis.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use rand::RngExt;
use tokio::time::{Duration, sleep};

use super::{LONG, Service};
use crate::{
    room_store_contract::setup::any_room,
    support::{Client, mongo},
};

const RACES: usize = 500;
/// So many rooms race at the same time.
const ROOMS: usize = 20;
const FILE: &str = "src/a.txt";
/// From the moment in which the last one leaves a room until a flush of it has ended, and some more.
const WINDOW_MS: u64 = 400;

/// A room in which one member follows the other.
struct Room<'a> {
    service: &'a Service,
    name: String,
    member: Client,
    acknowledged: Vec<String>,
    /// Every epoch that it had.
    epochs: BTreeSet<u64>,
}

impl<'a> Room<'a> {
    async fn open(service: &'a Service) -> Self {
        let name = any_room().to_string();
        let mut member = service.origins[0].client(&name).await;
        member.open(FILE).await;
        Self { service, name, member, acknowledged: Vec::new(), epochs: BTreeSet::new() }
    }

    /// The member leaves, perhaps right after something that was typed, and about then the next one joins.
    async fn race(&mut self) {
        let (to, is_dirty, before, after) = {
            let mut chance = rand::rng();
            let moment = if chance.random() { WINDOW_MS } else { 20 };
            let (before, after) = (chance.random_range(0..5), chance.random_range(0..moment));
            (chance.random_range(0..2), chance.random_bool(0.7), before, after)
        };
        if is_dirty {
            self.types().await;
        }
        let joins = async {
            sleep(Duration::from_millis(after)).await;
            let mut next = self.service.origins[to].client(&self.name).await;
            next.open(FILE).await;
            next
        };
        let next = {
            // Gone without a word, as a laptop that is closed.
            let leaves = async {
                sleep(Duration::from_millis(before)).await;
                self.member.cut().await;
            };
            tokio::join!(leaves, joins).1
        };
        self.member = next;
        self.assert_whole(&self.member.text(FILE));
        self.types().await;
        let report = self.service.origins[to].get(&format!("/api/v1/rooms/{}", self.name)).await.json();
        self.epochs.insert(report["epoch"].as_u64().unwrap());
        let path = format!("/api/v1/shards/{}/files/{FILE}", self.name);
        self.assert_whole(&self.service.origins[1 - to].get(&path).await.text);
    }

    async fn types(&mut self) {
        let word = format!("{}-{:08x}", self.acknowledged.len(), rand::random::<u32>());
        self.member.append(FILE, &format!("{word} ")).await;
        self.member.saved(FILE).await;
        self.acknowledged.push(word);
    }

    fn assert_whole(&self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words, self.acknowledged, "in {}", self.name);
    }
}

/// Two origins, two stores, and 20 rooms each of which is left and joined again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_500_members_who_join_while_the_last_one_leaves_none_misses_anything_acknowledged() {
    let service = Service::start(&["--flush-delay-ms=20", "--flush-concurrency=8"]).await;
    let races = async || {
        let mut room = Room::open(&service).await;
        for _ in 0..RACES / ROOMS {
            room.race().await;
        }
        room
    };
    let rooms = join_all((0..ROOMS).map(|_| races())).await;
    // That the room was gone when the next one came, and that it was not, must both have happened often.
    let anew: usize = rooms.iter().map(|room| room.epochs.len() - 1).sum();
    assert!((RACES / 20..RACES * 19 / 20).contains(&anew), "{anew} of {RACES} found the room gone");
    let mut wanted = Vec::new();
    for Room { name, member, acknowledged, .. } in rooms {
        drop(member);
        wanted.push((name, acknowledged));
    }
    service.until_redis_is_empty(LONG).await;
    let files = mongo::database().await.collection::<Document>("files");
    for (room, acknowledged) in wanted {
        let stored = files.find_one(doc! { "shard": &room, "path": FILE }).await.unwrap().unwrap();
        let words: Vec<&str> = stored.get_str("text").unwrap().split_whitespace().collect();
        assert_eq!(words, acknowledged, "in {room}");
    }
    service.stop().await;
}
