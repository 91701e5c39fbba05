//! Hubs, origins, the links between them and the clients in front of them. Every queue is visible and moves only
//! when it is told to.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use room::{Effect as RoomEffect, LinkId, Room, Settings as RoomSettings, store::StoreError};
use shared::{
    grant::Role,
    hub::{Dialect, Frame, Hub, Persisted, Settings, Visitor},
    id::{ChannelId, FileId, SessionId},
    wire::link::{self, OriginMessage},
};

use super::{client::Client, store::Store, text_client::TextClient};

/// A Durable Object: the hub, what it has saved, and its sockets.
pub(crate) struct Shell {
    name: String,
    pub(crate) hub: Hub,
    pub(super) sessions: BTreeMap<SessionId, Bytes>,
    pub(super) channels: BTreeMap<ChannelId, Bytes>,
    pub(crate) outbox: BTreeMap<u64, Bytes>,
    pub(super) link_snapshot: Bytes,
    pub(crate) sockets: BTreeMap<SessionId, usize>,
    /// The sockets of clients of text frames.
    pub(crate) text_sockets: BTreeMap<SessionId, usize>,
    pub(crate) link: Option<usize>,
    /// It has asked an origin to dial.
    pub(crate) asked: bool,
    /// Which origin dials.
    pub(crate) origin: usize,
    pub(crate) dropped: Vec<String>,
}

/// A link: frames on their way up and down.
pub(crate) struct Pipe {
    pub(crate) hub: usize,
    pub(crate) origin: usize,
    pub(super) id: LinkId,
    pub(crate) up: VecDeque<Bytes>,
    pub(crate) down: VecDeque<Bytes>,
    pub(crate) alive: bool,
}

/// An origin with the room open.
pub(crate) struct Host {
    pub(crate) room: Room,
    pub(crate) jobs: VecDeque<RoomEffect>,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) store: Store,
    pub(crate) hubs: Vec<Shell>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) clients: Vec<Client>,
    /// Clients of text frames.
    pub(crate) texts: Vec<TextClient>,
    /// Frames on their way to each client.
    pub(crate) inboxes: Vec<VecDeque<Bytes>>,
    /// The session of each client, and its hub.
    pub(crate) places: Vec<Option<(usize, SessionId)>>,
    pub(crate) homes: Vec<usize>,
    pub(crate) role: Role,
    pub(super) next_id: u64,
}

impl World {
    pub(crate) fn new(files: &[&str], hubs: usize, hosts: usize) -> Self {
        let mut world = Self {
            now: 1_700_000_000_000,
            store: Store::new(files),
            hubs: Vec::new(),
            hosts: Vec::new(),
            pipes: Vec::new(),
            clients: Vec::new(),
            texts: Vec::new(),
            inboxes: Vec::new(),
            places: Vec::new(),
            homes: Vec::new(),
            role: Role::Editor,
            next_id: 1,
        };
        for at in 0..hosts {
            let settings = RoomSettings {
                origin: format!("o{at}"),
                create_on_open: true,
                shared: hosts > 1,
                owned: true,
                confirm: false,
                behind: 20_000,
            };
            let mut room = Room::new(settings);
            let names = world.store.names.iter().map(|(id, path)| (id.clone(), path.clone())).collect();
            room.begin(world.store.position, names, 0, "secret".to_owned());
            world.store.published.insert(at, VecDeque::new());
            world.hosts.push(Host { room, jobs: VecDeque::new() });
        }
        for at in 0..hubs {
            let name = format!("room~r{at}");
            let hub = Hub::new(Settings { name: name.clone(), durable: true }, world.now);
            world.hubs.push(Shell {
                name,
                hub,
                sessions: BTreeMap::new(),
                channels: BTreeMap::new(),
                outbox: BTreeMap::new(),
                link_snapshot: Bytes::new(),
                sockets: BTreeMap::new(),
                text_sockets: BTreeMap::new(),
                link: None,
                asked: false,
                origin: at % hosts,
                dropped: Vec::new(),
            });
        }
        world
    }

    /// A new member of a hub, connected.
    pub(crate) fn join(&mut self, hub: usize, file: &str, bare: bool) -> usize {
        let at = self.invite(hub, file, bare);
        self.connect(at);
        at
    }

    /// The same with a provider of before version 4.
    pub(crate) fn join_old(&mut self, hub: usize, file: &str) -> usize {
        let at = self.invite(hub, file, false);
        self.clients[at].version = None;
        self.connect(at);
        at
    }

    fn invite(&mut self, hub: usize, file: &str, bare: bool) -> usize {
        self.invite_as(self.clients.len() as u64 + 1, hub, file, bare)
    }

    pub(super) fn invite_as(&mut self, id: u64, hub: usize, file: &str, bare: bool) -> usize {
        self.clients.push(Client::new(id, file, bare));
        self.inboxes.push(VecDeque::new());
        self.places.push(None);
        self.homes.push(hub);
        self.clients.len() - 1
    }

