//! The files that members look at: what is known of them for those who come later, and its end.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    id::ChannelId,
    wire::{
        event::{self, EventOut},
        link::OriginMessage,
    },
};

use super::{LinkId, Room};

/// Members of other origins whose visible files are remembered.
const ELSEWHERE: usize = 10_000;

/// What members look at, as room events, who are at no link of this origin.
#[derive(Debug, Default)]
pub(super) struct Visible {
    /// At other origins.
    elsewhere: BTreeMap<ChannelId, Bytes>,
    /// At hubs that are gone and may come back.
    orphans: BTreeMap<String, BTreeMap<ChannelId, Bytes>>,
}

impl Visible {
    /// A hub's link is gone, and with it what its members look at.
    pub(super) fn orphan(&mut self, hub: &str, looks: BTreeMap<ChannelId, Bytes>) {
        if !looks.is_empty() {
            self.orphans.insert(hub.to_owned(), looks);
        }
    }

    /// Others are asked anew.
    pub(super) fn forget_elsewhere(&mut self) {
        self.elsewhere.clear();
    }

    fn forget(&mut self, channel: ChannelId) {
        self.elsewhere.remove(&channel);
        self.orphans.values_mut().for_each(|looks| {
            looks.remove(&channel);
        });
    }
}

impl Room {
    /// A member of a hub here looks at other files than before.
    pub(super) fn looks_at(&mut self, link: LinkId, channel: ChannelId, json: &Bytes) {
        self.visible.forget(channel);
        if let Some(state) = self.links.get_mut(&link) {
            if looks_at_nothing(json) {
                state.visible.remove(&channel);
            } else {
                state.visible.insert(channel, json.clone());
            }
        }
    }

    /// The same of a member at another origin.
    pub(super) fn looks_at_elsewhere(&mut self, channel: ChannelId, json: &Bytes) {
        self.visible.forget(channel);
        if !looks_at_nothing(json) && self.visible.elsewhere.len() < ELSEWHERE {
            self.visible.elsewhere.insert(channel, json.clone());
        }
    }

    /// What the members look at, for one that has just come.
    pub(super) fn visible_files_for(&mut self, link: LinkId, channel: ChannelId) {
        let here = self.links.values().flat_map(|state| state.visible.values());
        let seen: Vec<Bytes> = here.chain(self.visible.elsewhere.values()).cloned().collect();
        for json in seen {
            self.tell(link, vec![OriginMessage::Event { position: None, channel: Some(channel), json }]);
        }
    }

    /// A hub did not come back, or did not say it again: its members look at nothing any more.
    pub(super) fn end_visible_files(&mut self, hub: &str) {
        for (channel, json) in self.visible.orphans.remove(hub).unwrap_or_default() {
            let Some((member, _)) = event::visible_files(&json) else { continue };
            let json: Bytes = EventOut::VisibleFiles { member, files: Vec::new() }.to_json().into();
            self.announce_event(channel, true, &json);
            self.tell_all(&OriginMessage::Event { position: None, channel: None, json });
        }
    }
}

fn looks_at_nothing(json: &[u8]) -> bool {
    event::visible_files(json).is_none_or(|(_, files)| files == 0)
}
