//! What clients are sent so that they stay, and what they are asked so that dead clients are found.
//!
//! Clients take silence for death after 30 s.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{channel::Channel, effect::Effect, output::Output, session::Session, sessions::Sessions};
use crate::{
    Millis,
    id::{ChannelId, FileId, SessionId},
    limits,
    wire::{
        event::{EventOut, LinkState},
        hocuspocus::{self, ServerMessage},
        yjs::{self, YMessage},
    },
};

/// When clients and link are sent something next.
#[derive(Debug)]
pub(super) struct Keepalive {
    at: Millis,
}

/// What a client answers whatever it is doing.
enum Probe {
    Ping,
    /// Shows what it knows of a document's awareness.
    Awareness(ChannelId),
    /// Sends what the log lacks, once its state vector has come.
    Step1(ChannelId),
}

impl Keepalive {
    pub(super) fn new(now: Millis) -> Self {
        Self { at: now + limits::KEEPALIVE_MS }
    }

    /// After an eviction clients are sent one when they would have been.
    pub(super) fn restore(&mut self, sessions: &Sessions) {
        let sent_at = sessions.values().map(|session| session.liveness().keepalive_sent_at()).min();
        self.at = sent_at.map_or(self.at, |at| at + limits::KEEPALIVE_MS);
    }

    pub(super) fn at(&self) -> Millis {
        self.at
    }

    /// Sends every client something and probes it; returns the channels whose clients are to be probed with Step1, as
    /// soon as the origin has said what the log has.
    #[must_use]
    pub(super) fn send(
        &mut self,
        sessions: &mut Sessions,
        link_flows: bool,
        now: Millis,
        output: &mut Output,
    ) -> Vec<ChannelId> {
        self.at = now + limits::KEEPALIVE_MS;
        let mut frames: BTreeMap<Bytes, Vec<SessionId>> = BTreeMap::new();
        let mut step1 = Vec::new();
        let ids: Vec<SessionId> = sessions.keys().copied().collect();
        for id in ids {
            let Some(session) = sessions.get_mut(&id) else { continue };
            let probe = probe_for(session, link_flows);
            if let Some(frame) = frame_for(session, probe.as_ref()) {
                frames.entry(frame).or_default().push(id);
            }
            let backlog = session.backlog().bytes();
            let liveness = session.liveness_mut();
            liveness.keepalive_sent(now);
            match probe {
                Some(Probe::Ping | Probe::Awareness(_)) => liveness.probe_sent(backlog, now),
                Some(Probe::Step1(id)) => {
                    liveness.probe_later(id);
                    if let Some(channel) = session.channel_mut(id.index()) {
                        channel.sync.probe();
                    }
                    step1.push(id);
                }
                None => {}
            }
        }
        output.extend(frames.into_iter().map(|(frame, to)| Effect::Send { to, frame }));
        step1
    }
}

/// Clients of text frames only are told from time to time how the link stands.
pub(super) fn send_link_state(sessions: &Sessions, is_up: bool, output: &mut Output) {
    let state = if is_up { LinkState::Up } else { LinkState::Down };
    let text = EventOut::Link { state }.to_json();
    let to = sessions.iter().filter(|(_, session)| session.is_text_only()).map(|(id, _)| *id);
    output.extend(to.map(|to| Effect::SendText { to, text: text.clone() }));
}

/// Providers of version 4 answer a Ping. Others, and y-websocket, answer a question about awareness, if there is
/// any of theirs, else a Step1; for that the origin must say what the log has.
fn probe_for(session: &Session, link_flows: bool) -> Option<Probe> {
    if session.is_modern() {
        return Some(Probe::Ping);
    }
    let channels = || session.channels().filter(|(_, channel)| !channel.key().is_text());
    let shows = |channel: &Channel| !channel.speaker.clients().is_empty();
    if let Some((id, _)) = channels().find(|(_, channel)| shows(channel)) {
        return Some(Probe::Awareness(id));
    }
    let is_file = |channel: &Channel| channel.file().is_some_and(|file| !FileId::is_room(file));
    let (id, _) = channels().find(|(_, channel)| is_file(channel))?;
    link_flows.then_some(Probe::Step1(id))
}

fn frame_for(session: &Session, probe: Option<&Probe>) -> Option<Bytes> {
    match probe {
        Some(Probe::Ping) => return Some(Bytes::from_static(hocuspocus::PING)),
        Some(Probe::Awareness(id)) => {
            return session.channel(id.index()).map(|channel| channel.key().query_awareness());
        }
        _ => {}
    }
    if !session.is_hocuspocus() {
        return Some(yjs::write_y(&YMessage::Awareness(&[0])));
    }
    let (_, channel) = session.channels().find(|(_, channel)| !channel.key().is_text())?;
    channel.key().hocuspocus(&ServerMessage::Awareness(&[0]))
}
