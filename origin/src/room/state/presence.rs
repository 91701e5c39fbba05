//! Awareness of all hubs, for those that come later; and its end when a hub does not come back.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    Millis,
    id::FileId,
    limits,
    wire::{
        link::OriginMessage,
        yjs::{self, AwarenessEntry},
    },
};

use super::{LinkId, Room};

/// Awareness clients of one file that are remembered.
const CLIENTS: usize = 10_000;

/// What every member shows, by file and awareness client.
#[derive(Debug, Default)]
pub(super) struct Presence {
    files: BTreeMap<FileId, BTreeMap<u64, Shown>>,
    /// Hubs that are gone, and when their members are given up.
    orphans: BTreeMap<String, Millis>,
}

#[derive(Debug)]
struct Shown {
    clock: u64,
    state: String,
    hub: String,
}

impl Presence {
    pub(super) fn orphans_at(&self) -> Option<Millis> {
        self.orphans.values().min().copied()
    }
}

impl Room {
    /// Awareness of a hub's sessions: kept for later and passed on to the other hubs.
    pub(super) fn awareness(&mut self, link: LinkId, file: &FileId, bytes: &Bytes) {
        let Ok(entries) = yjs::read_relayed_awareness(bytes) else { return };
        let hub = self.links.get(&link).map(|state| state.hub.clone()).unwrap_or_default();
        let shown = self.presence.files.entry(file.clone()).or_default();
        for entry in entries {
            if shown.get(&entry.client).is_some_and(|known| known.clock > entry.clock) {
                continue;
            }
            if entry.state == "null" {
                shown.remove(&entry.client);
            } else if shown.len() < CLIENTS {
                let state = entry.state.to_owned();
                shown.insert(entry.client, Shown { clock: entry.clock, state, hub: hub.clone() });
            }
        }
        for other in self.links_with(file) {
            if other != link {
                let message = OriginMessage::Awareness { file: file.clone(), bytes: bytes.clone() };
                self.tell(other, vec![message]);
            }
        }
    }

    /// Who is shown in a file, for a hub that has just opened it.
    pub(super) fn presence_of(&self, file: &FileId) -> Option<OriginMessage> {
        let shown = self.presence.files.get(file)?;
        let entries: Vec<AwarenessEntry<'_>> = shown
            .iter()
            .map(|(client, shown)| AwarenessEntry {
                client: *client,
                clock: shown.clock,
                state: &shown.state,
            })
            .collect();
        let bytes = yjs::write_awareness(&entries);
        (!entries.is_empty()).then(|| OriginMessage::Awareness { file: file.clone(), bytes })
    }

    /// A hub's link is gone: its members stay shown for a while, it may come back on another one.
    pub(super) fn orphan_presence(&mut self, hub: &str, now: Millis) {
        self.presence.orphans.insert(hub.to_owned(), now + limits::PRESENCE_GRACE_MS);
    }

    /// The hub is back.
    pub(super) fn keep_presence(&mut self, hub: &str) {
        self.presence.orphans.remove(hub);
    }

    pub(super) fn end_orphaned_presence(&mut self, now: Millis) {
        let due: Vec<String> =
            self.presence.orphans.iter().filter(|(_, at)| **at <= now).map(|(hub, _)| hub.clone()).collect();
        for hub in due {
            self.presence.orphans.remove(&hub);
            self.end_presence_of(&hub);
        }
    }

    fn end_presence_of(&mut self, hub: &str) {
        let mut messages = Vec::new();
        for (file, shown) in &mut self.presence.files {
            let gone: Vec<AwarenessEntry<'static>> = shown
                .iter()
                .filter(|(_, shown)| shown.hub == hub)
                .map(|(client, shown)| AwarenessEntry { client: *client, clock: shown.clock, state: "null" })
                .collect();
            if !gone.is_empty() {
                shown.retain(|_, shown| shown.hub != hub);
                let bytes = yjs::write_awareness(&gone);
                messages.push(OriginMessage::Awareness { file: file.clone(), bytes });
            }
        }
        for message in &messages {
            self.tell_all(message);
        }
    }
}
