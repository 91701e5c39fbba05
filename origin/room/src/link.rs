//! One connection to a hub: how far the hub has been told, whether its changes are taken, and what it is to be sent.

use shared::{
    position::Position,
    wire::link::{FileUpdate, OriginMessage},
};

use crate::log::LogEntry;

/// Changes that may wait for a hub whose backfill is being read; more ends its link.
const WAITING: usize = 10_000;

/// A connection to a hub.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// The hub's name; empty before its hello.
    hub: String,
    progress: Progress,
    /// Changes are thrown away until the hub replays from this number or below.
    replay_from: Option<u64>,
    /// Told to hold; not told to resume yet.
    held: bool,
    /// What it is to be sent.
    out: Vec<OriginMessage>,
}

/// How far a hub has been told.
#[derive(Debug, Default)]
enum Progress {
    /// It has not said hello: it is told nothing.
    #[default]
    Silent,
    /// It has everything up to this seq.
    Until(u64),
    /// What it lacks since the seq that it has `read` is being read; what is logged meanwhile waits here.
    Behind { read: u64, waiting: Vec<LogEntry> },
}

impl Link {
    /// The hub's name; empty before its hello.
    pub(crate) fn hub(&self) -> &str {
        &self.hub
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: OriginMessage) {
        self.out.push(message);
    }

    /// Takes what was sent.
    pub(crate) fn take_out(&mut self) -> Vec<OriginMessage> {
        std::mem::take(&mut self.out)
    }

    /// The hub says its name and how far it has read. Whether what it lacks is to be read.
    #[must_use]
    pub(crate) fn hello(&mut self, hub: String, read: Option<Position>, room: Position) -> bool {
        self.hub = hub;
        match read {
            Some(read) if read.epoch != room.epoch || read.seq != room.seq => {
                self.progress = Progress::Behind { read: read.seq, waiting: Vec::new() };
                true
            }
            _ => {
                self.set_position(room);
                false
            }
        }
    }

    /// The room begins again while the hub has stayed, with nothing open: it counts from the room's new position.
    pub(crate) fn restart(&mut self, room: Position) {
        if !matches!(self.progress, Progress::Silent) {
            self.replay_from = None;
            self.set_position(room);
        }
    }

    fn set_position(&mut self, position: Position) {
        self.progress = Progress::Until(position.seq);
        self.send(OriginMessage::Updates { position, updates: Vec::new() });
    }

    /// Ends the wait for a backfill: the hub has everything up to `seq` from now on, or is told nothing any more. How
    /// far it had read, and what was logged meanwhile; `None` if it did not wait.
    pub(crate) fn end_backfill(&mut self, seq: Option<u64>) -> Option<(u64, Vec<LogEntry>)> {
        if !matches!(self.progress, Progress::Behind { .. }) {
            return None;
        }
        let next = seq.map_or(Progress::Silent, Progress::Until);
        match std::mem::replace(&mut self.progress, next) {
            Progress::Behind { read, waiting } => Some((read, waiting)),
            Progress::Silent | Progress::Until(_) => None,
        }
    }

    /// Whether too much waits for its backfill.
    pub(crate) fn is_overflowing(&self) -> bool {
        matches!(&self.progress, Progress::Behind { waiting, .. } if waiting.len() > WAITING)
    }

    /// Whether a logged change is to be sent now; it waits if a backfill is being read.
    #[must_use]
    pub(crate) fn accepts(&mut self, entry: &LogEntry) -> bool {
        match &mut self.progress {
            Progress::Behind { waiting, .. } => waiting.push(entry.clone()),
            Progress::Until(seq) if entry.seq > *seq => {
                *seq = entry.seq;
                return true;
            }
            Progress::Until(_) | Progress::Silent => {}
        }
        false
    }

    /// Sends a position, with an update of the log if the hub wants it; what follows on each other is one message.
    pub(crate) fn send_update(&mut self, position: Position, update: Option<FileUpdate>) {
        match self.out.last_mut() {
            Some(OriginMessage::Updates { position: last, updates }) => {
                *last = position;
                updates.extend(update);
            }
            _ => {
                let updates = update.into_iter().collect();
                self.send(OriginMessage::Updates { position, updates });
            }
        }
    }

    /// A change of the hub is given up: nothing is taken until it is replayed.
    pub(crate) fn give_up(&mut self, hub_seq: u64) {
        let from = self.replay_from.get_or_insert(hub_seq);
        *from = (*from).min(hub_seq);
    }

    /// The hub is to keep its changes.
    pub(crate) fn hold(&mut self, why: &str) {
        if !std::mem::replace(&mut self.held, true) {
            self.send(OriginMessage::Hold { why: why.to_owned() });
        }
    }

    /// The hub is to replay what it has kept.
    pub(crate) fn resume(&mut self) {
        if std::mem::take(&mut self.held) {
            self.send(OriginMessage::Resume);
        }
    }

    /// Whether a change is the next one. While the room holds, or when its queue is full, the hub is told to keep it;
    /// until the replay has come round to the first one given up, nothing is taken.
    #[must_use]
    pub(crate) fn takes(&mut self, hub_seq: u64, holds: bool, full: bool) -> bool {
        if hub_seq == 0 {
            return true;
        }
        if let Some(from) = self.replay_from {
            if hub_seq > from {
                return false;
            }
            if !holds && !self.held {
                self.replay_from = None;
            }
        }
        let keeps = holds || full || self.held;
        if keeps {
            self.replay_from = Some(hub_seq);
            self.hold("busy");
        }
        !keeps
    }
}
