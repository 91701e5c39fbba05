//! A stock `HocuspocusProvider`, as `docs/PROTOCOL.md` describes it: its count of unsynced changes, its offline
//! queue, its answers. And a `y-websocket` client, which counts nothing.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use shared::{
    update::{Ahead, History},
    wire::{
        hocuspocus::{self, ClientMessage, ServerMessage},
        yjs::{self, AwarenessEntry, SyncMessage, YMessage},
    },
};
use yrs::{
    Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Text, Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

/// One document on one socket.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) bare: bool,
    /// What its token frames name; providers before 4 name none.
    pub(crate) version: Option<&'static str>,
    pub(crate) doc: Doc,
    pub(crate) id: u64,
    /// Whose it is.
    pub(crate) member: u64,
    /// What the provider counts; `hasUnsyncedChanges` is that it is not 0.
    pub(crate) unsynced: u32,
    pub(crate) synced: bool,
    pub(crate) online: bool,
    /// Frames that it has sent and the hub has not received.
    pub(crate) out: VecDeque<Bytes>,
    /// Updates made while offline; sent at the first frame, uncounted.
    queue: VecDeque<Bytes>,
    heard: bool,
    /// Uncounted updates of this connection: acknowledgements may run ahead by that many.
    pub(crate) surplus: u32,
    /// How much it had typed when it last showed "Saved".
    pub(crate) saved: u32,
    /// Bytes of updates that it was sent.
    pub(crate) brought: usize,
    pub(crate) status: (u32, u32),
    pub(crate) denied: Vec<String>,
    pub(crate) closed: Vec<String>,
    pub(crate) events: Vec<String>,
    /// Awareness as y-protocols keeps it: client -> (clock, state).
    pub(crate) awareness: BTreeMap<u64, (u64, Option<String>)>,
    /// Updates that came before what they depend on.
    early: Vec<Bytes>,
}

impl Client {
    pub(crate) fn new(id: u64, name: &str, bare: bool) -> Self {
        let options = Options {
            offset_kind: OffsetKind::Utf16,
            client_id: yrs::ClientID::new(id),
            ..Options::default()
        };
        let doc = Doc::with_options(options);
        doc.get_or_insert_text("content");
        Self {
            name: name.to_owned(),
            bare,
            version: Some("4.8.0"),
            doc,
            id,
            member: id,
            unsynced: 0,
            synced: false,
            online: false,
            out: VecDeque::new(),
            queue: VecDeque::new(),
            heard: false,
            surplus: 0,
            saved: 0,
            brought: 0,
            status: (0, 0),
            denied: Vec::new(),
            closed: Vec::new(),
            events: Vec::new(),
            awareness: BTreeMap::new(),
            early: Vec::new(),
        }
    }

    /// The socket is open: Auth, Step1 and awareness go out at once.
    pub(crate) fn connected(&mut self) {
        self.online = true;
        self.heard = false;
        self.synced = false;
        self.surplus = 0;
        self.unsynced = 0;
        self.out.clear();
        if !self.bare {
            self.send(ClientMessage::Token { token: "token", version: self.version });
        }
        self.step1();
        // With the clock that it had.
        if let Some((clock, Some(state))) = self.awareness.get(&self.id).cloned() {
            self.send_entries(&[AwarenessEntry { client: self.id, clock, state: &state }]);
        }
    }

    /// Whether there is no point in coming back.
    pub(crate) fn denied_for_good(&self) -> bool {
        !self.denied.is_empty()
    }

    pub(crate) fn disconnected(&mut self) {
        self.online = false;
        self.out.clear();
        // It shows the others no more, but remembers their clocks.
        let others = self.awareness.iter_mut().filter(|(client, _)| **client != self.id);
        others.for_each(|(_, (_, state))| *state = None);
    }

    /// `forceSync()`, and the first step of every opening.
    pub(crate) fn step1(&mut self) {
        // What is in flight is not counted any more, but it is still acknowledged until the server hears of this.
        self.surplus += self.unsynced;
        self.unsynced = u32::from(!self.bare);
        let state_vector = self.doc.transact().state_vector().encode_v1();
        self.sync(SyncMessage::Step1(&state_vector));
    }

