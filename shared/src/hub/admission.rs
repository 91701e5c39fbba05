//! How a session comes to its rights and loses them: tokens shown, verified, renewed, run out.
//!
//! A session is one member: its last good token counts for everything that it has open. One token at a time is
//! verified for each session, and one that it has shown already is not verified again.

use std::{collections::VecDeque, sync::Arc};

use super::{Denial, Effect, Hub, Session, channel::Stage, pending};
use crate::{
    Millis,
    close::CloseCode,
    grant::{Grant, Role},
    id::{ChannelId, SessionId},
    limits,
    token::TokenError,
    wire::{
        event::EventOut,
        hocuspocus::{self, ServerMessage},
        link::HubMessage,
    },
};

/// What a session has shown and what it got for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission {
    /// The token of the upgrade, for documents that bring none.
    upgrade: Option<Arc<str>>,
    /// The token that the grant is of.
    token: Option<Arc<str>>,
    /// Who it is, once a token was accepted.
    pub(super) grant: Option<Grant>,
    /// The token that is being verified, and the channel that has shown it.
    pub(super) verifying: Option<(ChannelId, Arc<str>)>,
    /// Those that wait for that, with the bytes that they count.
    waiting: VecDeque<(ChannelId, Arc<str>, usize)>,
    /// When the client is asked for another token.
    refresh_at: Option<Millis>,
    /// Why the last token was refused.
    denied: Option<String>,
}

impl Admission {
    /// Nobody yet, perhaps with a token of the upgrade.
    pub(super) fn beginning(token: Option<String>) -> Self {
        Self { upgrade: token.map(Into::into), ..Self::default() }
    }

    /// The rights from before a loss of memory.
    pub(super) fn restored(grant: Option<Grant>, token: Option<Arc<str>>, now: Millis) -> Self {
        let refresh_at = grant.as_ref().and_then(|grant| refresh_at(grant, now));
        let is_shown = grant.as_ref().is_some_and(|grant| grant.expires.is_some());
        let (upgrade, token) = if is_shown { (None, token) } else { (token, None) };
        Self { upgrade, token, grant, refresh_at, ..Self::default() }
    }

    /// What a token is kept for beyond this memory: to be shown to another origin, or to open other documents.
    pub(super) fn kept_token(&self) -> Option<&Arc<str>> {
        self.token.as_ref().or(self.upgrade.as_ref())
    }

    /// Whether its first token is being verified.
    pub(super) fn is_first(&self) -> bool {
        self.verifying.is_some() && self.grant.is_none() && self.denied.is_none()
    }

    fn expires(&self) -> Option<Millis> {
        self.grant.as_ref().and_then(|grant| grant.expires)
    }

    fn has_expired(&self, now: Millis) -> bool {
        self.expires().is_some_and(|at| at <= now)
    }
}

impl Session {
    /// When it is to be looked at for want of a token, or because its token ends.
    pub(super) fn admission_at(&self) -> Option<Millis> {
        match &self.admission {
            Admission { grant: None, .. } => Some(self.since + limits::STRANGER_MS),
            admission => {
                let refresh = admission.refresh_at.filter(|_| self.modern);
                [admission.expires(), refresh].into_iter().flatten().min()
            }
        }
    }
}

fn refresh_at(grant: &Grant, now: Millis) -> Option<Millis> {
    let end = grant.expires?;
    Some(end - limits::TOKEN_REFRESH_MS.min(end.saturating_sub(now) / 2))
}

impl Hub {
    /// A channel shows a token; without one, that of the upgrade or of the session's other documents.
    pub(super) fn show_token(&mut self, id: ChannelId, token: &str, now: Millis) {
        if let Some(channel) = self.channels.get_mut(&id)
            && matches!(channel.stage, Stage::Stranger | Stage::Closed(_))
        {
            channel.stage = Stage::Admitting;
        }
        let Some(session) = self.sessions.get_mut(&id.session()) else { return };
        session.touched = true;
        let admission = &mut session.admission;
        let token: Arc<str> = match token {
            "" => admission.kept_token().cloned().unwrap_or_default(),
            token if token.len() > limits::TOKEN_BYTES => {
                return self.deny(id, &TokenError::TooLong.into(), now);
            }
            token => token.into(),
        };
        if admission.token.as_ref() == Some(&token) {
            return self.let_in(id, now);
        }
        let Some((_, before)) = &admission.verifying else { return self.verify(id, token) };
        let known = [Some(before), admission.waiting.back().map(|(_, token, _)| token)];
        let known = known.into_iter().flatten().find(|known| **known == token).cloned();
        let bytes = pending::weight(if known.is_some() { 0 } else { token.len() });
        if session.pending_bytes + bytes > session.pending_most() {
            return self.close(id.session(), CloseCode::RateLimited, "too-much-before-open", now);
        }
        session.pending_bytes += bytes;
        session.admission.waiting.push_back((id, known.unwrap_or(token), bytes));
    }

