//! The driver of a room: one loop over hubs, room store and time that carries out what the state machine asks for.

mod joining;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use room::{Effect, LinkId, Room, Settings};
use shared::{
    Millis,
    id::RoomId,
    wire::link::{HubMessage, OriginMessage},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    announcer,
    calls::{self, StoreReply},
    open_rooms::{Inbound, OpenRooms},
    populate::needs_room,
    report,
    residency::Residency,
    roster::Roster,
    subscription::{Incoming, Subscription},
};
use crate::{
    clock,
    store::{Joined, Published},
};

/// Messages of hubs, or replies of the room store, that are handled before effects are carried out, so that they can
/// share a batch.
const AT_ONCE: usize = 64;
/// How long a room that cannot be populated, or cannot be left yet, waits until it tries again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

struct Driver {
    rooms: Arc<OpenRooms>,
    id: RoomId,
    room: Room,
    inbox: mpsc::Receiver<Inbound>,
    outboxes: HashMap<LinkId, mpsc::Sender<Vec<OriginMessage>>>,
    subscription: Subscription,
    calls: FuturesUnordered<BoxFuture<'static, StoreReply>>,
    residency: Residency,
    roster: Roster,
    draining: bool,
    /// Since when a change waits for the archive, as the metrics have it.
    unflushed: Option<Millis>,
    notes: mpsc::Sender<Bytes>,
}

/// Drives a room until nothing can reach it any more.
pub(super) async fn run(rooms: Arc<OpenRooms>, id: RoomId, inbox: mpsc::Receiver<Inbound>) {
    let settings = Settings {
        origin: rooms.parts.origin_id.clone(),
        create_on_open: rooms.parts.create_on_open,
        shared: rooms.parts.store.is_shared(),
        owned: rooms.parts.owned_clients,
        confirm: rooms.parts.store.confirms_by_append(),
        behind: u64::try_from(rooms.parts.behind.as_millis()).unwrap_or(u64::MAX),
    };
    let notes = announcer::start(&rooms, &id);
    let mut driver = Driver {
        room: Room::new(settings),
        rooms,
        id,
        inbox,
        outboxes: HashMap::new(),
        subscription: Subscription::Off,
        calls: FuturesUnordered::new(),
        residency: Residency::parked(Instant::now()),
        roster: Roster::default(),
        draining: false,
        unflushed: None,
        notes,
    };
    while driver.step().await {
        driver.carry_out();
        driver.look_after().await;
        driver.keep_lease();
    }
}

impl Driver {
    /// Waits for one input and handles it. Whether to go on.
    async fn step(&mut self) -> bool {
        // A renewal that finds the room gone must still give up the load that it was given.
        if matches!(self.residency, Residency::Parked { .. })
            && self.outboxes.is_empty()
            && self.calls.is_empty()
            && !self.room.holds_unflushed()
        {
            if self.residency.take_lease() {
                calls::let_go(&self.rooms, &self.id).await;
            }
            if self.rooms.close_if_unused(&self.id, &self.inbox) {
                return false;
            }
        }
        if self.draining && self.calls.is_empty() && self.room.is_idle() {
            self.rooms.close(&self.id);
            return false;
        }
        let deadline = self.deadline();
        tokio::select! {
            biased;
            Some(reply) = self.calls.next() => {
                self.on_reply(reply);
                // What else is answered already goes to the hubs in the same messages.
                for _ in 0..AT_ONCE {
                    let Some(Some(reply)) = self.calls.next().now_or_never() else { break };
                    self.on_reply(reply);
                }
            }
            incoming = self.subscription.next() => self.on_incoming(incoming),
            inbound = self.inbox.recv() => match inbound {
                Some(inbound) => {
                    self.on_inbound(inbound).await;
                    for _ in 0..AT_ONCE {
                        let Ok(inbound) = self.inbox.try_recv() else { break };
                        self.on_inbound(inbound).await;
                    }
                }
                None => return false,
            },
            () = tokio::time::sleep_until(deadline) => self.room.tick(clock::now_ms()),
        }
        true
    }

