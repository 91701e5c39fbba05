//! What the sessions of all hubs have open, by channel and by file: what concerns one file is found without a look at
//! the others.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    grant::Grant,
    id::{ChannelId, FileId, FilePath},
};

use crate::effect::{LinkId, Place};

/// A document that a channel has open.
#[derive(Clone, Debug)]
pub(crate) struct OpenChannel {
    pub(crate) file: FileId,
    pub(crate) grant: Grant,
    /// Whether it speaks text frames.
    pub(crate) is_text: bool,
    /// The path that it waits for: until that is claimed, it has the room's document.
    pub(crate) claims: Option<FilePath>,
}

/// The open documents.
#[derive(Debug, Default)]
pub(crate) struct Opens {
    channels: BTreeMap<Place, OpenChannel>,
    files: BTreeMap<FileId, Readers>,
    /// Files that a channel has left since they were last taken.
    left: BTreeSet<FileId>,
}

/// The channels that have a file open.
#[derive(Debug, Default)]
struct Readers {
    /// Those that get updates.
    documents: BTreeSet<Place>,
    /// Those that speak text frames.
    texts: BTreeSet<Place>,
}

impl Readers {
    fn of_kind(&mut self, is_text: bool) -> &mut BTreeSet<Place> {
        if is_text { &mut self.texts } else { &mut self.documents }
    }

    fn all(&self) -> impl Iterator<Item = Place> {
        self.documents.iter().chain(&self.texts).copied()
    }
}

impl Opens {
    /// A channel has a document open, in place of what it had before.
    pub(crate) fn open(&mut self, place: Place, open: OpenChannel) {
        self.close(place);
        let readers = self.files.entry(open.file.clone()).or_default();
        readers.of_kind(open.is_text).insert(place);
        self.channels.insert(place, open);
    }

    /// A channel leaves its document.
    pub(crate) fn close(&mut self, place: Place) -> Option<OpenChannel> {
        let open = self.channels.remove(&place)?;
        if let Some(readers) = self.files.get_mut(&open.file) {
            readers.of_kind(open.is_text).remove(&place);
            if readers.all().next().is_none() {
                self.files.remove(&open.file);
            }
        }
        self.left.insert(open.file.clone());
        Some(open)
    }

    /// The channels of a link that have something open.
    pub(crate) fn of_link(&self, link: LinkId) -> Vec<Place> {
        let of_link = (link, ChannelId(0))..=(link, ChannelId(u64::MAX));
        self.channels.range(of_link).map(|(place, _)| *place).collect()
    }

    /// What a channel has open.
    pub(crate) fn get(&self, place: Place) -> Option<&OpenChannel> {
        self.channels.get(&place)
    }

    /// The channels that have a file open.
    pub(crate) fn of(&self, file: &FileId) -> Vec<Place> {
        self.files.get(file).map(|readers| readers.all().collect()).unwrap_or_default()
    }

    /// Those of them that speak text frames.
    pub(crate) fn texts_of(&self, file: &FileId) -> Vec<Place> {
        self.files.get(file).map(|readers| readers.texts.iter().copied().collect()).unwrap_or_default()
    }

    /// The links with such a channel, each once.
    pub(crate) fn links_with(&self, file: &FileId) -> BTreeSet<LinkId> {
        self.files.get(file).into_iter().flat_map(Readers::all).map(|(link, _)| link).collect()
    }

    /// The channels of other links whose members are among these.
    pub(crate) fn of_members(
        &self,
        file: &FileId,
        except: LinkId,
        members: &[std::sync::Arc<str>],
    ) -> Vec<Place> {
        let is_of = |place: &Place| {
            place.0 != except && self.get(*place).is_some_and(|open| members.contains(&open.grant.member.id))
        };
        self.of(file).into_iter().filter(is_of).collect()
    }

    /// Whether a channel of the link gets the updates of a file.
    pub(crate) fn gets_updates(&self, link: LinkId, file: &FileId) -> bool {
        let of_link = (link, ChannelId(0))..=(link, ChannelId(u64::MAX));
        self.files.get(file).is_some_and(|readers| readers.documents.range(of_link).next().is_some())
    }

    /// Whether a channel has the file open.
    pub(crate) fn is_open(&self, file: &FileId) -> bool {
        self.files.contains_key(file)
    }

    /// Whether a channel that speaks text frames has the file open.
    pub(crate) fn has_text(&self, file: &FileId) -> bool {
        self.files.get(file).is_some_and(|readers| !readers.texts.is_empty())
    }

    /// Whether nothing is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// Everything that is open.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Place, &OpenChannel)> {
        self.channels.iter().map(|(place, open)| (*place, open))
    }

    /// The file is in memory although no channel has it open: it counts as left.
    pub(crate) fn unless_open(&mut self, file: &FileId) {
        if !self.is_open(file) {
            self.left.insert(file.clone());
        }
    }

    /// Takes the files that a channel has left; others may still have them open.
    pub(crate) fn take_left(&mut self) -> BTreeSet<FileId> {
        std::mem::take(&mut self.left)
    }
}
