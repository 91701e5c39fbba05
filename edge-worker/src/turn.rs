//! One turn: an event goes into the hub, its effects come out and are carried out in order.
//!
//! Everything is sent before anything is written: the platform holds back what is sent after the first write of a
//! turn until that write is durable.

use std::rc::Rc;

use shared::{
    Millis,
    grant::Grant,
    hub::{Effect, Hub, LinkEnd, Persisted, Settings},
    id::ChannelId,
};
use worker::{Result, WebSocket, console_error, wasm_bindgen_futures::spawn_local};

use crate::{
    alarm::Timer, config::Auth, link::Link, platform, room_object::Shared, rows::Write, sockets::Sockets,
    verify::verify,
};

/// What waits until everything has been sent.
#[derive(Debug, Default)]
struct Later {
    writes: Vec<Write>,
    dial: bool,
    /// Tokens to verify, with the channels that have shown them.
    tokens: Vec<(ChannelId, String)>,
}

impl Shared {
    /// Lets an event happen to the hub. While it happens the hub is out of its place: if it panics, the next event
    /// finds none there and rebuilds it from what was saved.
    pub(crate) fn turn<R>(self: &Rc<Self>, event: impl FnOnce(&mut Hub, Millis) -> R) -> Result<R> {
        let now = platform::now();
        let awake = self.hub.take();
        let mut hub = match awake {
            Some(hub) => hub,
            None => self.wake(None, now)?,
        };
        let outcome = event(&mut hub, now);
        let later = self.carry_out(&mut hub, now);
        for write in later.writes {
            if let Err(error) = self.rows.write(write) {
                console_error!("rows.write: {error}");
            }
        }
        if later.dial {
            self.dial.ask(&self.rows, now);
        }
        if let Some(timer) = self.alarm.arm(&self.state, hub.next_tick(), hub.has_members(), now) {
            self.start_timer(timer);
        }
        self.hub.replace(Some(hub));
        for (channel, token) in later.tokens {
            self.verify(channel, token);
        }
        Ok(outcome)
    }

    fn start_timer(self: &Rc<Self>, timer: Timer) {
        let shared = Rc::clone(self);
        spawn_local(async move {
            timer.wait().await;
            shared.alarm.timer_rang(timer);
            shared.tick();
        });
    }

    /// Verifies a token; the verdict is a turn of its own.
    fn verify(self: &Rc<Self>, channel: ChannelId, token: String) {
        let shared = Rc::clone(self);
        spawn_local(async move {
            let Auth::Jwt(keys) = &shared.config.auth else { return };
            let verdict = verify(&shared.env, keys, &shared.room, &token, platform::now()).await;
            if let Err(error) = shared.turn(|hub, now| hub.admitted(channel, verdict, now)) {
                console_error!("token.verdict: {error}");
            }
        });
    }

    /// Rebuilds the hub if it is not in memory, counting in a socket that is just leaving.
    pub(crate) fn wake_for(&self, leaving: &WebSocket) -> Result<()> {
        if self.hub.borrow().is_none() {
            let hub = self.wake(Some(leaving), platform::now())?;
            self.hub.replace(Some(hub));
        }
        Ok(())
    }

    fn wake(&self, leaving: Option<&WebSocket>, now: Millis) -> Result<Hub> {
        let (sockets, sessions) = Sockets::found(&self.state, leaving)?;
        let (link, link_snapshot) = Link::found(&self.state)?;
        self.sockets.replace(sockets);
        self.link.replace(link);
        let persisted = Persisted {
            sessions,
            channels: self.rows.channels()?,
            outbox: self.rows.outbox()?,
            link: link_snapshot,
        };
        let settings = Settings { name: format!("{}~{}", self.room, self.region), durable: true };
        Ok(Hub::rebuild(settings, persisted, now))
    }

    fn carry_out(&self, hub: &mut Hub, now: Millis) -> Later {
        let mut later = Later::default();
        loop {
            let effects = hub.effects();
            let quiet = effects.is_empty();
            for effect in effects {
                self.carry_out_one(hub, effect, now, &mut later);
            }
            for session in self.sockets.borrow_mut().take_gone() {
                hub.disconnect(session, now);
            }
            if self.link.borrow_mut().take_lost() {
                hub.link_down(now);
            }
            let told = if quiet { self.sockets.borrow_mut().look() } else { Vec::new() };
            let settled = quiet && told.is_empty();
            for (session, bytes) in told {
                hub.backlog(session, bytes, now);
            }
            if settled {
                return later;
            }
        }
    }

    fn carry_out_one(&self, hub: &mut Hub, effect: Effect, now: Millis, later: &mut Later) {
        let mut sockets = self.sockets.borrow_mut();
        match effect {
            Effect::Send { to, frame } => sockets.send(&to, &frame),
            Effect::SendText { to, text } => sockets.send_text(to, &text),
            Effect::Look { session } => sockets.look_at(session),
            Effect::Close { session, code, reason } => sockets.close(session, code, &reason),
            Effect::Admit { channel, .. } if self.config.auth == Auth::Open => {
                let grant = sockets.guest(channel.session()).cloned().map(Grant::of_guest);
                drop(sockets);
                if let Some(grant) = grant {
                    hub.admitted(channel, Ok(grant), now);
                }
            }
            Effect::Admit { channel, token } => later.tokens.push((channel, token)),
            Effect::Link(messages) => self.link.borrow_mut().send(&messages),
            Effect::Dial => later.dial = true,
            Effect::DropLink(end) => {
                self.link.borrow_mut().leave(end.word());
                if end == LinkEnd::NoAnswer {
                    self.dial.next_origin();
                }
            }
            Effect::SaveSession { session, snapshot } => sockets.keep(session, snapshot),
            Effect::SaveLink { snapshot } => self.link.borrow().keep(snapshot),
            Effect::SaveChannel { channel, row } => later.writes.push(Write::Channel(channel, row)),
            Effect::DropChannel { channel } => later.writes.push(Write::DropChannel(channel)),
            Effect::SaveOutbox { row, bytes } => later.writes.push(Write::Outbox(row, bytes)),
            Effect::ForgetOutbox { row } => later.writes.push(Write::ForgetOutbox(row)),
        }
    }
}
