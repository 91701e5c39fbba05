//! How a session comes to its rights and loses them: tokens shown, verified, renewed, expired.
//!
//! A session is one member: its last good token counts for everything that it has open. One token at a time is
//! verified for each session, and one that it has shown already is not verified again.

use std::{collections::VecDeque, mem, sync::Arc};

use super::pending::{self, Pending};
use crate::{
    Millis,
    close::{CloseCode, Denial},
    grant::{Grant, Role},
    id::ChannelId,
    limits,
    token::TokenError,
};

/// What a session has shown and what it got for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission {
    /// When the session came.
    since: Millis,
    /// The token of the upgrade, for documents that bring none.
    upgrade: Option<Arc<str>>,
    /// The token that the grant is of.
    token: Option<Arc<str>>,
    /// Who it is, once a token was accepted.
    grant: Option<Grant>,
    /// The token that is being verified, and the channel that has shown it.
    verifying: Option<(ChannelId, Arc<str>)>,
    /// Those that wait for that, with what they count.
    waiting: VecDeque<(ChannelId, Arc<str>, usize)>,
    /// When the client is asked for another token.
    refresh_at: Option<Millis>,
    /// Why the last token was refused.
    denied: Option<String>,
}

/// What becomes of a token that was shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// It is good, since it was verified before.
    Good,
    /// It is to be verified.
    Verify(Arc<str>),
    /// It waits until another one is verified.
    Waits,
    TooLong,
    /// More waits than may.
    TooMuch,
}

/// What is due for a session with regard to its token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It has shown no good token in time, for this reason.
    Unauthorized(String),
    /// Its client is asked for another token.
    Refresh,
}

impl Admission {
    /// Nobody yet, perhaps with a token of the upgrade.
    pub(super) fn beginning(token: Option<String>, now: Millis) -> Self {
        Self { since: now, upgrade: token.map(Into::into), ..Self::default() }
    }

    /// The rights that a snapshot has kept.
    pub(super) fn restored(grant: Option<Grant>, token: Option<Arc<str>>, now: Millis) -> Self {
        let refresh_at = grant.as_ref().and_then(|grant| refresh_at(grant, now));
        let is_shown = grant.as_ref().is_some_and(|grant| grant.expires.is_some());
        let (upgrade, token) = if is_shown { (None, token) } else { (token, None) };
        Self { since: now, upgrade, token, grant, refresh_at, ..Self::default() }
    }

    /// Who it is, once a token was accepted.
    pub(super) fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// The token that the grant is of, which origins verify too.
    pub(super) fn shown_token(&self) -> Option<&Arc<str>> {
        self.token.as_ref()
    }

    /// The token that a snapshot keeps: to be shown to another origin, or to open other documents.
    pub(super) fn kept_token(&self) -> Option<&Arc<str>> {
        self.token.as_ref().or(self.upgrade.as_ref())
    }

    pub(super) fn is_verifying(&self) -> bool {
        self.verifying.is_some()
    }

    /// How much may wait for documents to open.
    pub(super) fn pending_most(&self) -> usize {
        if self.grant.is_some() {
            limits::PENDING_BYTES
        } else if self.verifying.is_some() && self.denied.is_none() {
            // Its provider has not waited for the verdict on its first token.
            limits::VERIFYING_BYTES
        } else {
            limits::GUEST_BYTES
        }
    }

    /// A channel shows a token; with an empty one, that of the upgrade or of the session's other documents.
    #[must_use]
    pub(super) fn show(&mut self, channel: ChannelId, token: &str, pending: &mut Pending) -> Shown {
        let token: Arc<str> = match token {
            "" => self.kept_token().cloned().unwrap_or_default(),
            token if token.len() > limits::TOKEN_BYTES => return Shown::TooLong,
            token => token.into(),
        };
        if self.token.as_ref() == Some(&token) {
            return Shown::Good;
        }
        let Some((_, before)) = &self.verifying else {
            self.verifying = Some((channel, token.clone()));
            return Shown::Verify(token);
        };
        let known = [Some(before), self.waiting.back().map(|(_, token, _)| token)];
        let known = known.into_iter().flatten().find(|known| **known == token).cloned();
        let weight = pending::weight(if known.is_some() { 0 } else { token.len() });
        if !pending.add(weight, self.pending_most()) {
            return Shown::TooMuch;
        }
        self.waiting.push_back((channel, known.unwrap_or(token), weight));
        Shown::Waits
    }