    pub(crate) fn connect(&mut self, client: usize) {
        let hub = self.homes[client];
        self.next_id += 1;
        let session = SessionId::from_random(self.next_id << 20);
        let who = &mut self.clients[client];
        let dialect =
            if who.bare { Dialect::YWebsocket { document: who.name.clone() } } else { Dialect::Hocuspocus };
        self.inboxes[client].clear();
        self.places[client] = Some((hub, session));
        self.hubs[hub].sockets.insert(session, client);
        self.hubs[hub].hub.connect(session, Visitor { dialect, token: None }, self.now);
        self.clients[client].connected();
        self.settle_hub(hub);
    }

    /// The socket ends, from the client's side or by the network.
    pub(crate) fn disconnect(&mut self, client: usize) {
        if let Some((hub, session)) = self.vanish(client) {
            self.inboxes[client].clear();
            self.end_socket(hub, session);
        }
    }

    /// The client is gone, and nobody tells its hub: its socket looks like a quiet one. Returns that socket.
    pub(crate) fn vanish(&mut self, client: usize) -> Option<(usize, SessionId)> {
        let place = self.places[client].take()?;
        self.clients[client].disconnected();
        Some(place)
    }

    /// A hub hears of the end of a socket.
    pub(crate) fn end_socket(&mut self, hub: usize, session: SessionId) {
        self.hubs[hub].sockets.remove(&session);
        self.hubs[hub].sessions.remove(&session);
        self.hubs[hub].hub.disconnect(session, self.now);
        self.settle_hub(hub);
    }

    /// The hub gets the next frame of a client.
    pub(crate) fn deliver_from(&mut self, client: usize) -> bool {
        let Some((hub, session)) = self.places[client] else { return false };
        let Some(frame) = self.clients[client].out.pop_front() else { return false };
        self.hubs[hub].hub.receive(session, Frame::Binary(frame), self.now);
        self.settle_hub(hub);
        true
    }

    /// A client gets the next frame of its hub.
    pub(crate) fn deliver_to(&mut self, client: usize) -> bool {
        let Some(frame) = self.inboxes[client].pop_front() else { return false };
        let before = self.clients[client].unsynced;
        self.clients[client].receive(&frame);
        let who = &self.clients[client];
        if before > 0 && who.unsynced == 0 && who.surplus == 0 {
            self.clients[client].saved = who.typed();
            self.assert_logged(client);
        }
        true
    }

    pub(crate) fn deliver_up(&mut self, pipe: usize) -> bool {
        let Some(frame) = self.pipes[pipe].up.pop_front() else { return false };
        let (host, id) = (self.pipes[pipe].origin, self.pipes[pipe].id);
        for message in link::decode_hub(&frame).expect("a hub writes what can be read") {
            self.hosts[host].room.hub_message(id, message, self.now);
        }
        self.settle_host(host);
        true
    }

    pub(crate) fn deliver_down(&mut self, pipe: usize) -> bool {
        let hub = self.pipes[pipe].hub;
        if self.hubs[hub].link != Some(pipe) {
            self.pipes[pipe].down.clear();
            return false;
        }
        let Some(frame) = self.pipes[pipe].down.pop_front() else { return false };
        for message in link::decode_origin(&frame).expect("an origin writes what can be read") {
            self.hubs[hub].hub.link_message(message, self.now);
        }
        self.settle_hub(hub);
        true
    }

    /// A hub hears something that its origin did not say.
    pub(crate) fn hub_hears(&mut self, hub: usize, message: OriginMessage) {
        self.hubs[hub].hub.link_message(message, self.now);
        self.settle_hub(hub);
    }

    /// The most that a socket of the hub has to keep, in bytes.
    pub(crate) fn largest_snapshot(&self, hub: usize) -> usize {
        self.hubs[hub].sessions.values().map(Bytes::len).max().unwrap_or(0)
    }

    /// An origin that was asked dials.
    pub(crate) fn dial(&mut self, hub: usize) -> bool {
        if !std::mem::take(&mut self.hubs[hub].asked) {
            return false;
        }
        self.next_id += 1;
        let id = LinkId(self.next_id);
        let origin = self.hubs[hub].origin;
        if let Some(old) = self.hubs[hub].link {
            self.pipes[old].alive = false;
        }
        self.hosts[origin].room.attach(id);
        let pipe = Pipe { hub, origin, id, up: VecDeque::new(), down: VecDeque::new(), alive: true };
        self.pipes.push(pipe);
        self.hubs[hub].link = Some(self.pipes.len() - 1);
        self.hubs[hub].link_snapshot = Bytes::new();
        self.hubs[hub].hub.link_up(self.now);
        self.settle_hub(hub);
        true
    }

    /// The link of a hub ends; what is on its way in it is lost.
    pub(crate) fn cut(&mut self, hub: usize) -> bool {
        let Some(pipe) = self.hubs[hub].link.take() else { return false };
        self.end_pipe(pipe);
        self.hubs[hub].hub.link_down(self.now);
        self.settle_hub(hub);
        true
    }