    /// The verdict on a token that [`Effect::Admit`] has asked to be verified.
    pub fn admitted(&mut self, channel: ChannelId, verdict: Result<Grant, Denial>, now: Millis) {
        let Some(session) = self.sessions.get_mut(&channel.session()) else { return };
        let Some((channel, token)) = session.admission.verifying.take() else { return };
        session.touched = true;
        self.judged(channel, token, verdict, now);
        self.verify_next(channel.session(), now);
    }

    fn verify(&mut self, id: ChannelId, token: Arc<str>) {
        let Some(session) = self.sessions.get_mut(&id.session()) else { return };
        self.effects.push(Effect::Admit { channel: id, token: token.to_string() });
        session.admission.verifying = Some((id, token));
    }

    fn verify_next(&mut self, id: SessionId, now: Millis) {
        while let Some(session) = self.sessions.get_mut(&id)
            && session.admission.verifying.is_none()
            && let Some((channel, token, bytes)) = session.admission.waiting.pop_front()
        {
            session.pending_bytes -= bytes;
            if !self.channels.contains_key(&channel) {
                continue;
            }
            if session.admission.token.as_ref() == Some(&token) {
                self.let_in(channel, now);
            } else {
                self.verify(channel, token);
            }
        }
    }

    fn judged(&mut self, id: ChannelId, token: Arc<str>, verdict: Result<Grant, Denial>, now: Millis) {
        let known = self.sessions.get(&id.session()).and_then(|session| session.admission.grant.as_ref());
        let verdict = verdict.and_then(|grant| {
            if grant.expires.is_some_and(|at| at <= now) {
                Err(TokenError::Expired.into())
            } else if known.is_some_and(|known| known.member.id != grant.member.id) {
                Err(Denial { code: CloseCode::Forbidden, reason: "another-member".to_owned() })
            } else {
                Ok(grant)
            }
        });
        match verdict {
            Ok(grant) => {
                self.take_grant(id.session(), grant, token, now);
                self.let_in(id, now);
            }
            Err(denial) => self.deny(id, &denial, now),
        }
    }

