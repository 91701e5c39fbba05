//! A room's task: one loop over hubs, room store and time that carries out what the state machine asks for.

mod counting;
mod holding;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use room::state::{Effect, LinkId, Room, Settings};
use shared::{
    Millis,
    id::RoomId,
    wire::link::{HubMessage, OriginMessage},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    announcer,
    hearing::{Heard, Hearing},
    jobs,
    jobs::Done,
    populate::needs_room,
    registry::{Inbound, Inner},
    report,
    roll::Roll,
};
use crate::{
    clock,
    store::{Joined, Published},
};

/// Messages of hubs, or answers of the room store, that are handled before effects are carried out, so that they can
/// share a batch.
const AT_ONCE: usize = 64;
/// How long a room that cannot be populated, or cannot be left yet, waits until it tries again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// How the room is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Nobody needs it: not populated.
    Parked,
    /// Populated, with a lease.
    Live,
    /// It could not be populated; tried again from then on.
    Failed(Instant),
}

struct Task {
    inner: Arc<Inner>,
    id: RoomId,
    room: Room,
    inbox: mpsc::Receiver<Inbound>,
    outboxes: HashMap<LinkId, mpsc::Sender<Vec<OriginMessage>>>,
    hearing: Hearing,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    hold: Hold,
    renew_at: Instant,
    roll: Roll,
    /// Nobody is here, but something is dirty: leaving is tried again then, or when a flush says so.
    leave_at: Option<Instant>,
    /// When the room is joined although nobody has come, to give back what the store may have lost.
    back_at: Instant,
    /// It was given up without leaving, since its hubs usually come back at once.
    may_have_lease: bool,
    draining: bool,
    /// Since when a change waits for the archive, as it was said last.
    unstored: Option<Millis>,
    notes: mpsc::Sender<Bytes>,
}

/// Runs a room until nobody can reach it any more.
pub(super) async fn run(inner: Arc<Inner>, id: RoomId, inbox: mpsc::Receiver<Inbound>) {
    let settings = Settings {
        origin: inner.parts.origin_id.clone(),
        create_on_open: inner.parts.create_on_open,
        shared: inner.parts.store.is_shared(),
        owned: inner.parts.owned_clients,
        confirm: inner.parts.store.confirms_by_append(),
        behind: u64::try_from(inner.parts.behind.as_millis()).unwrap_or(u64::MAX),
    };
    let notes = announcer::start(&inner, &id);
    let mut task = Task {
        room: Room::new(settings),
        inner,
        id,
        inbox,
        outboxes: HashMap::new(),
        hearing: Hearing::Nothing,
        jobs: FuturesUnordered::new(),
        hold: Hold::Parked,
        renew_at: Instant::now(),
        roll: Roll::default(),
        leave_at: None,
        back_at: Instant::now(),
        may_have_lease: false,
        draining: false,
        unstored: None,
        notes,
    };
    while task.step().await {
        task.carry_out();
        task.look_after().await;
        task.keep_lease();
    }
}

