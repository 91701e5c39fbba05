//! The files that members look at: what is known of them for members who come later, and its end.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    id::ChannelId,
    wire::event::{self, EventOut},
};

use crate::effect::{LinkId, Place};

/// Members of other origins whose visible files are remembered.
const ELSEWHERE: usize = 10_000;

/// What members look at, as room events.
#[derive(Debug, Default)]
pub(crate) struct Visible {
    /// At hubs of this origin.
    here: BTreeMap<Place, Bytes>,
    /// At other origins.
    elsewhere: BTreeMap<ChannelId, Bytes>,
    /// At hubs that are gone and may come back.
    orphans: BTreeMap<String, BTreeMap<ChannelId, Bytes>>,
}

impl Visible {
    /// A member of a hub here looks at other files than before.
    pub(crate) fn set(&mut self, place: Place, json: &Bytes) {
        self.forget(place.1);
        if shows_nothing(json) {
            self.here.remove(&place);
        } else {
            self.here.insert(place, json.clone());
        }
    }

    /// The same of a member at another origin.
    pub(crate) fn set_elsewhere(&mut self, channel: ChannelId, json: &Bytes) {
        self.forget(channel);
        if !shows_nothing(json) && self.elsewhere.len() < ELSEWHERE {
            self.elsewhere.insert(channel, json.clone());
        }
    }

    /// What all members look at, for one who has just come.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Bytes> {
        self.here.values().chain(self.elsewhere.values())
    }

    /// What the members here look at, for other origins.
    pub(crate) fn here(&self) -> impl Iterator<Item = (ChannelId, &Bytes)> {
        self.here.iter().map(|((_, channel), json)| (*channel, json))
    }

    /// A channel is closed.
    pub(crate) fn close(&mut self, place: Place) {
        self.here.remove(&place);
    }

    /// A link is replaced by another one of its hub, which says again what its members look at.
    pub(crate) fn drop_link(&mut self, link: LinkId) -> BTreeMap<ChannelId, Bytes> {
        let of_link = (link, ChannelId(0))..=(link, ChannelId(u64::MAX));
        let places: Vec<Place> = self.here.range(of_link).map(|(place, _)| *place).collect();
        places.into_iter().filter_map(|place| Some((place.1, self.here.remove(&place)?))).collect()
    }

    /// The link of a hub is gone: the hub may come back.
    pub(crate) fn orphan(&mut self, link: LinkId, hub: &str) {
        let shown = self.drop_link(link);
        if !shown.is_empty() {
            self.orphans.insert(hub.to_owned(), shown);
        }
    }

    /// Other origins are asked again.
    pub(crate) fn forget_elsewhere(&mut self) {
        self.elsewhere.clear();
    }

    /// A hub did not come back, or did not say it again: the events that its members look at nothing any more.
    #[must_use]
    pub(crate) fn end(&mut self, hub: &str) -> Vec<(ChannelId, Bytes)> {
        let shown = self.orphans.remove(hub).unwrap_or_default();
        let ends = shown.into_iter().filter_map(|(channel, json)| {
            let (member, _) = event::visible_files(&json)?;
            Some((channel, EventOut::VisibleFiles { member, files: Vec::new() }.to_json().into()))
        });
        ends.collect()
    }

    fn forget(&mut self, channel: ChannelId) {
        self.elsewhere.remove(&channel);
        self.orphans.values_mut().for_each(|shown| {
            shown.remove(&channel);
        });
    }
}

fn shows_nothing(json: &[u8]) -> bool {
    event::visible_files(json).is_none_or(|(_, files)| files == 0)
}