    fn take_grant(&mut self, id: SessionId, grant: Grant, token: Arc<str>, now: Millis) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let admission = &mut session.admission;
        admission.refresh_at = refresh_at(&grant, now);
        // Without an end nobody has verified it: any would do.
        admission.token = grant.expires.is_some().then_some(token);
        let before = admission.grant.replace(grant.clone());
        self.show_origin(id);
        if let Some(before) =
            before.filter(|before| (before.role, &before.rules) != (grant.role, &grant.rules))
        {
            self.apply_rights(id, before.role);
        }
    }

    /// The rights of a session have changed: of each document, of the whole.
    fn apply_rights(&mut self, id: SessionId, before: Role) {
        let Some(session) = self.sessions.get(&id) else { return };
        let Some(grant) = session.admission.grant.clone() else { return };
        let channels: Vec<ChannelId> = session.keys.values().copied().collect();
        for channel in channels {
            let Some(known) = self.channels.get_mut(&channel) else { continue };
            let role = grant.role_at(known.path.as_ref());
            let is_new = std::mem::replace(&mut known.role, role) != role;
            self.ask_open(channel);
            if is_new && self.channels.get(&channel).is_some_and(|known| known.file().is_some()) {
                self.tell_scope(channel);
            }
        }
        self.touch(id);
        if before != grant.role {
            self.tell_session(id, &EventOut::Role { role: grant.role });
        }
    }

    /// Shows the session's token to the origin.
    pub(super) fn show_origin(&mut self, id: SessionId) {
        let token = self.sessions.get(&id).and_then(|session| session.admission.token.as_deref());
        if let Some(token) = token.map(str::to_owned) {
            self.say(HubMessage::Token { session: id, token });
        }
    }

    /// The session is gone: its token need not be kept.
    pub(super) fn forget_at_origin(&mut self, id: SessionId) {
        if self.sessions.get(&id).is_some_and(|session| session.admission.token.is_some()) {
            self.say(HubMessage::Token { session: id, token: String::new() });
        }
    }

    /// The session may be here: the origin is asked for the document, if the member can afford it.
    pub(super) fn let_in(&mut self, id: ChannelId, now: Millis) {
        if self.channels.get(&id).is_none_or(|channel| channel.stage != Stage::Admitting) {
            return;
        }
        if !self.pays_opening(id, now) {
            return self.refuse_opening(id, now);
        }
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.stage = Stage::Opening;
            self.ask_open(id);
            self.ask_texts(now);
            self.watch_link(now);
        }
    }

    /// Too many documents at once: only this one is refused.
    fn refuse_opening(&mut self, id: ChannelId, now: Millis) {
        let reason = CloseCode::RateLimited.word();
        let Some(channel) = self.channels.get(&id) else { return };
        if channel.bare {
            self.close(id.session(), CloseCode::RateLimited, reason, now);
        } else if channel.is_text() {
            self.tell_text_error(id, reason, "too many documents at once");
            self.leave(id, now);
        } else {
            self.deny_channel(id, &Denial { code: CloseCode::RateLimited, reason: reason.to_owned() }, now);
        }
    }

    fn deny(&mut self, id: ChannelId, denial: &Denial, now: Millis) {
        let Some(session) = self.sessions.get_mut(&id.session()) else { return };
        session.admission.denied = Some(denial.reason.clone());
        let comes_back = denial.code == CloseCode::RateLimited;
        if session.is_hocuspocus() && !comes_back {
            self.deny_channel(id, denial, now);
        }
        // What a stranger may leave waiting is less from now on.
        let waits = |session: &Session| {
            session.admission.grant.is_none() && session.pending_bytes > session.pending_most()
        };
        let session = self.sessions.get(&id.session());
        if session.is_some_and(|session| !session.is_hocuspocus() || comes_back || waits(session)) {
            self.close(id.session(), denial.code, &denial.reason, now);
        }
    }

    /// A member's rights have changed at the origin.
    pub(super) fn revoke(&mut self, member: &str, role: Option<Role>, version: u32, now: Millis) {
        let is_theirs = |grant: &Grant| &*grant.member.id == member;
        let theirs: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.admission.grant.as_ref().is_some_and(is_theirs))
            .map(|(id, _)| *id)
            .collect();
        for id in theirs {
            let Some(role) = role else {
                self.close(id, CloseCode::Forbidden, "revoked", now);
                continue;
            };
            let session = self.sessions.get_mut(&id);
            if let Some(grant) = session.and_then(|session| session.admission.grant.as_mut()) {
                grant.version = version;
                let before = std::mem::replace(&mut grant.role, role);
                self.apply_rights(id, before);
            }
        }
    }

    /// Ends a session whose token has run out; whether it had.
    pub(super) fn has_run_out(&mut self, id: SessionId, now: Millis) -> bool {
        let over = self.sessions.get(&id).is_some_and(|session| session.admission.has_expired(now));
        if over {
            self.close(id, CloseCode::Unauthorized, TokenError::Expired.word(), now);
        }
        over
    }

    /// Closes those of these sessions that have not shown a good token in time or whose token has run out, and asks
    /// clients for another one before it does.
    pub(super) fn watch_admissions(&mut self, due: &[SessionId], now: Millis) {
        for id in due.iter().copied() {
            if self.sessions.get(&id).and_then(Session::admission_at).is_none_or(|at| at > now)
                || self.has_run_out(id, now)
            {
                continue;
            }
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            let admission = &mut session.admission;
            if admission.grant.is_none() {
                let reason = admission.denied.take();
                let reason = reason.as_deref().unwrap_or(TokenError::Absent.word());
                self.close(id, CloseCode::Unauthorized, reason, now);
            } else {
                admission.refresh_at = None;
                self.ask_token(id);
            }
        }
    }

    /// Asks the client for a token, by one of the documents that it has open or waits for.
    fn ask_token(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let listens = |id: &ChannelId| {
            let channel = self.channels.get(id).filter(|channel| !channel.is_text());
            channel.is_some_and(|channel| matches!(channel.stage, Stage::Opening | Stage::Open(_)))
        };
        let key = session.keys.iter().find(|(_, channel)| listens(channel)).map(|(key, _)| key.clone());
        if let Some(key) = key {
            self.send(id, hocuspocus::write_server(&key, &ServerMessage::TokenRequest));
        }
    }

    /// Whether anybody here has shown a good token, or anything is owed: what a hub may wake up and write for.
    pub fn has_members(&self) -> bool {
        !self.outbox.is_empty() || self.sessions.has_members()
    }
}