    /// Inserts `text` at the character `at` (wrapped into the document), or deletes one there.
    pub(crate) fn edit(&mut self, at: usize, text: Option<&str>) {
        let before = self.text();
        let at = at % (before.chars().count() + usize::from(text.is_some())).max(1);
        let mut units = before.chars().map(char::len_utf16);
        let index = u32::try_from(units.clone().take(at).sum::<usize>()).expect("a short text");
        let content = self.doc.get_or_insert_text("content");
        let mut transaction = self.doc.transact_mut();
        match (text, units.nth(at)) {
            (Some(text), _) => content.insert(&mut transaction, index, text),
            (None, Some(units)) => content.remove_range(&mut transaction, index, units as u32),
            (None, None) => return,
        }
        let update: Bytes = transaction.encode_update_v1().into();
        drop(transaction);
        self.makes(update);
    }

    /// Has this text in the place of all that there is.
    pub(crate) fn replace(&mut self, text: &str) {
        let content = self.doc.get_or_insert_text("content");
        let mut transaction = self.doc.transact_mut();
        let length = content.len(&transaction);
        content.remove_range(&mut transaction, 0, length);
        content.insert(&mut transaction, 0, text);
        let update: Bytes = transaction.encode_update_v1().into();
        drop(transaction);
        self.makes(update);
    }

    /// Sends what it has done to its document, or keeps it for later.
    fn makes(&mut self, update: Bytes) {
        if self.online && (self.heard || self.bare) {
            self.unsynced += u32::from(!self.bare);
            self.sync(SyncMessage::Update(&update));
        } else if !self.bare {
            self.unsynced += 1;
            self.queue.push_back(update);
        }
    }

    pub(crate) fn text(&self) -> String {
        let content = self.doc.get_or_insert_text("content");
        content.get_string(&self.doc.transact())
    }

    /// Whether it waits for updates that came out of order.
    pub(crate) fn is_pending(&self) -> bool {
        !self.early.is_empty()
    }

    pub(crate) fn state_vector(&self) -> StateVector {
        self.doc.transact().state_vector()
    }

    /// How much it has typed.
    pub(crate) fn typed(&self) -> u32 {
        self.state_vector().get(&yrs::ClientID::new(self.id))
    }

    /// Shows something (a cursor).
    pub(crate) fn show(&mut self, state: &str) {
        let clock = self.clock() + 1;
        self.awareness.insert(self.id, (clock, Some(state.to_owned())));
        self.send_entries(&[AwarenessEntry { client: self.id, clock, state }]);
    }

    /// The clock of what it shows.
    pub(crate) fn clock(&self) -> u64 {
        self.awareness.get(&self.id).map_or(0, |(clock, _)| *clock)
    }

    /// Shows something for another awareness client of the same document.
    pub(crate) fn show_as(&mut self, client: u64, clock: u64, state: &str) {
        let update = yjs::write_awareness(&[AwarenessEntry { client, clock: clock & 0xffff_ffff, state }]);
        self.send(ClientMessage::Awareness(&update));
    }

    /// Sends bytes as an update, whatever they are.
    pub(crate) fn send_update(&mut self, update: &[u8]) {
        self.sync(SyncMessage::Update(update));
    }

    /// The answer to a question about awareness: everything that it knows, of others too.
    fn show_all(&mut self) {
        let known = self.awareness.clone();
        let entries = known.iter().filter_map(|(client, (clock, state))| {
            Some(AwarenessEntry { client: *client, clock: *clock, state: state.as_deref()? })
        });
        self.send_entries(&entries.collect::<Vec<_>>());
    }

