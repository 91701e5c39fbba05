//! Members who come in the very moment the last one leaves, at the same origin or at another.

use std::{collections::BTreeSet, time::Duration};

use ::redis::{AsyncCommands, aio::MultiplexedConnection};
use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{sleep, timeout};

use super::{ARCHIVE, flags, start, until_gone};
use crate::{
    room_store_contract::setup::any_room,
    support::{Client, PATIENCE, TestOrigin, redis},
};

const ROOMS: usize = 20;
const RACES: usize = 25;
const FILE: &str = "a.txt";

/// When the next member comes, as the room goes through it.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The last one is just leaving.
    Leaving,
    /// The origin has given up its lease, and a flush is under way.
    Flushing,
    /// All is in the archive, and the room is about to be removed.
    Stored,
    /// It has been removed.
    Gone,
}

const MOMENTS: [Moment; 4] = [Moment::Leaving, Moment::Flushing, Moment::Stored, Moment::Gone];

impl Moment {
    /// Waits for it, or for one that is later.
    async fn comes(self, room: &str, mut watch: MultiplexedConnection) {
        let key = |name: &str| format!("c:{{{room}}}:{name}");
        let awaited = match self {
            Self::Leaving => return,
            Self::Flushing => key("p"),
            Self::Stored => key("d"),
            Self::Gone => key("m"),
        };
        let comes = async {
            while watch.exists::<_, bool>(&awaited).await.unwrap() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, comes).await.unwrap_or_else(|_| panic!("{room} does not come to be {self:?}"));
    }
}

/// A room that is handed over again and again.
struct Relay<'a> {
    origins: &'a [TestOrigin; 2],
    room: String,
    watch: MultiplexedConnection,
    chance: StdRng,
    acknowledged: Vec<String>,
    /// The epochs that it was found in.
    epochs: BTreeSet<u64>,
}

impl Relay<'_> {
    /// Each member finds all that was acknowledged before, adds a word or two, and leaves while the next one comes.
    async fn run(mut self) -> Self {
        let mut last = self.member(0).await;
        for race in 0..RACES {
            self.types(&mut last).await;
            let moment = MOMENTS[race % MOMENTS.len()];
            let next = self.chance.random_range(0..2);
            let (leaves_after, comes_after) =
                (self.chance.random_range(0..4000), self.chance.random_range(0..6000));
            let (room, watch) = (self.room.clone(), self.watch.clone());
            let leaving = async {
                sleep(Duration::from_micros(leaves_after)).await;
                drop(last);
            };
            let coming = async {
                moment.comes(&room, watch).await;
                sleep(Duration::from_micros(comes_after)).await;
                self.member(next).await
            };
            let ((), member) = tokio::join!(leaving, coming);
            self.assert_whole(&member.text(FILE), (race, moment));
            let report = self.origins[next].get(&format!("/api/v1/rooms/{room}")).await.json();
            let epoch = report["epoch"].as_u64();
            let epoch = epoch.unwrap_or_else(|| panic!("{room} was removed under its member, {moment:?}"));
            self.epochs.insert(epoch);
            last = member;
        }
        self.types(&mut last).await;
        self
    }

    async fn member(&self, at: usize) -> Client {
        let mut member = self.origins[at].client(&self.room).await;
        member.open(FILE).await;
        member
    }

    async fn types(&mut self, member: &mut Client) {
        let word = format!("{};", self.acknowledged.len());
        member.append(FILE, &word).await;
        member.saved(FILE).await;
        self.acknowledged.push(word);
    }

    fn assert_whole(&self, text: &str, when: impl std::fmt::Debug) {
        let found: Vec<&str> = text.split_inclusive(';').collect();
        assert_eq!(found, self.acknowledged, "each word once in {}, {when:?}", self.room);
    }
}

#[tokio::test]
async fn a_member_who_joins_while_the_last_one_leaves_loses_nothing_in_500_races() {
    let _alone = ARCHIVE.lock().await;
    let server = redis::Redis::start(&[]).await;
    let flags = flags(&server, &["--flush-delay-ms=1"]).await;
    let origins = [start(&flags).await, start(&flags).await];
    let watch = server.administrator().await;
    let relays = (0..ROOMS as u64).map(|seed| {
        let relay = Relay {
            origins: &origins,
            room: any_room().to_string(),
            watch: watch.clone(),
            chance: StdRng::seed_from_u64(seed),
            acknowledged: Vec::new(),
            epochs: BTreeSet::new(),
        };
        relay.run()
    });
    let relays = join_all(relays).await;
    let races = ROOMS * RACES;
    let removed: usize = relays.iter().map(|relay| relay.epochs.len()).sum();
    assert!((races / 5..=races * 4 / 5).contains(&removed), "{removed} of {races} found it removed");
    for relay in &relays {
        let room = &relay.room;
        until_gone(&server, room).await;
        let stored = origins[0].get(&format!("/api/v1/shards/{room}/files/{FILE}?from=archive")).await.text;
        relay.assert_whole(&stored, "in the archive");
    }
    for origin in origins {
        origin.stop().await;
    }
}