    async fn on_inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Attach(link, outbox) => {
                self.outboxes.insert(link, outbox);
                self.room.attach(link);
            }
            Inbound::Detach(link) => {
                self.unlink(link);
            }
            Inbound::Hub(link, messages) => {
                if matches!(self.residency, Residency::Leaving { .. }) {
                    // The lease is given up already, and a flush may have removed the room: joined again.
                    self.residency = Residency::parked(Instant::now());
                }
                if messages.iter().any(needs_room) {
                    self.ensure_live(self.rooms.parts.create_on_open).await;
                }
                for message in messages {
                    if matches!(message, HubMessage::Open { .. } | HubMessage::Close { .. }) {
                        self.roster.changed(Instant::now());
                    }
                    self.room.hub_message(link, message, clock::now_ms());
                }
            }
            Inbound::Members(answer) => {
                let is_open = self.residency.is_joined() && !self.room.link_ids().is_empty();
                let _ = answer.send(is_open.then(|| report::members_of(&self.room)));
            }
            Inbound::Drain => {
                self.draining = true;
                self.outboxes.clear();
                let links: Vec<LinkId> = self.room.link_ids();
                for link in links {
                    self.room.detach(link, clock::now_ms());
                }
                if self.residency.is_joined() {
                    self.calls.push(calls::list(&self.rooms, &self.id, Vec::new()));
                }
            }
        }
    }

    fn on_reply(&mut self, reply: StoreReply) {
        let now = clock::now_ms();
        match reply {
            StoreReply::Appended(answer, took) => {
                match &answer {
                    Ok(logged) => self.rooms.parts.metrics.batch_logged(logged.len() as u64, took),
                    Err(error) => {
                        tracing::warn!(room.id = %self.id, %error, "an append failed; the hubs keep their changes");
                    }
                }
                self.room.appended(answer, now);
            }
            StoreReply::Read(file, answer) => self.room.file_read(&file, answer, now),
            StoreReply::Backfilled(link, answer) => self.room.backfilled(link, answer),
            StoreReply::Events(link, read, answer) => self.room.events_read(link, read, answer),
            StoreReply::CaughtUp(answer) => self.room.caught_up(answer, now),
            StoreReply::Claimed(path, id, answer) => self.room.claimed(&path, &id, answer, now),
            StoreReply::ArchiveRead(file, answer) => self.room.archive_read(&file, answer, now),
            StoreReply::Dirty(answer) => self.room.dirty_read(answer, now),
            StoreReply::Renewed(epoch, _) if epoch != self.room.position().epoch => {}
            StoreReply::Renewed(_, Ok(Joined::Ready(position)))
                if position.epoch == self.room.position().epoch =>
            {
                self.roster.changed(Instant::now());
            }
            StoreReply::Renewed(_, Ok(_)) => self.start_over("the room store holds another epoch"),
            StoreReply::Renewed(_, Err(error)) => {
                tracing::warn!(room.id = %self.id, %error, "a lease could not be renewed");
            }
            StoreReply::Erased(epoch, is_gone) if !is_gone || epoch != self.room.position().epoch => {}
            StoreReply::Erased(..) => {
                self.room.published(Published::Erased, clock::now_ms());
                self.residency = self.residency.erased(Instant::now());
                self.subscription = Subscription::Off;
            }
            StoreReply::Listed(outcome) => {
                self.roster.ended();
                if let Err(error) = outcome {
                    // The next renewal lists them again.
                    tracing::debug!(room.id = %self.id, %error, "members were not listed");
                }
            }
        }
    }

    fn on_incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Published(Published::Erased) => {
                let epoch = self.room.position().epoch;
                self.calls.push(calls::is_erased(&self.rooms, &self.id, epoch));
            }
            Incoming::Published(published) => {
                if let (Published::Note(_), Residency::Leaving { again_at }) =
                    (&published, &mut self.residency)
                {
                    *again_at = Instant::now();
                }
                self.room.published(published, clock::now_ms());
            }
            // A new subscription first, then the log.
            Incoming::Lost => self.subscription = Subscription::request(&self.rooms.parts.store, &self.id),
            Incoming::Begun => self.room.look_at_log(),
            Incoming::Failed(error) => {
                tracing::warn!(room.id = %self.id, %error, "a room cannot subscribe to its changes; it starts over");
                self.start_over("no subscription");
            }
        }
    }

    /// Whatever the inputs: a busy room must not lose its lease.
    fn keep_lease(&mut self) {
        let now = Instant::now();
        if self.residency.take_renewal(now, now + self.rooms.parts.lease / 3) {
            let epoch = self.room.position().epoch;
            self.calls.push(calls::renew(&self.rooms, &self.id, epoch));
        }
        if self.residency.has_lease() && self.roster.take(now) {
            self.calls.push(calls::list(&self.rooms, &self.id, report::members_of(&self.room)));
        }
    }

    fn deadline(&self) -> Instant {
        let now = clock::now_ms();
        let tick =
            self.room.next_tick().map(|at| Instant::now() + Duration::from_millis(at.saturating_sub(now)));
        let list = self.roster.due().filter(|_| self.residency.has_lease());
        let far = Instant::now() + Duration::from_secs(3600);
        [tick, list, self.residency.due_at(), self.comes_back_at()].into_iter().flatten().min().unwrap_or(far)
    }

    fn carry_out(&mut self) {
        for effect in self.room.effects() {
            match effect {
                Effect::ToHub(link, messages) => {
                    let full =
                        self.outboxes.get(&link).is_some_and(|outbox| outbox.try_send(messages).is_err());
                    if full {
                        // The hub asks for a new link and names its position.
                        self.unlink(link);
                    }
                }
                Effect::Unlink(link, why) => {
                    tracing::info!(room.id = %self.id, why, "a link is ended");
                    self.unlink(link);
                }
                Effect::Flush => self.rooms.parts.queue.request(&self.id),
                Effect::Announce(note) => {
                    // A full queue drops it: nothing in it is durable.
                    let _ = self.notes.try_send(note);
                }
                effect => {
                    let epoch = self.room.position().epoch;
                    self.calls.push(calls::call(&self.rooms, &self.id, epoch, effect));
                }
            }
        }
        self.count();
    }

    /// Moves what the room has counted into the metrics.
    fn count(&mut self) {
        // A room that is left is flushed, or another origin's to flush.
        let since = self.room.unflushed_since().filter(|_| self.residency.is_joined());
        if since != self.unflushed {
            self.unflushed = since;
            self.rooms.set_unflushed(&self.id, since);
        }
        self.rooms.parts.metrics.room_counted(self.room.counts());
    }

    fn unlink(&mut self, link: LinkId) {
        self.roster.changed(Instant::now());
        self.outboxes.remove(&link);
        self.room.detach(link, clock::now_ms());
    }
}
