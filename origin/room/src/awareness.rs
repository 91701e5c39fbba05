//! Awareness of all hubs, for those that come later; and its end when a hub does not come back.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    Millis,
    id::FileId,
    wire::yjs::{self, AwarenessEntry},
};

/// Awareness clients of one file that are remembered.
const CLIENTS: usize = 10_000;
/// How long a member of another origin is shown without a renewal; clients renew every 15 s.
const ELSEWHERE_MS: Millis = 45_000;

/// What every member shows, by file and awareness client.
#[derive(Debug, Default)]
pub(crate) struct Awareness {
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

/// Awareness that ends what is shown, by file.
pub(crate) type Ends = Vec<(FileId, Bytes)>;

/// What ends because its origin or hub is gone.
#[derive(Debug, Default)]
pub(crate) struct Expired {
    /// Hubs whose members are not shown any more.
    pub(crate) hubs: Vec<String>,
    /// The end of what hubs of this origin have shown.
    pub(crate) here: Ends,
    /// The end of what other origins have shown.
    pub(crate) elsewhere: Ends,
}

impl Awareness {
    /// When something of it may have to end.
    pub(crate) fn due_at(&self) -> Option<Millis> {
        let returned = self.returned.values().min().map(|at| at + crate::limits::PRESENCE_GRACE_MS);
        [self.orphans.values().min().copied(), returned, self.look_at].into_iter().flatten().min()
    }

    /// Keeps what is shown; `hub` is whose it is, `None` for a hub of another origin.
    pub(crate) fn learn(&mut self, file: &FileId, bytes: &Bytes, hub: Option<&str>, now: Millis) {
        let Ok(entries) = yjs::read_relayed_awareness(bytes) else { return };
        if hub.is_none() {
            self.look_at.get_or_insert(now + ELSEWHERE_MS);
        }
        let shown = self.files.entry(file.clone()).or_default();
        for entry in entries {
            if shown.get(&entry.client).is_some_and(|known| known.clock > entry.clock) {
                continue;
            }
            if entry.state == "null" {
                shown.remove(&entry.client);
            } else if shown.len() < CLIENTS {
                let state = entry.state.to_owned();
                let shows = Shown { clock: entry.clock, state, hub: hub.map(str::to_owned), seen: now };
                shown.insert(entry.client, shows);
            }
        }
    }

    /// What this origin's own hubs show, by file.
    pub(crate) fn here(&self) -> Vec<(FileId, Bytes)> {
        let own = |shown: &Shown| shown.hub.is_some();
        self.files.iter().filter_map(|(file, shown)| Some((file.clone(), write(shown, own)?))).collect()
    }

    /// What is shown in a file, for a hub that has just opened it.
    pub(crate) fn of(&self, file: &FileId) -> Option<Bytes> {
        write(self.files.get(file)?, |_| true)
    }

    /// A hub's link is gone: its members stay shown for a while, it may come back on another one.
    pub(crate) fn orphan(&mut self, hub: &str, now: Millis) {
        self.returned.remove(hub);
        self.orphans.insert(hub.to_owned(), now + crate::limits::PRESENCE_GRACE_MS);
    }

    /// The hub is back, and shows its members again.
    pub(crate) fn keep(&mut self, hub: &str, now: Millis) {
        if self.orphans.remove(hub).is_some() {
            self.returned.insert(hub.to_owned(), now);
        }
    }

    /// Ends what no hub shows any more: of hubs that did not come back, of origins that fell silent.
    #[must_use]
    pub(crate) fn expire(&mut self, now: Millis) -> Expired {
        let mut expired = Expired::default();
        for (hub, _) in self.orphans.extract_if(.., |_, at| *at <= now).collect::<Vec<_>>() {
            expired.here.extend(self.end(|shown| shown.hub.as_deref() == Some(&hub)));
            expired.hubs.push(hub);
        }
        let grace = crate::limits::PRESENCE_GRACE_MS;
        for (hub, at) in self.returned.extract_if(.., |_, at| *at + grace <= now).collect::<Vec<_>>() {
            expired.here.extend(self.end(|shown| shown.hub.as_deref() == Some(&hub) && shown.seen < at));
            expired.hubs.push(hub);
        }
        if self.look_at.is_some_and(|at| at <= now) {
            expired.elsewhere = self.end(|shown| shown.hub.is_none() && shown.seen + ELSEWHERE_MS <= now);
            let elsewhere = self.files.values().flat_map(BTreeMap::values);
            let oldest = elsewhere.filter(|shown| shown.hub.is_none()).map(|shown| shown.seen).min();
            self.look_at = oldest.map(|seen| seen + ELSEWHERE_MS);
        }
        expired
    }

    fn end(&mut self, ends: impl Fn(&Shown) -> bool) -> Ends {
        let mut ended = Vec::new();
        for (file, shown) in &mut self.files {
            let gone =
                shown.iter().filter(|(_, shown)| ends(shown)).map(|(client, shown)| shown.end(*client));
            let gone: Vec<AwarenessEntry<'static>> = gone.collect();
            if !gone.is_empty() {
                shown.retain(|_, shown| !ends(shown));
                ended.push((file.clone(), yjs::write_awareness(&gone)));
            }
        }
        ended
    }
}

/// The awareness of the wanted clients; `None` if nothing is shown.
fn write(shown: &BTreeMap<u64, Shown>, wanted: impl Fn(&Shown) -> bool) -> Option<Bytes> {
    let wanted = shown.iter().filter(|(_, shown)| wanted(shown));
    let entries: Vec<AwarenessEntry<'_>> = wanted.map(|(client, shown)| shown.entry(*client)).collect();
    (!entries.is_empty()).then(|| yjs::write_awareness(&entries))
}
