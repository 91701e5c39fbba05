//! A member whose hub has read everything and forgets nothing: it types words and is told which are logged.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use origin::rooms::Attachment;
use shared::{
    grant::{Grant, Member as Who, Role},
    id::{ChannelId, FileId, RoomId, SessionId},
    limits,
    wire::link::{ChangeKind, HubMessage, OriginMessage},
};
use tokio::sync::mpsc;
use yrs::{Doc, ReadTxn, Text, Transact, Update, updates::decoder::Decode, updates::encoder::Encode};

use super::{ledger::Ledger, process::Process};
use crate::support::documents::new_document;

/// More than a member of these histories is ever told at once.
const OUTBOX: usize = 256;

pub(super) struct Member {
    number: usize,
    attachment: Attachment,
    heard: mpsc::Receiver<Vec<OriginMessage>>,
    session: SessionId,
    files: BTreeMap<&'static str, Open>,
    /// The changes that are not logged yet, as far as it has heard, each with its number, path and word.
    owed: BTreeMap<u64, (&'static str, String, HubMessage)>,
    hub_seq: u64,
    asked: u64,
    ledger: Arc<Ledger>,
}

struct Open {
    channel: ChannelId,
    file: FileId,
    doc: Doc,
    /// The number of the last question that was answered.
    answered: u64,
}

impl Member {
    pub(super) async fn come(process: &Process, room: &RoomId, number: usize, ledger: &Arc<Ledger>) -> Self {
        let (outbox, heard) = mpsc::channel(OUTBOX);
        let attachment = process.rooms.attach(room, outbox).await.unwrap();
        let hub = format!("{room}~{number}");
        let hello = HubMessage::Hello { hub, position: None };
        attachment.send(vec![hello]).await.unwrap();
        let session = SessionId::from_random(1 << (20 + number));
        let (files, owed) = (BTreeMap::new(), BTreeMap::new());
        let ledger = ledger.clone();
        Self { number, attachment, heard, session, files, owed, hub_seq: 0, asked: 0, ledger }
    }

    /// Opens a file, which is made if there is none, and waits until it has come.
    pub(super) async fn open(&mut self, path: &'static str) {
        if self.files.contains_key(path) {
            return;
        }
        let channel = self.session.channel(u16::try_from(self.files.len()).unwrap() + 1);
        let name = format!("member {}", self.number);
        let who = Who { id: name.clone().into(), name: name.into() };
        let grant = Grant { member: who, role: Role::Editor, expires: None, version: 0, rules: [].into() };
        self.say(HubMessage::Open { channel, name: path.to_owned(), grant }).await;
        let doc = new_document(self.number as u64);
        self.files.insert(path, Open { channel, file: FileId::room(), doc, answered: 0 });
        self.until(|member| !member.files[path].file.is_room()).await;
        let asked = self.ask(path).await;
        self.until(|member| member.files[path].answered >= asked).await;
    }

    /// Types a word at the end of an open file.
    pub(super) async fn types(&mut self, path: &'static str) {
        self.hub_seq += 1;
        let word = format!("<{}:{}>", self.number, self.hub_seq);
        self.ledger.typed(path, &word);
        let Open { channel, file, doc, .. } = &self.files[path];
        let before = doc.transact().state_vector();
        let text = doc.get_or_insert_text(limits::TEXT_ROOT);
        let mut change = doc.transact_mut();
        let end = text.len(&change);
        text.insert(&mut change, end, &word);
        let bytes = Bytes::from(change.encode_diff_v1(&before));
        drop(change);
        let update = HubMessage::Update {
            channel: *channel,
            file: file.clone(),
            hub_seq: self.hub_seq,
            kind: ChangeKind::Update,
            grant_version: 0,
            may_edit: true,
            author: "".into(),
            bytes,
        };
        self.owed.insert(self.hub_seq, (path, word, update.clone()));
        self.say(update).await;
    }

    /// Waits until everything that it has typed is logged.
    pub(super) async fn saved(&mut self) {
        self.until(|member| member.owed.is_empty()).await;
    }

    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            let messages = self.heard.recv().await.expect("the room goes on");
            for message in messages {
                self.hears(message).await;
            }
        }
    }

    async fn hears(&mut self, message: OriginMessage) {
        match message {
            OriginMessage::Opened { channel, file, .. } => self.of_channel(channel).file = file,
            OriginMessage::Diff { channel, ask, bytes, .. } => {
                let open = self.of_channel(channel);
                apply(&open.doc, &bytes);
                open.answered = ask;
            }
            OriginMessage::Updates { updates, .. } => {
                for update in updates {
                    let open = self.files.values().find(|open| open.file == update.file);
                    open.into_iter().for_each(|open| apply(&open.doc, &update.bytes));
                }
            }
            OriginMessage::Ack { hub_seq, .. } => {
                if let Some((path, word, _)) = self.owed.remove(&hub_seq) {
                    self.ledger.acknowledged(path, &word);
                }
            }
            OriginMessage::Resume => {
                let owed: Vec<_> = self.owed.values().map(|(_, _, update)| update.clone()).collect();
                for update in owed {
                    self.say(update).await;
                }
            }
            OriginMessage::Reset { .. } => {
                let paths: Vec<_> = self.files.keys().copied().collect();
                for path in paths {
                    self.ask(path).await;
                }
            }
            OriginMessage::Event { .. } | OriginMessage::Awareness { .. } | OriginMessage::Hold { .. } => {}
            other => panic!("member {} did not expect {other:?}", self.number),
        }
    }

    async fn ask(&mut self, path: &'static str) -> u64 {
        self.asked += 1;
        let Open { channel, file, doc, .. } = &self.files[path];
        let state_vector = doc.transact().state_vector().encode_v1().into();
        let ask = HubMessage::Sync { channel: *channel, file: file.clone(), ask: self.asked, state_vector };
        self.say(ask).await;
        self.asked
    }

    async fn say(&self, message: HubMessage) {
        self.attachment.send(vec![message]).await.unwrap();
    }

    fn of_channel(&mut self, channel: ChannelId) -> &mut Open {
        self.files.values_mut().find(|open| open.channel == channel).expect("a channel of its own")
    }
}

fn apply(doc: &Doc, bytes: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(bytes).unwrap()).unwrap();
}
