//! The sessions of a hub, and what all of them say together: when the first is due, whether there are members, how
//! much their sockets have to send.
//!
//! Whoever changes a session borrows it here. So only those that may have changed are looked at again, however many
//! there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use super::{channel::Channel, output::Output, rate_limit::Consumer, session::Session};
use crate::{
    Millis,
    id::{ChannelId, SessionId},
    limits,
};

/// The sessions by id.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: BTreeMap<SessionId, Entry>,
    /// Those that may have changed since they were last looked at.
    stale: BTreeSet<SessionId>,
    /// The same since [`Self::take_changed`].
    changed: BTreeSet<SessionId>,
    due: BTreeSet<(Millis, SessionId)>,
    looking: BTreeMap<Arc<str>, BTreeSet<SessionId>>,
    members: usize,
    unsent: usize,
    opening: usize,
    /// Those whose sockets have to send first texts.
    openers: BTreeSet<SessionId>,
}

/// A session, and what was summary of it when it was last looked at.
#[derive(Debug)]
struct Entry {
    session: Session,
    summary: Summary,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Summary {
    due: Option<Millis>,
    is_member: bool,
    unsent: usize,
    opening: usize,
    /// The member that looks at files.
    looking: Option<Arc<str>>,
}

impl Summary {
    fn of(session: &Session) -> Self {
        let grant = session.grant();
        let member = grant.map(|grant| grant.member.id.clone());
        Self {
            due: session.due_at(),
            is_member: grant.is_some(),
            unsent: session.backlog().excess(),
            opening: session.backlog().opening(),
            looking: member.filter(|_| session.visible().is_some()),
        }
    }
}

impl Sessions {
    pub(super) fn get(&self, id: &SessionId) -> Option<&Session> {
        self.all.get(id).map(|entry| &entry.session)
    }

    /// Borrows a session, which is looked at again afterwards.
    pub(super) fn get_mut(&mut self, id: &SessionId) -> Option<&mut Session> {
        let entry = self.all.get_mut(id)?;
        self.stale.insert(*id);
        self.changed.insert(*id);
        Some(&mut entry.session)
    }

    pub(super) fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.get(&id.session())?.channel(id.index())
    }

