//! Orders of events that lose, double or never deliver what was acknowledged, with a real Redis where the point is
//! Redis: it is full, stands still, is emptied, is replaced by one that lags. docs/ARCHITECTURE.md says which test
//! guards what.

mod repeated;
mod held;
mod full;
mod emptied;
mod compacted;
mod replaced;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use origin::store::RoomStore;
use redis::Value;
use shared::{
    grant::{Grant, Member, Role},
    id::{ChannelId, FileId, RoomId, SessionId},
    position::Position,
    wire::{
        event::{Attributed, EventIn},
        link::{ChangeKind, HubMessage, OriginMessage, decode_origin, encode_hub},
    },
};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use yrs::{Doc, Text, Transact};

use crate::support::{Edge, LINK_KEYS, PATIENCE, TestOrigin, redis::Redis};

/// The hub of an edge, said by the test, over a real link.
struct Hub {
    link: WebSocketStream<TcpStream>,
    region: &'static str,
    room: RoomId,
    waiting: std::collections::VecDeque<OriginMessage>,
}

impl Hub {
    /// A link that the origin has dialled, after the hello.
    async fn at(edge: &Edge, origin: &TestOrigin, room: &RoomId, position: Option<Position>) -> Self {
        assert_eq!(edge.ask(origin.address, LINK_KEYS, room.as_str()).await.status, 202);
        let link = edge.link(room.as_str()).await;
        let mut hub = Self { link, region: edge.region, room: room.clone(), waiting: Default::default() };
        hub.say(&[HubMessage::Hello { hub: hub.name(), position }]).await;
        hub
    }

    fn name(&self) -> String {
        format!("{}~{}", self.room, self.region)
    }

    async fn say(&mut self, messages: &[HubMessage]) {
        self.link.send(Message::Binary(encode_hub(messages))).await.unwrap();
    }

    /// Opens a document for a member.
    async fn open(&mut self, member: u64, name: &str) -> (ChannelId, FileId) {
        let channel = channel_of(member);
        self.say(&[opening(member, name)]).await;
        let file = self.hears(|message| match message {
            OriginMessage::Opened { channel: of, file, .. } if *of == channel => Some(file.clone()),
            _ => None,
        });
        (channel, file.await)
    }

    /// Passes over what it hears until it is this.
    async fn hears<T>(&mut self, is: impl Fn(&OriginMessage) -> Option<T>) -> T {
        loop {
            while let Some(message) = self.waiting.pop_front() {
                if let Some(it) = is(&message) {
                    return it;
                }
            }
            let next = timeout(PATIENCE, self.link.next()).await.expect("nothing is heard");
            match next {
                Some(Ok(Message::Binary(frame))) => self.waiting.extend(decode_origin(&frame).unwrap()),
                Some(Ok(_)) => {}
                ended => panic!("the link has ended: {ended:?}"),
            }
        }
    }

    /// The room has the file in memory: it can say what somebody lacks of it.
    async fn has_read(&mut self, channel: ChannelId, file: &FileId) {
        let ask = 1 << 40;
        let state_vector = Bytes::from_static(&[0]);
        self.say(&[HubMessage::Sync { channel, file: file.clone(), ask, state_vector }]).await;
        let answers = |message: &OriginMessage| matches!(message, OriginMessage::Diff { .. }).then_some(());
        self.hears(answers).await;
    }

    async fn is_acknowledged(&mut self, number: u64) {
        let is = |message: &OriginMessage| match message {
            OriginMessage::Ack { hub_seq, .. } => Some(*hub_seq),
            OriginMessage::Refuse { reason, .. } => panic!("refused: {reason}"),
            _ => None,
        };
        assert_eq!(self.hears(is).await, number);
    }

    async fn is_held(&mut self) -> String {
        let why = |message: &OriginMessage| match message {
            OriginMessage::Hold { why } => Some(why.clone()),
            OriginMessage::Ack { .. } => panic!("acknowledged although nothing is logged"),
            _ => None,
        };
        self.hears(why).await
    }

