//! Whether clients are still there: what each is sent so that it stays, what it is asked, and the end of those that
//! do not answer.
//!
//! A socket that was cut without a close looks like one that is quiet. Every frame of a client is an answer, and a
//! question that went unanswered outlives the hub's memory: a hub that sleeps between two of them finds the dead too.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Hub, NO_ANSWER, Session, channel::Channel, text};
use crate::{
    Millis,
    close::CloseCode,
    id::{ChannelId, FileId, SessionId},
    limits,
    wire::{
        hocuspocus::{self, ServerMessage},
        link::HubMessage,
        yjs::{self, YMessage},
    },
};

/// What a hub knows of a client's being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Liveness {
    /// When it was last sent something for its own sake.
    pub(super) greeted_at: Millis,
    /// Since when it owes an answer.
    pub(super) asked_at: Option<Millis>,
    /// What its socket had to send at that moment.
    backlog: usize,
    /// The origin was asked for the state vector that it is to be asked with.
    asks_with: Option<ChannelId>,
    /// The frame that is being handled answers a question.
    answers: bool,
}

/// What a client answers whatever it is doing.
enum Question {
    Ping,
    /// Shows what it knows of a document's awareness.
    Awareness(ChannelId),
    /// Sends what the log lacks, once its state vector has come.
    Step1(ChannelId),
}

impl Liveness {
    pub(super) fn new(now: Millis) -> Self {
        Self { greeted_at: now, asked_at: None, backlog: 0, asks_with: None, answers: false }
    }

    /// What a lost memory leaves.
    pub(super) fn restored(greeted_at: Millis, asked_at: Option<Millis>) -> Self {
        Self { asked_at, ..Self::new(greeted_at) }
    }

    /// A frame has come; whether that changes anything.
    pub(super) fn heard(&mut self) -> bool {
        self.answers = self.asked_at.take().is_some();
        self.answers
    }

    fn asked(&mut self, backlog: usize, now: Millis) {
        if self.asked_at.is_none() {
            self.asked_at = Some(now);
            self.backlog = backlog;
        }
    }

    /// When it is given up.
    pub(super) fn gives_up_at(&self) -> Option<Millis> {
        self.asked_at.map(|at| at + limits::ANSWER_MS)
    }
}

impl Session {
    /// Whether the awareness that it sends now may be all that it knows, not only its own.
    pub(super) fn repeats_awareness(&self) -> bool {
        self.liveness.answers && !self.modern
    }
}

impl Hub {
    /// Sends every client something, since clients take silence for death after 30 s, and asks it for an answer.
    pub(super) fn keep_alive(&mut self, now: Millis) {
        let mut frames: BTreeMap<Bytes, Vec<SessionId>> = BTreeMap::new();
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in sessions {
            let question = self.question_for(id);
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.liveness.greeted_at = now;
            session.touched = true;
            if matches!(question, Some(Question::Ping | Question::Awareness(_))) {
                session.liveness.asked(session.backlog.bytes(), now);
            }
            if let Some(Question::Step1(channel)) = question {
                session.liveness.asks_with = Some(channel);
                self.probe(channel);
            }
            if let Some(frame) = self.greeting(id, question) {
                frames.entry(frame).or_default().push(id);
            }
        }
        for (frame, to) in frames {
            self.effects.push(super::Effect::Send { to, frame });
        }
        self.keep_texts_alive();
        self.say(HubMessage::Ping);
        self.link.pinged(now);
        self.report();
    }

    /// After a loss of memory clients are greeted when they would have been.
    pub(super) fn restore_keepalive(&mut self) {
        if let Some(greeted_at) = self.sessions.values().map(|session| session.liveness.greeted_at).min() {
            self.keepalive_at = greeted_at + limits::KEEPALIVE_MS;
        }
    }

    /// A client was sent the Step1 that it was to be asked with.
    pub(super) fn asked_with_step1(&mut self, channel: ChannelId, now: Millis) {
        let Some(session) = self.sessions.get_mut(&channel.session()) else { return };
        if session.liveness.asks_with == Some(channel) {
            session.liveness.asks_with = None;
            session.liveness.asked(session.backlog.bytes(), now);
            session.touched = true;
        }
    }

    /// Closes those of these sessions whose clients do not answer. One that still takes what was sent before the
    /// question has not come to it yet.
    pub(super) fn close_silent(&mut self, due: &[SessionId], now: Millis) {
        for id in due {
            let gives_up_at = self.sessions.get(id).and_then(|session| session.liveness.gives_up_at());
            if gives_up_at.is_none_or(|at| at > now) {
                continue;
            }
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let backlog = session.backlog.bytes();
            if backlog < session.liveness.backlog {
                session.liveness.asked_at = None;
                session.liveness.asked(backlog, now);
            } else {
                self.close(*id, CloseCode::Restart, NO_ANSWER, now);
            }
        }
    }

    /// Providers of version 4 answer a Ping. Others, and y-websocket, answer a question about awareness, if there is
    /// any of theirs, else a Step1; for that the origin must say what the log has.
    fn question_for(&self, session: SessionId) -> Option<Question> {
        let session = self.sessions.get(&session)?;
        if session.modern {
            return Some(Question::Ping);
        }
        let known = || session.keys.values().filter_map(|id| Some((*id, self.channels.get(id)?)));
        let channels = || known().filter(|(_, channel)| !channel.is_text());
        if let Some((id, _)) = channels().find(|(_, channel)| !channel.clients.is_empty()) {
            return Some(Question::Awareness(id));
        }
        let is_file = |channel: &Channel| channel.file().is_some_and(|file| !FileId::is_room(file));
        let (id, _) = channels().find(|(_, channel)| is_file(channel))?;
        self.link.flows().then_some(Question::Step1(id))
    }

    fn greeting(&self, session: SessionId, question: Option<Question>) -> Option<Bytes> {
        let session = self.sessions.get(&session)?;
        match question {
            Some(Question::Ping) => return Some(Bytes::from_static(hocuspocus::PING)),
            Some(Question::Awareness(channel)) => {
                return self.channels.get(&channel).map(Channel::query_frame);
            }
            _ => {}
        }
        if !session.is_hocuspocus() {
            return Some(yjs::write_y(&YMessage::Awareness(&[0])));
        }
        let key = session.keys.keys().find(|key| !text::is_text_key(key))?;
        Some(hocuspocus::write_server(key, &ServerMessage::Awareness(&[0])))
    }

    fn probe(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.probing = true;
        }
        self.ask_diff(id);
    }
}
