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

use super::session::Session;
use crate::{Millis, id::SessionId, limits};

/// The sessions by id.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: BTreeMap<SessionId, Known>,
    /// Those that may have changed since they were last looked at.
    stirred: BTreeSet<SessionId>,
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

/// A session, and what was seen of it when it was last looked at.
#[derive(Debug)]
struct Known {
    session: Session,
    seen: Seen,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    due: Option<Millis>,
    is_member: bool,
    unsent: usize,
    opening: usize,
    /// The member that looks at files.
    looking: Option<Arc<str>>,
}

impl Seen {
    fn of(session: &Session) -> Self {
        let grant = session.admission.grant.as_ref();
        let member = grant.map(|grant| grant.member.id.clone());
        Self {
            due: session.due_at(),
            is_member: grant.is_some(),
            unsent: session.backlog.excess(),
            opening: session.backlog.opening(),
            looking: member.filter(|_| session.visible.is_some()),
        }
    }
}

impl Sessions {
    pub(super) fn get(&self, id: &SessionId) -> Option<&Session> {
        self.all.get(id).map(|known| &known.session)
    }

    /// Borrows a session, which is looked at again afterwards.
    pub(super) fn get_mut(&mut self, id: &SessionId) -> Option<&mut Session> {
        let known = self.all.get_mut(id)?;
        self.stirred.insert(*id);
        self.changed.insert(*id);
        Some(&mut known.session)
    }

    /// A socket is to send a change as large as a document, if there is room for that among the first texts.
    pub(super) fn sends_large(&mut self, id: SessionId, bytes: usize) -> bool {
        let fits = self.opening() + bytes <= limits::FIRST_TEXTS_BYTES;
        if let Some(session) = self.get_mut(&id).filter(|_| fits) {
            session.backlog.opens(bytes);
        }
        fits
    }

    pub(super) fn contains_key(&self, id: &SessionId) -> bool {
        self.all.contains_key(id)
    }

    pub(super) fn insert(&mut self, id: SessionId, session: Session) {
        self.remove(&id);
        self.all.insert(id, Known { session, seen: Seen::default() });
        self.stirred.insert(id);
        self.changed.insert(id);
    }

    pub(super) fn remove(&mut self, id: &SessionId) {
        if let Some(Known { seen, .. }) = self.all.remove(id) {
            self.unsee(*id, &seen);
        }
        self.stirred.remove(id);
        self.changed.remove(id);
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
        self.all.values().map(|known| &known.session)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SessionId, &Session)> {
        self.all.iter().map(|(id, known)| (id, &known.session))
    }

    /// When the first of them is due; perhaps earlier, if one has changed since.
    pub(super) fn due_at(&self) -> Option<Millis> {
        let stirred = self.stirred.iter().filter_map(|id| self.get(id)?.due_at());
        self.due.first().map(|(at, _)| *at).into_iter().chain(stirred).min()
    }

    /// Those that are due.
    pub(super) fn due(&mut self, now: Millis) -> Vec<SessionId> {
        self.look();
        self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// Takes those that may have changed since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<SessionId> {
        self.look();
        mem::take(&mut self.changed)
    }

    /// Whether one of them has shown a good token.
    pub(super) fn has_members(&self) -> bool {
        let is_member =
            |id: &SessionId| self.get(id).is_some_and(|session| session.admission.grant.is_some());
        self.members > 0 || self.stirred.iter().any(is_member)
    }

    /// What all their sockets have to send of first texts.
    pub(super) fn opening(&mut self) -> usize {
        self.look();
        self.opening
    }

    /// Those whose sockets take nothing of the first texts that they have to send.
    pub(super) fn stalled(&mut self, now: Millis) -> Vec<SessionId> {
        self.look();
        let is_stalled =
            |id: &&SessionId| self.get(id).is_some_and(|session| session.backlog.is_stalled(now));
        self.openers.iter().filter(is_stalled).copied().collect()
    }

    /// What all their sockets have to send beside that.
    pub(super) fn unsent(&mut self) -> usize {
        self.look();
        self.unsent
    }

    /// The sessions of a member that look at files.
    pub(super) fn looking(&mut self, member: &str) -> Vec<SessionId> {
        self.look();
        self.looking.get(member).into_iter().flatten().copied().collect()
    }

