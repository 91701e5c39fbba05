//! The task of one hub: a loop over sockets, link and time that carries out what the hub asks for.
//!
//! What the hub asks to be saved is not: here its memory ends with its sockets. The task ends when the last
//! socket is gone and nothing is left to be acknowledged, and with it the hub's place in the room.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::extract::ws::Message;
use futures_util::future::BoxFuture;
use shared::{
    Millis,
    close::CloseCode,
    grant::Member,
    hub::{Effect, Hub, Settings},
    id::{ChannelId, RoomId, SessionId},
    wire::link::OriginMessage,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    Parts,
    input::{Arrival, Input},
    outgoing::Outgoing,
};
use crate::{
    clock,
    rooms::{Attachment, RoomError},
};

/// How often sockets with something to send are looked at.
const LOOK: Duration = Duration::from_millis(100);

type Outbox = mpsc::Receiver<Vec<OriginMessage>>;

/// The way to the room.
enum Link {
    Down,
    /// Being asked for.
    Coming(BoxFuture<'static, Result<Attachment, RoomError>>, Outbox),
    Up(Attachment, Outbox),
}

/// What the way to the room has brought.
enum FromRoom {
    Attached(Result<Attachment, RoomError>),
    Messages(Vec<OriginMessage>),
    Ended,
}

impl Link {
    async fn next(&mut self) -> FromRoom {
        match self {
            Self::Down => std::future::pending().await,
            Self::Coming(attachment, _) => FromRoom::Attached(attachment.await),
            Self::Up(_, outbox) => outbox.recv().await.map_or(FromRoom::Ended, FromRoom::Messages),
        }
    }
}

struct Seat {
    guest: Member,
    outgoing: Arc<Outgoing>,
    /// It was sent something since it had nothing to send.
    behind: bool,
}

/// The hub of a room, with its sockets and its place in the room.
pub(super) struct HubTask {
    parts: Arc<Parts>,
    room: RoomId,
    hub: Hub,
    seats: HashMap<SessionId, Seat>,
    link: Link,
    /// When the sockets that are behind are looked at.
    look_at: Option<Instant>,
}

impl HubTask {
    /// A hub without sockets and without a place in its room.
    pub(super) fn new(parts: Arc<Parts>, room: RoomId) -> Self {
        let settings = Settings { name: format!("direct~{}", parts.origin_id), durable: false };
        let hub = Hub::new(settings, clock::now_ms());
        Self { parts, room, hub, seats: HashMap::new(), link: Link::Down, look_at: None }
    }

    /// Runs until no socket is left and everything is acknowledged; `false` if it is not to be run again.
    pub(super) async fn run_until_empty(&mut self, inbox: &mut mpsc::Receiver<Input>) -> bool {
        let lifecycle = self.parts.lifecycle.clone();
        loop {
            let wake = self.wake();
            tokio::select! {
                input = inbox.recv() => match input {
                    Some(input) => self.on_input(input),
                    None => return false,
                },
                news = self.link.next() => self.on_room(news),
                () = sleep_until(wake) => self.on_time(),
                () = lifecycle.closing() => {
                    self.close_all(CloseCode::Draining);
                    return false;
                }
            }
            self.carry_out().await;
            if self.is_done() {
                return true;
            }
        }
    }

    fn on_input(&mut self, input: Input) {
        let now = clock::now_ms();
        match input {
            Input::Arrived(Arrival { session, visitor, guest, outgoing }) => {
                self.seats.insert(session, Seat { guest, outgoing, behind: false });
                self.hub.connect(session, visitor, now);
            }
            Input::Frame(session, frame, share) => {
                self.hub.receive(session, frame, now);
                drop(share);
            }
            Input::Gone(session) => {
                self.seats.remove(&session);
                self.hub.disconnect(session, now);
            }
        }
    }

    fn on_room(&mut self, news: FromRoom) {
        let now = clock::now_ms();
        match news {
            FromRoom::Attached(Ok(attachment)) => {
                if let Link::Coming(_, outbox) = std::mem::replace(&mut self.link, Link::Down) {
                    self.link = Link::Up(attachment, outbox);
                    self.hub.link_up(now);
                }
            }
            FromRoom::Attached(Err(error)) => {
                self.link = Link::Down;
                match error {
                    RoomError::Draining => self.close_all(CloseCode::Draining),
                    RoomError::NoRoom => self.close_all(CloseCode::NotFound),
                    // The hub asks again by itself.
                    error => tracing::warn!(room.id = %self.room, %error, "attaching a hub"),
                }
            }
            FromRoom::Messages(messages) => {
                for message in messages {
                    self.hub.link_message(message, now);
                }
            }
            FromRoom::Ended => {
                self.link = Link::Down;
                self.hub.link_down(now);
            }
        }
    }