    /// Borrows a channel, which counts as changed.
    pub(super) fn channel_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.get_mut(&id.session())?.channel_mut(id.index())
    }

    /// The channels of all sessions.
    pub(super) fn channels(&self) -> impl Iterator<Item = (ChannelId, &Channel)> {
        self.values().flat_map(Session::channels)
    }

    /// Whether presence is sent to a session: not while its socket lags behind.
    pub(super) fn takes_presence(&self, id: SessionId) -> bool {
        self.get(&id).is_some_and(|session| session.backlog().takes_presence())
    }

    /// The session whose socket has most to send beyond what it has asked for.
    pub(super) fn slowest(&self) -> Option<SessionId> {
        self.iter().max_by_key(|(_, session)| session.backlog().excess()).map(|(id, _)| *id)
    }

    /// Whose limits count for a session.
    pub(super) fn consumer(&self, id: SessionId) -> Consumer {
        Consumer::new(id, self.get(&id).and_then(Session::grant))
    }

    /// A socket is to send a change as large as a document, if there is room for that among the first texts.
    pub(super) fn sends_large(&mut self, id: SessionId, bytes: usize) -> bool {
        let fits = self.opening() + bytes <= limits::FIRST_TEXTS_BYTES;
        if let Some(session) = self.get_mut(&id).filter(|_| fits) {
            session.backlog_mut().opens(bytes);
        }
        fits
    }

    pub(super) fn contains_key(&self, id: &SessionId) -> bool {
        self.all.contains_key(id)
    }

    pub(super) fn insert(&mut self, id: SessionId, session: Session) {
        self.remove(&id);
        self.all.insert(id, Entry { session, summary: Summary::default() });
        self.stale.insert(id);
        self.changed.insert(id);
    }

    pub(super) fn remove(&mut self, id: &SessionId) -> Option<Session> {
        self.stale.remove(id);
        self.changed.remove(id);
        let Entry { session, summary } = self.all.remove(id)?;
        self.subtract(*id, &summary);
        Some(session)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &SessionId> {
        self.all.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Session> {
        self.all.values().map(|entry| &entry.session)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SessionId, &Session)> {
        self.all.iter().map(|(id, entry)| (id, &entry.session))
    }

    /// When the first of them is due; perhaps earlier, if one has changed since.
    pub(super) fn due_at(&self) -> Option<Millis> {
        let stale = self.stale.iter().filter_map(|id| self.get(id)?.due_at());
        self.due.first().map(|(at, _)| *at).into_iter().chain(stale).min()
    }

    /// Those that are due.
    pub(super) fn due(&mut self, now: Millis) -> Vec<SessionId> {
        self.refresh();
        self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// Saves what has changed of what outlives an eviction.
    pub(super) fn save(&mut self, output: &mut Output) {
        for id in self.take_changed() {
            if let Some(entry) = self.all.get_mut(&id) {
                entry.session.save(output);
            }
        }
    }

    /// Nothing outlives this hub: what has changed is not saved.
    pub(super) fn forget_changes(&mut self) {
        for id in self.take_changed() {
            if let Some(entry) = self.all.get_mut(&id) {
                entry.session.forget_changes();
            }
        }
    }

    /// Takes those that may have changed since the last call.
    fn take_changed(&mut self) -> BTreeSet<SessionId> {
        self.refresh();
        mem::take(&mut self.changed)
    }

    /// Whether one of them has shown a good token.
    pub(super) fn has_members(&self) -> bool {
        let is_member = |id: &SessionId| self.get(id).is_some_and(|session| session.grant().is_some());
        self.members > 0 || self.stale.iter().any(is_member)
    }

    /// What all their sockets have to send of first texts.
    pub(super) fn opening(&mut self) -> usize {
        self.refresh();
        self.opening
    }

    /// Those whose sockets take nothing of the first texts that they have to send.
    pub(super) fn stalled(&mut self, now: Millis) -> Vec<SessionId> {
        self.refresh();
        let is_stalled =
            |id: &&SessionId| self.get(id).is_some_and(|session| session.backlog().is_stalled(now));
        self.openers.iter().filter(is_stalled).copied().collect()
    }

    /// What all their sockets have to send beside that.
    pub(super) fn unsent(&mut self) -> usize {
        self.refresh();
        self.unsent
    }

    /// The sessions of a member that look at files.
    pub(super) fn looking(&mut self, member: &str) -> Vec<SessionId> {
        self.refresh();
        self.looking.get(member).into_iter().flatten().copied().collect()
    }

    /// Looks at those that may have changed.
    fn refresh(&mut self) {
        for id in mem::take(&mut self.stale) {
            let Some(entry) = self.all.get_mut(&id) else { continue };
            let summary = Summary::of(&entry.session);
            if entry.summary == summary {
                continue;
            }
            let before = mem::replace(&mut entry.summary, summary.clone());
            self.subtract(id, &before);
            self.add(id, summary);
        }
    }

    fn add(&mut self, id: SessionId, summary: Summary) {
        self.due.extend(summary.due.map(|at| (at, id)));
        self.members += usize::from(summary.is_member);
        self.unsent += summary.unsent;
        self.opening += summary.opening;
        if summary.opening > 0 {
            self.openers.insert(id);
        }
        if let Some(member) = summary.looking {
            self.looking.entry(member).or_default().insert(id);
        }
    }

    fn subtract(&mut self, id: SessionId, summary: &Summary) {
        if let Some(at) = summary.due {
            self.due.remove(&(at, id));
        }
        self.members -= usize::from(summary.is_member);
        self.unsent -= summary.unsent;
        self.opening -= summary.opening;
        self.openers.remove(&id);
        if let Some(member) = &summary.looking
            && let Some(sessions) = self.looking.get_mut(member)
        {
            sessions.remove(&id);
            if sessions.is_empty() {
                self.looking.remove(member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::effect::{Dialect, Visitor},
        *,
    };
    use crate::{
        grant::{Grant, Member, Role},
        limits,
    };

    fn id(n: u64) -> SessionId {
        SessionId::from_random((n + 1) << 20)
    }

    fn session(n: u64, now: Millis) -> Session {
        Session::new(id(n), Visitor { dialect: Dialect::Hocuspocus, token: None }, now)
    }

    fn admit(session: &mut Session, grant: Grant) {
        let _ = session.show_token(session.id().channel(1), "a token");
        let _ = session.admission_mut().decide(Ok(grant), 0);
    }

    fn grant(member: u64) -> Grant {
        let member = Member { id: format!("m{member}").into(), name: "".into() };
        Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() }
    }

    #[test]
    fn of_a_thousand_sessions_only_that_which_was_borrowed_is_looked_at_again() {
        let mut sessions = Sessions::default();
        (0..1_000).for_each(|n| sessions.insert(id(n), session(n, n)));
        assert_eq!(sessions.take_changed().len(), 1_000);
        *sessions.get_mut(&id(7)).unwrap() = session(7, 5_000_000);
        assert_eq!((sessions.stale.len(), sessions.due_at()), (1, Some(limits::GUEST_MS)));
        sessions.remove(&id(0));
        assert_eq!(sessions.due_at(), Some(1 + limits::GUEST_MS));
        assert_eq!(sessions.due(limits::GUEST_MS + 8), [1, 2, 3, 4, 5, 6, 8].map(id));
        assert_eq!(sessions.take_changed().len(), 1);
        assert!(sessions.stale.is_empty() && sessions.take_changed().is_empty());
    }

    proptest! {
        #[test]
        fn what_all_say_together_is_what_each_says(
            steps in prop::collection::vec((0_u64..8, 0_usize..6, 1_u64..90_000), 1..60),
        ) {
            let mut sessions = Sessions::default();
            for (n, step, value) in steps {
                if step == 0 {
                    sessions.remove(&id(n));
                } else if step == 1 || !sessions.contains_key(&id(n)) {
                    sessions.insert(id(n), session(n, value));
                }
                if let Some(session) = sessions.get_mut(&id(n)) {
                    match step {
                        2 => admit(session, grant(value % 3)),
                        3 => session.backlog_mut().told(value as usize * 100, value),
                        5 => session.backlog_mut().opens(value as usize),
                        4 => drop(session.set_visible((value % 2 == 0).then(bytes::Bytes::new))),
                        _ => {}
                    }
                }
                let due = sessions.values().filter_map(Session::due_at).min();
                prop_assert!(sessions.due_at() <= due || due.is_none());
                prop_assert_eq!(sessions.due(u64::MAX).len(), sessions.values().filter(|s| s.due_at().is_some()).count());
                prop_assert_eq!(sessions.due_at(), due);
                let unsent: usize = sessions.values().map(|session| session.backlog().excess()).sum();
                prop_assert_eq!(sessions.unsent(), unsent);
                let opening: usize = sessions.values().map(|session| session.backlog().opening()).sum();
                prop_assert_eq!(sessions.opening(), opening);
                let is_member = |session: &Session| session.grant().is_some();
                prop_assert_eq!(sessions.has_members(), sessions.values().any(is_member));
                for member in 0..3 {
                    let theirs = |session: &Session| {
                        session.visible().is_some() && session.grant() == Some(&grant(member))
                    };
                    let looking = sessions.iter().filter(|(_, session)| theirs(session)).map(|(id, _)| *id);
                    let looking: Vec<SessionId> = looking.collect();
                    prop_assert_eq!(sessions.looking(&format!("m{member}")), looking);
                }
            }
        }
    }
}
