//! How one connection stands, and what is said of it: one warning when something begins to go wrong or goes wrong
//! in another way, none for its repetition.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// How one connection stands. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    connected: AtomicBool,
    refused: AtomicBool,
    said: Mutex<Said>,
}

/// What was warned of and has not passed.
#[derive(Debug, Default)]
struct Said {
    /// Why the connection was not made, or lost, last.
    failure: Option<String>,
    /// What the server refuses, and how.
    refusals: BTreeMap<&'static str, String>,
}

impl Health {
    pub(super) fn new(name: String) -> Self {
        let (connected, refused) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Inner { name, connected, refused, said: Mutex::default() }))
    }

    /// Whether it is connected and the server refuses nothing.
    pub fn is_usable(&self) -> bool {
        self.0.connected.load(Ordering::Acquire) && !self.0.refused.load(Ordering::Acquire)
    }

    pub(super) fn connected(&self, up: bool) {
        if up {
            // Another server, or another user: what the last one refused says nothing of it.
            let mut said = self.said();
            said.refusals.clear();
            self.0.refused.store(false, Ordering::Release);
        }
        if self.0.connected.swap(up, Ordering::AcqRel) != up {
            tracing::info!(connection.name = %self.0.name, up, "a connection has changed");
        }
    }

    /// It could not be made, or was lost, while `doing` something. Neither may hold a secret.
    pub fn failed(&self, doing: &str, why: &str) {
        let failure = format!("{doing}: {why}");
        let mut said = self.said();
        if said.failure.as_ref() == Some(&failure) {
            tracing::debug!(connection.name = %self.0.name, doing, why, "a connection fails still");
            return;
        }
        said.failure = Some(failure);
        tracing::warn!(connection.name = %self.0.name, doing, why, "a connection fails");
    }

    /// [`Self::failed`], once for each outage: whatever is tried meanwhile fails in more than one way.
    pub fn is_out(&self, doing: &str, why: &str) {
        if self.said().failure.is_some() {
            tracing::debug!(connection.name = %self.0.name, doing, why, "a connection fails still");
        } else {
            self.failed(doing, why);
        }
    }

    /// It was tried out and works: whatever goes wrong next is news.
    pub fn works(&self) {
        self.said().failure = None;
    }

    /// The server does not let its user do something.
    pub fn refused(&self, doing: &'static str, why: &str) {
        let mut said = self.said();
        self.0.refused.store(true, Ordering::Release);
        if said.refusals.insert(doing, why.to_owned()).as_deref() != Some(why) {
            tracing::warn!(connection.name = %self.0.name, doing, why, "the server refuses its user something");
        }
    }

    /// Something was done: if it was refused before, that has passed.
    pub fn done(&self, doing: &'static str) {
        if !self.0.refused.load(Ordering::Acquire) {
            return;
        }
        let mut said = self.said();
        if said.refusals.remove(doing).is_some() {
            tracing::info!(connection.name = %self.0.name, doing, "the server refuses it no longer");
        }
        self.0.refused.store(!said.refusals.is_empty(), Ordering::Release);
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_makes_it_unusable_until_it_is_done_or_the_connection_is_another() {
        let health = Health::new("redis-commands".to_owned());
        health.connected(true);
        assert!(health.is_usable());
        health.refused("append", "NOPERM");
        health.refused("join", "NOPERM");
        assert!(!health.is_usable());
        health.done("read");
        health.done("append");
        assert!(!health.is_usable(), "joining is refused still");
        health.done("join");
        assert!(health.is_usable());
        health.refused("append", "NOPERM");
        health.connected(false);
        health.connected(true);
        assert!(health.is_usable());
    }
}