    pub(super) fn end_pipe(&mut self, pipe: usize) {
        let Pipe { origin, id, .. } = self.pipes[pipe];
        self.pipes[pipe].alive = false;
        self.pipes[pipe].up.clear();
        self.pipes[pipe].down.clear();
        self.hosts[origin].room.detach(id, self.now);
        self.settle_host(origin);
    }

    /// The hub's memory goes; sockets and link stay. It is rebuilt from what it has saved.
    pub(crate) fn evict(&mut self, hub: usize) {
        // No platform evicts and rebuilds an object within a millisecond.
        self.now += 1;
        let shell = &mut self.hubs[hub];
        let snapshot = |session: &SessionId| shell.sessions.get(session).cloned().unwrap_or_default();
        let sockets = shell.sockets.keys().chain(shell.text_sockets.keys());
        let persisted = Persisted {
            sessions: sockets.map(|session| (*session, snapshot(session))).collect(),
            channels: shell.channels.iter().map(|(id, row)| (*id, row.clone())).collect(),
            outbox: shell.outbox.iter().map(|(row, bytes)| (*row, bytes.clone())).collect(),
            link: shell.link.map(|_| shell.link_snapshot.clone()),
        };
        shell.hub = Hub::rebuild(Settings { name: shell.name.clone(), durable: true }, persisted, self.now);
        self.settle_hub(hub);
    }

    /// The room store answers the next thing an origin has asked of it.
    pub(crate) fn answer(&mut self, host: usize) -> bool {
        let Some(job) = self.hosts[host].jobs.pop_front() else { return false };
        let (room, store, now) = (&mut self.hosts[host].room, &mut self.store, self.now);
        match job {
            RoomEffect::Append(batch) => {
                let answer = store.append(batch);
                room.appended(answer, now);
            }
            RoomEffect::Read(file) => room.file_read(&file, store.read(&file), now),
            RoomEffect::Backfill(link, from) => room.backfilled(link, Ok(store.backfill(from))),
            RoomEffect::Events(link, read) => room.events_read(link, read, store.read(&FileId::room())),
            RoomEffect::CatchUp(from) => room.caught_up(Ok(store.backfill(from)), now),
            RoomEffect::ReadArchive(file) => {
                room.archive_read(&file, Ok::<_, StoreError>(store.stored(&file)), now)
            }
            RoomEffect::Claim(path, known) => {
                self.next_id += 1;
                let new = || FileId::from_random(u128::from(self.next_id) << 64 | 1);
                let id = known.unwrap_or_else(new);
                let answer = store.claim(&path, &id);
                room.claimed(&path, &id, Ok(answer), now);
            }
            // Nothing is flushed here.
            RoomEffect::Dirty => room.dirty_read(Err(StoreError::Failed("not asked".to_owned())), now),
            RoomEffect::Flush | RoomEffect::ToHub(..) | RoomEffect::Unlink(..) | RoomEffect::Announce(_) => {}
        }
        self.settle_host(host);
        true
    }

    pub(crate) fn take_published(&mut self, host: usize) -> bool {
        let Some(published) = self.store.published.get_mut(&host).and_then(VecDeque::pop_front) else {
            return false;
        };
        self.hosts[host].room.published(published, self.now);
        self.settle_host(host);
        true
    }

    /// Time passes, and what is due happens.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        for hub in 0..self.hubs.len() {
            self.hubs[hub].hub.tick(self.now);
            self.settle_hub(hub);
        }
        for host in 0..self.hosts.len() {
            self.hosts[host].room.tick(self.now);
            self.settle_host(host);
        }
    }

    /// Everything that can move moves, in turn, until nothing does.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            let mut moved = false;
            for client in 0..self.clients.len() {
                moved |= self.deliver_from(client) | self.deliver_to(client);
            }
            for client in 0..self.texts.len() {
                moved |= self.deliver_from_text(client) | self.deliver_to_text(client);
            }
            for hub in 0..self.hubs.len() {
                moved |= self.dial(hub);
            }
            for pipe in 0..self.pipes.len() {
                moved |= self.deliver_up(pipe) | self.deliver_down(pipe);
            }
            for host in 0..self.hosts.len() {
                moved |= self.answer(host) | self.take_published(host);
            }
            if !moved {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// Runs, lets time pass, and runs again, as long as something is late.
    pub(crate) fn rest(&mut self) {
        for _ in 0..40 {
            self.run();
            for client in 0..self.clients.len() {
                if self.places[client].is_none() && !self.clients[client].denied_for_good() {
                    self.connect(client);
                }
            }
            for client in 0..self.texts.len() {
                if self.texts[client].place.is_none() {
                    self.connect_text(client);
                }
            }
            self.pass(1_000);
        }
        self.run();
    }
}
