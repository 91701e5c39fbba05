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
/// How long a member of another origin is shown without a renewal; clients renew every 15 s.
const ELSEWHERE_MS: Millis = 45_000;

/// What every member shows, by file and awareness client.
#[derive(Debug, Default)]
pub(super) struct Presence {
    files: BTreeMap<FileId, BTreeMap<u64, Shown>>,
    /// Hubs that are gone, and when their members are given up.
    orphans: BTreeMap<String, Millis>,
    /// Hubs that have come back, and when: what they do not show again soon has ended meanwhile.
    returned: BTreeMap<String, Millis>,
    /// When the members of other origins are next looked at.
    look_at: Option<Millis>,
}

#[derive(Debug)]
struct Shown {
    clock: u64,
    state: String,
    /// The hub of this origin that speaks for it; `None` if that is at another origin.
    hub: Option<String>,
    seen: Millis,
}

impl Shown {
    fn entry(&self, client: u64) -> AwarenessEntry<'_> {
        AwarenessEntry { client, clock: self.clock, state: &self.state }
    }

    fn end(&self, client: u64) -> AwarenessEntry<'static> {
        AwarenessEntry { client, clock: self.clock, state: "null" }
    }
}

impl Presence {
    /// When something of it may have to end.
    pub(super) fn due_at(&self) -> Option<Millis> {
        let returned = self.returned.values().min().map(|at| at + limits::PRESENCE_GRACE_MS);
        [self.orphans.values().min().copied(), returned, self.look_at].into_iter().flatten().min()
    }
}

impl Room {
    /// Awareness of a hub's sessions: kept for later and passed on to everybody else.
    pub(super) fn awareness(&mut self, link: LinkId, file: &FileId, bytes: &Bytes, now: Millis) {
        let hub = self.links.get(&link).map(|state| state.hub.clone()).unwrap_or_default();
        self.learn_presence(file, bytes, Some(hub), now);
        for other in self.opens.links_with(file) {
            if other != link {
                let message = OriginMessage::Awareness { file: file.clone(), bytes: bytes.clone() };
                self.tell(other, vec![message]);
            }
        }
        self.announce_awareness(file, bytes);
    }

    /// Keeps what is shown; `hub` is whose it is, `None` for a hub of another origin.
    pub(super) fn learn_presence(&mut self, file: &FileId, bytes: &Bytes, hub: Option<String>, now: Millis) {
        let Ok(entries) = yjs::read_relayed_awareness(bytes) else { return };
        if hub.is_none() {
            self.presence.look_at.get_or_insert(now + ELSEWHERE_MS);
        }
        let shown = self.presence.files.entry(file.clone()).or_default();
        for entry in entries {
            if shown.get(&entry.client).is_some_and(|known| known.clock > entry.clock) {
                continue;
            }
            if entry.state == "null" {
                shown.remove(&entry.client);
            } else if shown.len() < CLIENTS {
                let state = entry.state.to_owned();
                let shows = Shown { clock: entry.clock, state, hub: hub.clone(), seen: now };
                shown.insert(entry.client, shows);
            }
        }
    }

    /// What this origin's own hubs show, by file.
    pub(super) fn own_presence(&self) -> Vec<(FileId, Bytes)> {
        let files = self.presence.files.iter();
        files
            .filter_map(|(file, shown)| {
                let own = shown.iter().filter(|(_, shown)| shown.hub.is_some());
                let entries: Vec<AwarenessEntry<'_>> =
                    own.map(|(client, shown)| shown.entry(*client)).collect();
                (!entries.is_empty()).then(|| (file.clone(), yjs::write_awareness(&entries)))
            })
            .collect()
    }

    /// Who is shown in a file, for a hub that has just opened it.
    pub(super) fn presence_of(&self, file: &FileId) -> Option<OriginMessage> {
        let shown = self.presence.files.get(file)?;
        let entries: Vec<AwarenessEntry<'_>> =
            shown.iter().map(|(client, shown)| shown.entry(*client)).collect();
        let bytes = yjs::write_awareness(&entries);
        (!entries.is_empty()).then(|| OriginMessage::Awareness { file: file.clone(), bytes })
    }

    /// A hub's link is gone: its members stay shown for a while, it may come back on another one.
    pub(super) fn orphan_presence(&mut self, hub: &str, now: Millis) {
        self.presence.returned.remove(hub);
        self.presence.orphans.insert(hub.to_owned(), now + limits::PRESENCE_GRACE_MS);
    }

    /// The hub is back, and shows its members anew.
    pub(super) fn keep_presence(&mut self, hub: &str, now: Millis) {
        if self.presence.orphans.remove(hub).is_some() {
            self.presence.returned.insert(hub.to_owned(), now);
        }
    }

    /// Ends what nobody speaks for any more: hubs that did not come back, members of origins that fell silent.
    pub(super) fn end_stale_presence(&mut self, now: Millis) {
        let due: Vec<String> =
            self.presence.orphans.iter().filter(|(_, at)| **at <= now).map(|(hub, _)| hub.clone()).collect();
        for hub in due {
            self.presence.orphans.remove(&hub);
            self.end_visible_files(&hub);
            for (file, bytes) in self.end_presence(|shown| shown.hub.as_deref() == Some(&hub)) {
                self.announce_awareness(&file, &bytes);
            }
        }
        let returned = self.presence.returned.iter().map(|(hub, at)| (hub.clone(), *at));
        let due: Vec<(String, Millis)> =
            returned.filter(|(_, at)| at + limits::PRESENCE_GRACE_MS <= now).collect();
        for (hub, at) in due {
            self.presence.returned.remove(&hub);
            self.end_visible_files(&hub);
            let is_left = |shown: &Shown| shown.hub.as_deref() == Some(&hub) && shown.seen < at;
            for (file, bytes) in self.end_presence(is_left) {
                self.announce_awareness(&file, &bytes);
            }
        }
        if self.presence.look_at.is_some_and(|at| at <= now) {
            self.end_presence(|shown| shown.hub.is_none() && shown.seen + ELSEWHERE_MS <= now);
            let elsewhere = self.presence.files.values().flat_map(BTreeMap::values);
            let oldest = elsewhere.filter(|shown| shown.hub.is_none()).map(|shown| shown.seen).min();
            self.presence.look_at = oldest.map(|seen| seen + ELSEWHERE_MS);
        }
    }

    fn end_presence(&mut self, ends: impl Fn(&Shown) -> bool) -> Vec<(FileId, Bytes)> {
        let mut ended = Vec::new();
        for (file, shown) in &mut self.presence.files {
            let gone =
                shown.iter().filter(|(_, shown)| ends(shown)).map(|(client, shown)| shown.end(*client));
            let gone: Vec<AwarenessEntry<'static>> = gone.collect();
            if !gone.is_empty() {
                shown.retain(|_, shown| !ends(shown));
                ended.push((file.clone(), yjs::write_awareness(&gone)));
            }
        }
        for (file, bytes) in ended.clone() {
            self.tell_all(&OriginMessage::Awareness { file, bytes });
        }
        ended
    }
}