impl Task {
    /// Waits for one input and handles it. Whether to go on.
    async fn step(&mut self) -> bool {
        // A renewal that finds the room gone must still give up the load that it was given.
        if self.hold == Hold::Parked
            && self.outboxes.is_empty()
            && self.jobs.is_empty()
            && !self.room.keeps_unstored()
        {
            if std::mem::take(&mut self.may_have_lease) {
                jobs::let_go(&self.inner, &self.id).await;
            }
            if self.inner.close_if_unused(&self.id, &self.inbox) {
                return false;
            }
        }
        if self.draining && self.jobs.is_empty() && self.room.is_idle() {
            self.inner.close(&self.id);
            return false;
        }
        let deadline = self.deadline();
        tokio::select! {
            biased;
            Some(done) = self.jobs.next() => {
                self.on_done(done);
                // What else is answered already goes to the hubs in the same messages.
                for _ in 0..AT_ONCE {
                    let Some(Some(done)) = self.jobs.next().now_or_never() else { break };
                    self.on_done(done);
                }
            }
            heard = self.hearing.next() => self.on_heard(heard),
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
            () = tokio::time::sleep_until(deadline) => self.on_time(),
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
                if self.leave_at.take().is_some() {
                    // The lease is given up already, and a flush may have removed the room: joined anew.
                    self.hold = Hold::Parked;
                }
                if messages.iter().any(needs_room) {
                    self.ensure_live(self.inner.parts.create_on_open).await;
                }
                for message in messages {
                    if matches!(message, HubMessage::Open { .. } | HubMessage::Close { .. }) {
                        self.roll.changed(Instant::now());
                    }
                    self.room.hub_message(link, message, clock::now_ms());
                }
            }
            Inbound::Members(answer) => {
                let live = self.hold == Hold::Live && self.room.has_links();
                let _ = answer.send(live.then(|| report::members_of(&self.room)));
            }
            Inbound::Drain => {
                self.draining = true;
                self.outboxes.clear();
                let links: Vec<LinkId> = self.room.link_ids();
                for link in links {
                    self.room.detach(link, clock::now_ms());
                }
                if self.hold == Hold::Live {
                    self.jobs.push(jobs::list(&self.inner, &self.id, Vec::new()));
                }
            }
        }
    }

    fn on_done(&mut self, done: Done) {
        let now = clock::now_ms();
        match done {
            Done::Appended(answer, took) => {
                match &answer {
                    Ok(logged) => self.inner.parts.metrics.batch_logged(logged.len() as u64, took),
                    Err(error) => {
                        tracing::warn!(room.id = %self.id, %error, "an append failed; the hubs keep their changes");
                    }
                }
                self.room.appended(answer, now);
            }
            Done::Read(file, answer) => self.room.file_read(&file, answer, now),
            Done::Backfilled(link, answer) => self.room.backfilled(link, answer),
            Done::Events(link, read, answer) => self.room.events_read(link, read, answer),
            Done::CaughtUp(answer) => self.room.caught_up(answer, now),
            Done::Claimed(path, id, answer) => self.room.claimed(&path, &id, answer, now),
            Done::Stored(file, answer) => self.room.stored_read(&file, answer, now),
            Done::Dirty(answer) => self.room.dirty_read(answer, now),
            Done::Renewed(epoch, _) if epoch != self.room.position().epoch => {}
            Done::Renewed(_, Ok(Joined::Ready(position))) if position.epoch == self.room.position().epoch => {
                self.roll.changed(Instant::now());
            }
            Done::Renewed(_, Ok(_)) => self.start_over("the room store holds another epoch"),
            Done::Renewed(_, Err(error)) => {
                tracing::warn!(room.id = %self.id, %error, "a lease could not be renewed");
            }
            Done::Erased(epoch, is_gone) if !is_gone || epoch != self.room.position().epoch => {}
            Done::Erased(..) => {
                self.room.published(Published::Erased, clock::now_ms());
                self.hold = Hold::Parked;
                self.hearing = Hearing::Nothing;
            }
            Done::Listed(outcome) => {
                self.roll.told();
                if let Err(error) = outcome {
                    // The next renewal says it again.
                    tracing::debug!(room.id = %self.id, %error, "members were not listed");
                }
            }
        }
    }

    fn on_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Published(Published::Erased) => {
                let epoch = self.room.position().epoch;
                self.jobs.push(jobs::is_erased(&self.inner, &self.id, epoch));
            }
            Heard::Published(published) => {
                if matches!(published, Published::Note(_)) && self.leave_at.is_some() {
                    self.leave_at = Some(Instant::now());
                }
                self.room.published(published, clock::now_ms());
            }
            // A new subscription first, then the log.
            Heard::Lost => self.hearing = Hearing::ask(&self.inner.parts.store, &self.id),
            Heard::Begun => self.room.look_at_log(),
            Heard::Failed(error) => {
                tracing::warn!(room.id = %self.id, %error, "a room is not heard");
                self.start_over("it is not heard");
            }
        }
    }

    fn on_time(&mut self) {
        self.room.tick(clock::now_ms());
    }

    /// Whatever the inputs: a busy room must not lose its lease.
    fn keep_lease(&mut self) {
        if !self.holds_lease() {
            return;
        }
        if self.renew_at <= Instant::now() {
            self.renew_at = Instant::now() + self.inner.parts.lease / 3;
            let epoch = self.room.position().epoch;
            self.jobs.push(jobs::renew(&self.inner, &self.id, epoch));
        }
        if self.roll.take(Instant::now()) {
            self.jobs.push(jobs::list(&self.inner, &self.id, report::members_of(&self.room)));
        }
    }

    fn holds_lease(&self) -> bool {
        self.hold == Hold::Live && self.leave_at.is_none()
    }

    fn deadline(&self) -> Instant {
        let now = clock::now_ms();
        let tick =
            self.room.next_tick().map(|at| Instant::now() + Duration::from_millis(at.saturating_sub(now)));
        let renew = self.holds_lease().then_some(self.renew_at);
        let list = self.roll.due().filter(|_| self.holds_lease());
        let far = Instant::now() + Duration::from_secs(3600);
        [tick, renew, list, self.leave_at, self.comes_back_at()].into_iter().flatten().min().unwrap_or(far)
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
                Effect::Flush => self.inner.parts.queue.request(&self.id),
                Effect::Announce(note) => {
                    // A full queue drops it: nothing in it is durable.
                    let _ = self.notes.try_send(note);
                }
                effect => {
                    let epoch = self.room.position().epoch;
                    self.jobs.push(jobs::ask(&self.inner, &self.id, epoch, effect));
                }
            }
        }
        self.count();
    }

    fn unlink(&mut self, link: LinkId) {
        self.roll.changed(Instant::now());
        self.outboxes.remove(&link);
        self.room.detach(link, clock::now_ms());
    }
}