    async fn is_resumed(&mut self) {
        self.hears(|message| matches!(message, OriginMessage::Resume).then_some(())).await;
    }

    /// Hears chat until it is this one, and how often each other one came.
    async fn chat_until(&mut self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let text = self.hears(|message| match message {
                OriginMessage::Event { json, .. } => text_of_chat(json),
                _ => None,
            });
            match text.await {
                text if text == last => return heard,
                text => heard.push(text),
            }
        }
    }
}

fn channel_of(member: u64) -> ChannelId {
    SessionId::from_random(member << 20).channel(1)
}

fn member(number: u64) -> Member {
    Member { id: number.to_string().as_str().into(), name: "a member".into() }
}

fn opening(number: u64, name: &str) -> HubMessage {
    let grant =
        Grant { member: member(number), role: Role::Editor, expires: None, version: 0, rules: [].into() };
    HubMessage::Open { channel: channel_of(number), name: name.to_owned(), grant }
}

fn chat(channel: ChannelId, hub_seq: u64, text: &str) -> HubMessage {
    let event = EventIn::Chat { text: text.to_owned() };
    let json = Attributed { member: member(1), event }.to_json().into();
    HubMessage::Event { channel, hub_seq, json }
}

fn text_of_chat(json: &[u8]) -> Option<String> {
    let event: serde_json::Value = serde_json::from_slice(json).unwrap();
    (event["type"] == "chat").then(|| event["text"].as_str().unwrap().to_owned())
}

fn update(channel: ChannelId, file: &FileId, hub_seq: u64, bytes: &Bytes) -> HubMessage {
    let (file, kind, bytes) = (file.clone(), ChangeKind::Update, bytes.clone());
    HubMessage::Update {
        channel,
        file,
        hub_seq,
        kind,
        grant_version: 0,
        may_edit: true,
        author: "".into(),
        bytes,
    }
}

/// Two updates of one author, the second on top of the first.
fn one_on_the_other(first: &str, second: &str) -> [Bytes; 2] {
    let doc = Doc::new();
    let text = doc.get_or_insert_text("content");
    let typed = |at: u32, what: &str| {
        let mut change = doc.transact_mut();
        text.insert(&mut change, at, what);
        Bytes::from(change.encode_update_v1())
    };
    [typed(0, first), typed(first.len() as u32, second)]
}

/// The chat that is logged.
async fn logged_chat(store: &dyn RoomStore, room: &RoomId) -> Vec<String> {
    let log = store.read(room, &FileId::room()).await.unwrap();
    log.updates.iter().filter_map(|entry| text_of_chat(&entry.bytes)).collect()
}

/// What the log in Redis makes of a file, if the room is there and has it.
async fn logged_text(store: &dyn RoomStore, room: &RoomId, path: &str) -> Option<String> {
    let names = store.names(room).await.ok()?;
    let (file, _) = names.into_iter().find(|(_, known)| known.as_str() == path)?;
    let log = store.read(room, &file).await.ok()?;
    let updates = std::iter::once(&*log.base).chain(log.updates.iter().map(|entry| &*entry.bytes));
    Some(origin::project::text::Merged::of(updates).unwrap().text())
}

/// Redis takes nothing more, whatever is flushed.
async fn fill(redis: &Redis) {
    redis.ask::<Value>(&["CONFIG", "SET", "maxmemory", "100kb"]).await;
}

async fn make_room(redis: &Redis) {
    redis.ask::<Value>(&["CONFIG", "SET", "maxmemory", "0"]).await;
}

/// Nobody has a lease on the room.
async fn until_left(redis: &Redis, room: &RoomId) {
    let leases = format!("c:{{{room}}}:p");
    crate::support::redis::until(async || redis.ask::<u64>(&["ZCARD", &leases]).await == 0).await;
}
