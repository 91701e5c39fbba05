//! What the sessions of all hubs have open, by channel and by file. Whoever asks about one file, or leaves it, is
//! answered without a look at the others.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    grant::Grant,
    id::{ChannelId, FileId, FilePath},
};

use super::{LinkId, text::TextView};

/// A channel of a link.
type Place = (LinkId, ChannelId);

/// A document that a channel has open.
#[derive(Clone, Debug)]
pub(super) struct OpenChannel {
    pub(super) file: FileId,
    pub(super) grant: Grant,
    /// What it has of the file, if it speaks text frames.
    pub(super) text: Option<TextView>,
    /// The path that it waits for: until that is claimed, it has the room's document.
    pub(super) claims: Option<FilePath>,
}

/// The open documents.
#[derive(Debug, Default)]
pub(super) struct Opens {
    channels: BTreeMap<Place, OpenChannel>,
    files: BTreeMap<FileId, Readers>,
    /// Files of which somebody has left since they were last taken.
    left: BTreeSet<FileId>,
}

/// Who has a file open.
#[derive(Debug, Default)]
struct Readers {
    /// Those who get updates.
    documents: BTreeSet<Place>,
    /// Those who speak text frames.
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
    pub(super) fn open(&mut self, link: LinkId, channel: ChannelId, open: OpenChannel) {
        self.close(link, channel);
        let readers = self.files.entry(open.file.clone()).or_default();
        readers.of_kind(open.text.is_some()).insert((link, channel));
        self.channels.insert((link, channel), open);
    }

    /// A channel leaves its document.
    pub(super) fn close(&mut self, link: LinkId, channel: ChannelId) -> Option<OpenChannel> {
        let open = self.channels.remove(&(link, channel))?;
        if let Some(readers) = self.files.get_mut(&open.file) {
            readers.of_kind(open.text.is_some()).remove(&(link, channel));
            if readers.all().next().is_none() {
                self.files.remove(&open.file);
            }
        }
        self.left.insert(open.file.clone());
        Some(open)
    }

    /// All channels of a link leave.
    pub(super) fn close_link(&mut self, link: LinkId) -> Vec<(ChannelId, OpenChannel)> {
        let of_link = self.channels.range((link, ChannelId(0))..=(link, ChannelId(u64::MAX)));
        let channels: Vec<ChannelId> = of_link.map(|((_, channel), _)| *channel).collect();
        channels.into_iter().filter_map(|channel| Some((channel, self.close(link, channel)?))).collect()
    }

    pub(super) fn get(&self, link: LinkId, channel: ChannelId) -> Option<&OpenChannel> {
        self.channels.get(&(link, channel))
    }

    /// The file of a channel that speaks text frames, and what the channel has of it.
    pub(super) fn text_mut(&mut self, link: LinkId, channel: ChannelId) -> Option<(&FileId, &mut TextView)> {
        let open = self.channels.get_mut(&(link, channel))?;
        Some((&open.file, open.text.as_mut()?))
    }

    /// The channels that have a file open.
    pub(super) fn of(&self, file: &FileId) -> Vec<Place> {
        self.files.get(file).map(|readers| readers.all().collect()).unwrap_or_default()
    }

    /// Those of them that speak text frames.
    pub(super) fn texts_of(&self, file: &FileId) -> Vec<Place> {
        self.files.get(file).map(|readers| readers.texts.iter().copied().collect()).unwrap_or_default()
    }

    /// The links with such a channel, each once.
    pub(super) fn links_with(&self, file: &FileId) -> Vec<LinkId> {
        let links: BTreeSet<LinkId> =
            self.files.get(file).into_iter().flat_map(Readers::all).map(|(link, _)| link).collect();
        links.into_iter().collect()
    }

    /// Whether a channel of the link gets the updates of a file.
    pub(super) fn gets_updates(&self, link: LinkId, file: &FileId) -> bool {
        let of_link = (link, ChannelId(0))..=(link, ChannelId(u64::MAX));
        self.files.get(file).is_some_and(|readers| readers.documents.range(of_link).next().is_some())
    }

    pub(super) fn is_open(&self, file: &FileId) -> bool {
        self.files.contains_key(file)
    }

    /// Whether a channel that speaks text frames has the file open.
    pub(super) fn has_text(&self, file: &FileId) -> bool {
        self.files.get(file).is_some_and(|readers| !readers.texts.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, ChannelId, &OpenChannel)> {
        self.channels.iter().map(|((link, channel), open)| (*link, *channel, open))
    }

    /// The file is in memory although nobody has it open: it counts as left.
    pub(super) fn unless_open(&mut self, file: &FileId) {
        if !self.is_open(file) {
            self.left.insert(file.clone());
        }
    }

    /// Takes the files that somebody has left; others may still have them open.
    pub(super) fn take_left(&mut self) -> BTreeSet<FileId> {
        std::mem::take(&mut self.left)
    }
}