    /// The verdict on the token that was being verified, with the channel that has shown it. If the rights are others
    /// than before, the role before is returned.
    #[must_use]
    pub(super) fn decide(
        &mut self,
        verdict: Result<Grant, Denial>,
        now: Millis,
    ) -> Option<(ChannelId, Result<Option<Role>, Denial>)> {
        let (channel, token) = self.verifying.take()?;
        Some((channel, verdict.and_then(|grant| self.take(grant, token, now))))
    }

    fn take(&mut self, grant: Grant, token: Arc<str>, now: Millis) -> Result<Option<Role>, Denial> {
        if grant.expires.is_some_and(|at| at <= now) {
            return Err(TokenError::Expired.into());
        }
        if self.grant.as_ref().is_some_and(|known| known.member.id != grant.member.id) {
            return Err(Denial { code: CloseCode::Forbidden, reason: "another-member".to_owned() });
        }
        self.refresh_at = refresh_at(&grant, now);
        // Without an end nobody has verified it: any would do.
        self.token = grant.expires.is_some().then_some(token);
        let before = self.grant.replace(grant.clone());
        let before = before.filter(|before| (before.role, &before.rules) != (grant.role, &grant.rules));
        Ok(before.map(|before| before.role))
    }

    /// The next token that waits, of a channel that `is_there`: good already, or to be verified.
    #[must_use]
    pub(super) fn next(
        &mut self,
        pending: &mut Pending,
        is_there: impl Fn(ChannelId) -> bool,
    ) -> Option<(ChannelId, Shown)> {
        while self.verifying.is_none() {
            let (channel, token, weight) = self.waiting.pop_front()?;
            pending.remove(weight);
            if !is_there(channel) {
                continue;
            }
            if self.token.as_ref() == Some(&token) {
                return Some((channel, Shown::Good));
            }
            self.verifying = Some((channel, token.clone()));
            return Some((channel, Shown::Verify(token)));
        }
        None
    }

    /// The last token was refused, for this reason.
    pub(super) fn denied(&mut self, reason: &str) {
        self.denied = Some(reason.to_owned());
    }

    /// The member has another role; the one before.
    pub(super) fn set_role(&mut self, role: Role, version: u32) -> Option<Role> {
        let grant = self.grant.as_mut()?;
        grant.version = version;
        Some(mem::replace(&mut grant.role, role))
    }

    fn expires(&self) -> Option<Millis> {
        self.grant.as_ref().and_then(|grant| grant.expires)
    }

    pub(super) fn has_expired(&self, now: Millis) -> bool {
        self.expires().is_some_and(|at| at <= now)
    }

    /// When the session is to be looked at for want of a token, or because its token ends; only providers that
    /// `refresh` can be asked for another one.
    pub(super) fn due_at(&self, refresh: bool) -> Option<Millis> {
        if self.grant.is_none() {
            return Some(self.since + limits::GUEST_MS);
        }
        let refresh_at = self.refresh_at.filter(|_| refresh);
        [self.expires(), refresh_at].into_iter().flatten().min()
    }

    /// What is due.
    #[must_use]
    pub(super) fn take_due(&mut self) -> Due {
        if self.grant.is_none() {
            let reason = self.denied.take();
            return Due::Unauthorized(reason.unwrap_or_else(|| TokenError::Absent.word().to_owned()));
        }
        self.refresh_at = None;
        Due::Refresh
    }
}

fn refresh_at(grant: &Grant, now: Millis) -> Option<Millis> {
    let end = grant.expires?;
    Some(end - limits::TOKEN_REFRESH_MS.min(end.saturating_sub(now) / 2))
}