    /// Looks at those that may have changed.
    fn look(&mut self) {
        for id in mem::take(&mut self.stirred) {
            let Some(known) = self.all.get_mut(&id) else { continue };
            let seen = Seen::of(&known.session);
            if known.seen == seen {
                continue;
            }
            let before = mem::replace(&mut known.seen, seen.clone());
            self.unsee(id, &before);
            self.see(id, seen);
        }
    }

    fn see(&mut self, id: SessionId, seen: Seen) {
        self.due.extend(seen.due.map(|at| (at, id)));
        self.members += usize::from(seen.is_member);
        self.unsent += seen.unsent;
        self.opening += seen.opening;
        if seen.opening > 0 {
            self.openers.insert(id);
        }
        if let Some(member) = seen.looking {
            self.looking.entry(member).or_default().insert(id);
        }
    }

    fn unsee(&mut self, id: SessionId, seen: &Seen) {
        if let Some(at) = seen.due {
            self.due.remove(&(at, id));
        }
        self.members -= usize::from(seen.is_member);
        self.unsent -= seen.unsent;
        self.opening -= seen.opening;
        self.openers.remove(&id);
        if let Some(member) = &seen.looking
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
        super::{Dialect, Visitor},
        *,
    };
    use crate::{
        grant::{Grant, Member, Role},
        limits,
    };

    fn id(n: u64) -> SessionId {
        SessionId::from_random((n + 1) << 20)
    }

    fn session(now: Millis) -> Session {
        Session::new(Visitor { dialect: Dialect::Hocuspocus, token: None }, now)
    }

    fn grant(member: u64) -> Grant {
        let member = Member { id: format!("m{member}").into(), name: "".into() };
        Grant { member, role: Role::Editor, expires: None, version: 0, rules: [].into() }
    }

    #[test]
    fn of_a_thousand_sessions_only_that_which_was_borrowed_is_looked_at_again() {
        let mut sessions = Sessions::default();
        (0..1_000).for_each(|n| sessions.insert(id(n), session(n)));
        assert_eq!(sessions.take_changed().len(), 1_000);
        sessions.get_mut(&id(7)).unwrap().since = 5_000_000;
        assert_eq!((sessions.stirred.len(), sessions.due_at()), (1, Some(limits::STRANGER_MS)));
        sessions.remove(&id(0));
        assert_eq!(sessions.due_at(), Some(1 + limits::STRANGER_MS));
        assert_eq!(sessions.due(limits::STRANGER_MS + 8), [1, 2, 3, 4, 5, 6, 8].map(id));
        assert_eq!(sessions.take_changed().len(), 1);
        assert!(sessions.stirred.is_empty() && sessions.take_changed().is_empty());
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
                    sessions.insert(id(n), session(value));
                }
                if let Some(session) = sessions.get_mut(&id(n)) {
                    match step {
                        2 => session.admission.grant = Some(grant(value % 3)),
                        3 => session.backlog.told(value as usize * 100, value),
                        5 => session.backlog.opens(value as usize),
                        4 => session.visible = (value % 2 == 0).then(bytes::Bytes::new),
                        _ => {}
                    }
                }
                let due = sessions.values().filter_map(Session::due_at).min();
                prop_assert!(sessions.due_at() <= due || due.is_none());
                prop_assert_eq!(sessions.due(u64::MAX).len(), sessions.values().filter(|s| s.due_at().is_some()).count());
                prop_assert_eq!(sessions.due_at(), due);
                let unsent: usize = sessions.values().map(|session| session.backlog.excess()).sum();
                prop_assert_eq!(sessions.unsent(), unsent);
                let opening: usize = sessions.values().map(|session| session.backlog.opening()).sum();
                prop_assert_eq!(sessions.opening(), opening);
                let is_member = |session: &Session| session.admission.grant.is_some();
                prop_assert_eq!(sessions.has_members(), sessions.values().any(is_member));
                for member in 0..3 {
                    let theirs = |session: &Session| {
                        session.visible.is_some() && session.admission.grant == Some(grant(member))
                    };
                    let looking = sessions.iter().filter(|(_, session)| theirs(session)).map(|(id, _)| *id);
                    let looking: Vec<SessionId> = looking.collect();
                    prop_assert_eq!(sessions.looking(&format!("m{member}")), looking);
                }
            }
        }
    }
}