    fn send_entries(&mut self, entries: &[AwarenessEntry<'_>]) {
        let update = yjs::write_awareness(entries);
        let frame = if self.bare {
            yjs::write_y(&YMessage::Awareness(&update))
        } else {
            hocuspocus::write_client(&self.name, &ClientMessage::Awareness(&update))
        };
        self.out.push_back(frame);
    }

    /// Who else it sees in the document.
    pub(crate) fn sees(&self) -> Vec<u64> {
        let others = self.awareness.iter().filter(|(id, (_, state))| **id != self.id && state.is_some());
        others.map(|(id, _)| *id).collect()
    }

    pub(crate) fn stateless(&mut self, payload: &str) {
        self.send(ClientMessage::Stateless(payload));
    }

    pub(crate) fn leave(&mut self) {
        self.send(ClientMessage::Close);
    }

    /// A frame of the server.
    pub(crate) fn receive(&mut self, frame: &Bytes) {
        if !self.heard {
            self.heard = true;
            self.surplus += u32::try_from(self.queue.len()).unwrap_or(0);
            for update in std::mem::take(&mut self.queue) {
                self.sync(SyncMessage::Update(&update));
            }
        }
        if self.bare {
            match yjs::read_y(frame).expect("the server writes what can be read") {
                YMessage::Sync(message) => self.on_sync(message),
                YMessage::Awareness(update) => self.on_awareness(update),
                YMessage::QueryAwareness => self.show_all(),
                _ => {}
            }
            return;
        }
        if frame.len() == 1 {
            assert!(self.version.is_some(), "providers before 4 throw on a Ping");
            return self.out.push_back(Bytes::from_static(hocuspocus::PONG));
        }
        let (key, message) = hocuspocus::read_server(frame).expect("the server writes what can be read");
        assert_eq!(key, self.name, "the routing key comes back byte for byte");
        match message {
            ServerMessage::Sync(message) => self.on_sync(message),
            ServerMessage::Awareness(update) => self.on_awareness(update),
            ServerMessage::SyncStatus(true) => {
                self.status.0 += 1;
                self.unsynced = self.unsynced.saturating_sub(1);
            }
            ServerMessage::QueryAwareness => self.show_all(),
            ServerMessage::SyncStatus(false) => self.status.1 += 1,
            ServerMessage::PermissionDenied { reason } => self.denied.push(reason.to_owned()),
            ServerMessage::Close { reason } => self.closed.push(reason.to_owned()),
            ServerMessage::Stateless(payload) => self.events.push(payload.to_owned()),
            _ => {}
        }
    }

    fn on_sync(&mut self, message: SyncMessage<'_>) {
        if let SyncMessage::Step2(update) | SyncMessage::Update(update) = message {
            self.brought += update.len();
        }
        match message {
            SyncMessage::Step1(state_vector) => {
                let known = StateVector::decode_v1(state_vector).expect("a state vector");
                let update = self.doc.transact().encode_state_as_update_v1(&known);
                self.sync(SyncMessage::Step2(&update));
            }
            SyncMessage::Step2(update) => {
                self.synced = true;
                self.apply(update);
            }
            SyncMessage::Update(update) => self.apply(update),
        }
    }

    /// Applies an update when what it depends on is there. Yjs keeps what comes too early; yrs 0.28 is not to be
    /// trusted with that, and this is a model of a Yjs client.
    pub(crate) fn apply(&mut self, update: &[u8]) {
        self.early.push(Bytes::copy_from_slice(update));
        loop {
            let mut history = History::of(&self.whole()).expect("an own document");
            let fits = |update: &Bytes| {
                let fits = history.admit(&Ahead::default(), update).is_ok();
                history.settle();
                fits
            };
            let Some(at) = self.early.iter().position(fits) else { return };
            let update = Update::decode_v1(&self.early.remove(at)).expect("an update");
            self.doc.transact_mut().apply_update(update).expect("an update that applies");
        }
    }

    pub(crate) fn whole(&self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }

    /// What y-protocols does with an update. Providers before 4 and y-websocket send on whatever it has changed; from
    /// version 4 on nothing that came from the server.
    fn on_awareness(&mut self, update: &[u8]) {
        let mut changed = Vec::new();
        for entry in yjs::read_relayed_awareness(update).expect("awareness") {
            let (clock, shown) = self.awareness.get(&entry.client).cloned().unwrap_or_default();
            let gone = entry.state == "null";
            if clock > entry.clock || (clock == entry.clock && !(gone && shown.is_some())) {
                continue;
            }
            // What it shows itself nobody takes away.
            let stays = gone && entry.client == self.id && shown.is_some();
            let clock = entry.clock + u64::from(stays);
            let state = if stays { shown } else { (!gone).then(|| entry.state.to_owned()) };
            self.awareness.insert(entry.client, (clock, state.clone()));
            changed.push((entry.client, clock, state.unwrap_or("null".to_owned())));
        }
        if (self.bare || self.version.is_none()) && !changed.is_empty() {
            let entries: Vec<AwarenessEntry<'_>> = changed
                .iter()
                .map(|(client, clock, state)| AwarenessEntry { client: *client, clock: *clock, state })
                .collect();
            self.send_entries(&entries);
        }
    }

    fn sync(&mut self, message: SyncMessage<'_>) {
        if !self.online {
            return;
        }
        let frame = if self.bare {
            yjs::write_y(&YMessage::Sync(message))
        } else {
            hocuspocus::write_client(&self.name, &ClientMessage::Sync(message))
        };
        self.out.push_back(frame);
    }

    fn send(&mut self, message: ClientMessage<'_>) {
        self.out.push_back(hocuspocus::write_client(&self.name, &message));
    }
}