    fn on_time(&mut self) {
        let now = clock::now_ms();
        if self.look_at.is_some_and(|at| at <= Instant::now()) {
            self.look_at = None;
            self.look_at_backlog(now);
        }
        if self.hub.next_tick().is_some_and(|at| at <= now) {
            self.hub.tick(now);
        }
    }

    fn look_at_backlog(&mut self, now: Millis) {
        let mut still_behind = false;
        for (session, seat) in self.seats.iter_mut().filter(|(_, seat)| seat.behind) {
            let bytes = seat.outgoing.bytes();
            seat.behind = bytes > 0;
            still_behind |= seat.behind;
            self.hub.backlog(*session, bytes, now);
        }
        if still_behind {
            self.look_at = Some(Instant::now() + LOOK);
        }
    }

    fn wake(&self) -> Instant {
        let now = clock::now_ms();
        let from_now = |at: Millis| Instant::now() + Duration::from_millis(at.saturating_sub(now));
        let tick = self.hub.next_tick().map(from_now);
        let idle = Instant::now() + Duration::from_secs(3600);
        [tick, self.look_at].into_iter().flatten().min().unwrap_or(idle)
    }

    async fn carry_out(&mut self) {
        loop {
            let effects = self.hub.effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.carry_out_one(effect).await;
            }
        }
    }

    async fn carry_out_one(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, frame } => {
                for session in to {
                    self.send(session, Message::Binary(frame.clone()));
                }
            }
            Effect::SendText { to, text } => self.send(to, Message::Text(text.into())),
            Effect::Close { session, code, reason } => self.close(session, code, &reason),
            Effect::Admit { channel, token } => self.admit(channel, &token),
            Effect::Link(messages) => {
                if let Link::Up(attachment, _) = &self.link
                    && attachment.send(messages).await.is_err()
                {
                    self.link = Link::Down;
                    self.hub.link_down(clock::now_ms());
                }
            }
            Effect::Dial => self.dial(),
            Effect::DropLink(end) => {
                tracing::debug!(room.id = %self.room, reason = end.word(), "the hub leaves its room");
                self.link = Link::Down;
            }
            // Whoever was sent something is looked at in a moment.
            Effect::Look { .. }
            | Effect::SaveSession { .. }
            | Effect::SaveChannel { .. }
            | Effect::DropChannel { .. }
            | Effect::SaveOutbox { .. }
            | Effect::ForgetOutbox { .. }
            | Effect::SaveLink { .. } => {}
        }
    }

    fn dial(&mut self) {
        if !matches!(self.link, Link::Down) {
            return;
        }
        let (rooms, room) = (self.parts.rooms.clone(), self.room.clone());
        let (sender, outbox) = mpsc::channel(crate::limits::ROOM_INBOX);
        self.link = Link::Coming(Box::pin(async move { rooms.attach(&room, sender).await }), outbox);
    }

    fn admit(&mut self, channel: ChannelId, token: &str) {
        let Some(seat) = self.seats.get(&channel.session()) else { return };
        let verdict = self.parts.access.admit(&self.room, &seat.guest, token);
        self.hub.admitted(channel, verdict, clock::now_ms());
    }

    fn send(&mut self, session: SessionId, message: Message) {
        let Some(seat) = self.seats.get_mut(&session) else { return };
        seat.behind = true;
        if seat.outgoing.push(message).is_err() {
            self.close(session, CloseCode::SlowConsumer, CloseCode::SlowConsumer.word());
            self.hub.disconnect(session, clock::now_ms());
            return;
        }
        self.look_at.get_or_insert_with(|| Instant::now() + LOOK);
    }

    fn close(&mut self, session: SessionId, code: CloseCode, reason: &str) {
        let Some(seat) = self.seats.remove(&session) else { return };
        if code == CloseCode::SlowConsumer {
            self.parts.metrics.slow_consumer();
            tracing::info!(room.id = %self.room, member.id = %seat.guest.id, "a client reads too slowly");
        }
        seat.outgoing.close(code, reason);
    }

    fn close_all(&mut self, code: CloseCode) {
        for (session, seat) in std::mem::take(&mut self.seats) {
            seat.outgoing.close(code, code.word());
            self.hub.disconnect(session, clock::now_ms());
        }
    }

    fn is_done(&self) -> bool {
        self.seats.is_empty() && self.hub.stats().unacknowledged == 0
    }
}
