//! What must be true of a world, and ways to look into it.

use shared::{
    position::{Epoch, Position},
    wire::link::{self, HubMessage, OriginMessage},
};
use yrs::{
    Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Transact, Update, updates::decoder::Decode,
};

use super::World;

impl World {
    /// What the log amounts to.
    pub(crate) fn logged(&self, file: &str) -> Doc {
        let doc = Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::default() });
        doc.get_or_insert_text("content");
        let id = self.store.names.iter().find(|(_, path)| path.as_str() == file).map(|(id, _)| id.clone());
        let Some(id) = id else { return doc };
        let log = self.store.read(&id).expect("a file that is there");
        for bytes in std::iter::once(&log.base).chain(log.updates.iter().map(|entry| &entry.bytes)) {
            let update = Update::decode_v1(bytes).expect("a logged update");
            let mut transaction = doc.transact_mut();
            transaction.apply_update(update).expect("a logged update applies");
            assert!(!transaction.has_missing_updates(), "the log is causal");
        }
        doc
    }

    pub(crate) fn logged_text(&self, file: &str) -> String {
        let doc = self.logged(file);
        let text = doc.get_or_insert_text("content");
        text.get_string(&doc.transact())
    }

    /// A flush has stored a file: its log becomes the base.
    pub(crate) fn flush(&mut self, file: &str) {
        let state = self.logged(file).transact().encode_state_as_update_v1(&StateVector::default());
        self.store.trim(file, state.into());
    }

    /// A file's log was compacted; the archive does not have it.
    pub(crate) fn compact(&mut self, file: &str) {
        let state = self.logged(file).transact().encode_state_as_update_v1(&StateVector::default());
        self.store.compact(file, state.into());
    }

    /// The last member has left, the room was depopulated, and the next one populates it again.
    pub(crate) fn populate_again(&mut self, host: usize) {
        assert!(self.hosts[host].room.is_idle());
        let epoch = Epoch(self.store.position.epoch.0 + 1);
        self.store.position = Position { epoch, seq: 0, ts: self.store.position.ts + 1 };
        let names = self.store.names.iter().map(|(id, path)| (id.clone(), path.clone())).collect();
        self.hosts[host].room.begin(self.store.position, names, 0, "secret".to_owned());
        self.settle_host(host);
    }

    /// The room store is emptied; the origins notice, let go of their hubs and populate the room again from the archive.
    pub(crate) fn lose_store(&mut self) {
        self.store.empty();
        self.begin_epoch();
    }

    /// The room store is in another epoch: the origins notice.
    pub(crate) fn begin_epoch(&mut self) {
        for host in 0..self.hosts.len() {
            self.hosts[host].room.unlink_all("epoch");
            self.settle_host(host);
            self.hosts[host].jobs.clear();
        }
        let names: Vec<_> = self.store.names.iter().map(|(id, path)| (id.clone(), path.clone())).collect();
        for host in 0..self.hosts.len() {
            self.hosts[host].room.begin(self.store.position, names.clone(), 0, "secret".to_owned());
            self.settle_host(host);
        }
    }

    /// The origins and the room store come to rest; no hub and no client is heard.
    pub(crate) fn run_origins(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for host in 0..self.hosts.len() {
                moved |= self.answer(host) | self.take_published(host);
            }
            if !moved {
                return;
            }
        }
        panic!("the origins do not come to rest");
    }

    /// What was ever shown as saved is in the log.
    pub(crate) fn assert_saved_is_logged(&self) {
        (0..self.clients.len()).for_each(|client| self.assert_logged(client));
    }

    /// An origin that nobody uses forgets the room and opens it again.
    pub(crate) fn begin_again(&mut self, host: usize) {
        let names = self.store.names.iter().map(|(id, path)| (id.clone(), path.clone())).collect();
        self.store.published.entry(host).or_default().clear();
        self.hosts[host].room.begin(self.store.position, names, 100, "secret".to_owned());
        self.settle_host(host);
    }

    pub(crate) fn hub_ticks(&mut self, hub: usize) {
        self.hubs[hub].hub.tick(self.now);
        self.settle_hub(hub);
    }

    /// What a hub, its origin and one client have for each other arrives, and nothing else moves.
    pub(crate) fn run_only(&mut self, hub: usize, client: usize) {
        self.settle_host(self.hubs[hub].origin);
        if let Some(pipe) = self.hubs[hub].link {
            while self.deliver_up(pipe) | self.deliver_down(pipe) {}
        }
        while self.deliver_to(client) | self.deliver_from(client) {}
    }

    /// What a client showed as saved is in the log.
    pub(super) fn assert_logged(&self, client: usize) {
        let who = &self.clients[client];
        let logged = self.logged(&who.name).transact().state_vector().get(&yrs::ClientID::new(who.id));
        let (id, saved) = (who.id, who.saved);
        assert!(logged >= saved, "client {id} showed {saved} as saved, but the log has {logged}");
    }

    /// Everybody has the same text, it is the log's, and nobody waits for an acknowledgement.
    pub(crate) fn assert_converged(&self, file: &str) {
        let logged = self.logged_text(file);
        for client in self.clients.iter().filter(|client| client.name == file && client.online) {
            assert!(!client.is_pending(), "client {} waits for what it will never get", client.id);
            assert_eq!(client.text(), logged, "client {} differs from the log", client.id);
            assert_eq!(client.unsynced, 0, "client {} waits indefinitely", client.id);
            assert!(client.synced, "client {} never synchronised", client.id);
            assert_eq!(client.closed, Vec::<String>::new());
        }
    }

    /// Messages on their way up a hub's link, decoded.
    pub(crate) fn going_up(&self, hub: usize) -> Vec<HubMessage> {
        let Some(pipe) = self.hubs[hub].link else { return Vec::new() };
        self.pipes[pipe].up.iter().flat_map(|frame| link::decode_hub(frame).expect("a frame")).collect()
    }

    /// Messages on their way down a hub's link, decoded.
    pub(crate) fn going_down(&self, hub: usize) -> Vec<OriginMessage> {
        let Some(pipe) = self.hubs[hub].link else { return Vec::new() };
        self.pipes[pipe].down.iter().flat_map(|frame| link::decode_origin(frame).expect("a frame")).collect()
    }
}
