//! The connections to the stores: each has a name and a purpose, is made once, and shows whether it is up.
//! All are closed together.

mod health;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::health::Health;

/// What a connection is for: what is slow must not sit in front of what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Short calls: appends, leases.
    Commands,
    /// What is published.
    Subscriber,
    /// Large reads and writes.
    Bulk,
    /// The archive.
    Archive,
    /// The flush queue.
    Queue,
}

impl Purpose {
    /// The stable word for it in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Subscriber => "subscriber",
            Self::Bulk => "bulk",
            Self::Archive => "archive",
            Self::Queue => "queue",
        }
    }
}

/// How a connection stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConnectionState {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it can be used now: it is connected, and the server refuses its user nothing.
    pub up: bool,
}

/// A name that a living connection has already.
#[derive(Debug, thiserror::Error)]
#[error("there is a connection {0:?} already")]
pub struct NameTaken(String);

/// Every connection of the process to a store. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    all: Mutex<BTreeMap<String, (Purpose, Health)>>,
    closing: CancellationToken,
    tracker: TaskTracker,
}

/// A connection's place in the list, kept by whoever keeps the connection: it is struck off when dropped.
#[derive(Debug)]
pub struct Connection {
    name: String,
    health: Health,
    all: Connections,
}

impl Connections {
    /// No connections yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a connection under a name that no other has; it is not up yet.
    pub fn enter(&self, name: impl Into<String>, purpose: Purpose) -> Result<Connection, NameTaken> {
        let name = name.into();
        let health = Health::new(name.clone());
        let mut all = self.all();
        if all.contains_key(&name) {
            return Err(NameTaken(name));
        }
        all.insert(name.clone(), (purpose, health.clone()));
        drop(all);
        Ok(Connection { name, health, all: self.clone() })
    }

    /// How every connection stands, by name.
    pub fn states(&self) -> Vec<ConnectionState> {
        let state = |(name, (purpose, health)): (&String, &(Purpose, Health))| ConnectionState {
            name: name.clone(),
            purpose: *purpose,
            up: health.is_usable(),
        };
        self.all().iter().map(state).collect()
    }

    /// Ends when all are to be closed; every task that holds a connection watches it.
    pub fn closing(&self) -> &CancellationToken {
        &self.0.closing
    }

    /// The tasks that hold connections; [`Self::close_all`] waits for them.
    pub fn tracker(&self) -> &TaskTracker {
        &self.0.tracker
    }

    /// Closes every connection. Whether all were closed within `grace`.
    pub async fn close_all(&self, grace: Duration) -> bool {
        self.0.closing.cancel();
        self.0.tracker.close();
        tokio::time::timeout(grace, self.0.tracker.wait()).await.is_ok()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, (Purpose, Health)>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It is connected, or no longer.
    pub fn set_up(&self, up: bool) {
        self.health.connected(up);
    }

    /// Where failures and refusals are told.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.all().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_stands_for_one_connection_while_that_lives() {
        let connections = Connections::new();
        let first = connections.enter("redis-commands", Purpose::Commands).unwrap();
        assert!(connections.enter("redis-commands", Purpose::Bulk).is_err());
        first.set_up(true);
        let state =
            ConnectionState { name: "redis-commands".to_owned(), purpose: Purpose::Commands, up: true };
        assert_eq!(connections.states(), [state]);
        drop(first);
        assert_eq!(connections.states(), []);
        assert!(connections.enter("redis-commands", Purpose::Commands).is_ok());
    }

    #[tokio::test]
    async fn all_are_closed_together() {
        let connections = Connections::new();
        let closing = connections.closing().clone();
        connections.tracker().spawn(async move { closing.cancelled().await });
        assert!(connections.close_all(Duration::from_secs(120)).await);
        connections.tracker().spawn(std::future::pending::<()>());
        assert!(!connections.close_all(Duration::from_millis(1)).await, "one does not end");
    }
}
