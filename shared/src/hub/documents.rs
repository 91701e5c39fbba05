//! The documents that the sessions of a hub have open, and what goes to all of a document's channels.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use bytes::Bytes;

use super::{
    document::{ASK_AGAIN_MS, Document},
    effect::Effect,
    output::Output,
    routing_key::RoutingKey,
};
use crate::{
    Millis,
    id::{ChannelId, FileId, SessionId},
    limits,
    wire::{
        hocuspocus::ServerMessage,
        yjs::{self, AwarenessEntry, SyncMessage},
    },
};

/// The documents by file.
#[derive(Debug, Default)]
pub(super) struct Documents {
    all: BTreeMap<FileId, Document>,
    /// Those whose writers are to be asked again.
    asking: BTreeSet<FileId>,
}

/// Who is sent a large update at once, and who has to wait for the whole document.
#[derive(Debug, Default)]
pub(super) struct LargeUpdate {
    pub(super) receivers: Vec<SessionId>,
    pub(super) waiting: Vec<ChannelId>,
}

impl Documents {
    pub(super) fn get(&self, file: &FileId) -> Option<&Document> {
        self.all.get(file)
    }

    pub(super) fn get_mut(&mut self, file: &FileId) -> Option<&mut Document> {
        self.all.get_mut(file)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Every file but the room itself.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileId> {
        self.all.keys().filter(|file| !file.is_room())
    }

    /// The document of a file, made if nobody has it open.
    pub(super) fn of(&mut self, file: &FileId) -> &mut Document {
        self.all.entry(file.clone()).or_default()
    }

    /// The origin has measured the state and the text of a file that is close to its limit.
    pub(super) fn size_measured(&mut self, file: &FileId, bytes: u64, text_bytes: u64) {
        if let Some(document) = self.all.get_mut(file) {
            document.size.tell(bytes);
            document.size.tell_text(text_bytes);
        }
    }

    /// A channel leaves a document. What it showed is gone, unless the client has come back on another channel: the
    /// others are told, and the awareness update for the link is returned.
    #[must_use]
    pub(super) fn leave(
        &mut self,
        file: &FileId,
        channel: ChannelId,
        now: Millis,
        takes_presence: impl Fn(SessionId) -> bool,
        output: &mut Output,
    ) -> Option<Bytes> {
        let document = self.all.get_mut(file)?;
        document.remove(channel);
        let gone = document.awareness.end_of(channel, now);
        let bytes = (!gone.is_empty()).then(|| yjs::write_awareness(&gone));
        if let Some(bytes) = &bytes {
            self.broadcast_awareness(file, bytes, ChannelId(0), takes_presence, output);
        }
        if self.all.get(file).is_some_and(Document::is_unused) {
            self.all.remove(file);
            self.asking.remove(file);
        }
        bytes
    }

    /// An update as large as a document is sent like a first text: at once to as many channels as there is room for,
    /// which `takes` it. The others get the whole document in their turn, and nothing before.
    pub(super) fn large_update(
        &mut self,
        file: &FileId,
        except: ChannelId,
        mut takes: impl FnMut(SessionId) -> bool,
    ) -> LargeUpdate {
        let mut large = LargeUpdate::default();
        let Some(document) = self.all.get_mut(file) else { return large };
        for id in document.audience().channels().filter(|id| *id != except) {
            if takes(id.session()) {
                large.receivers.push(id.session());
            } else {
                large.waiting.push(id);
            }
        }
        large.waiting.iter().for_each(|id| document.wait(*id));
        large
    }

    /// Sends a message to every channel of a document but one, each in its own dialect.
    pub(super) fn broadcast(
        &self,
        file: &FileId,
        message: SyncMessage<'_>,
        except: ChannelId,
        output: &mut Output,
    ) {
        for (key, to) in self.receivers(file, except) {
            output.send_all(to, key.sync(message));
        }
    }

    /// Sends awareness to every channel of a document but one; sessions that lag behind go without.
    pub(super) fn broadcast_awareness(
        &self,
        file: &FileId,
        update: &[u8],
        except: ChannelId,
        takes_presence: impl Fn(SessionId) -> bool,
        output: &mut Output,
    ) {
        for (key, mut to) in self.receivers(file, except).filter(|(key, _)| !key.is_text()) {
            to.retain(|session| takes_presence(*session));
            if !to.is_empty() {
                output.push(Effect::Send { to, frame: key.awareness(update) });
            }
        }
    }

    /// Sends a room event to everybody who has the room's document open, but one channel.
    pub(super) fn broadcast_event(&self, json: &str, except: ChannelId, output: &mut Output) {
        for (key, to) in self.receivers(&FileId::room(), except) {
            if key.is_text() {
                to.into_iter().for_each(|to| output.send_text(to, json.to_owned()));
            } else if let Some(frame) = key.hocuspocus(&ServerMessage::Stateless(json)) {
                output.send_all(to, frame);
            }
        }
    }

    fn receivers(
        &self,
        file: &FileId,
        except: ChannelId,
    ) -> impl Iterator<Item = (&RoutingKey, Vec<SessionId>)> {
        let document = self.all.get(file).into_iter();
        document.flat_map(move |document| document.audience().receivers(except))
    }

    /// What everybody shows in a document, as an awareness update; `None` if nobody shows anything.
    pub(super) fn presence(&self, file: &FileId) -> Option<Bytes> {
        written(&self.all.get(file)?.awareness.shown(false))
    }

    /// What this hub's own channels show, for a new link.
    pub(super) fn own_presence(&self) -> impl Iterator<Item = (&FileId, Bytes)> {
        self.all.iter().filter_map(|(file, document)| Some((file, written(&document.awareness.shown(true))?)))
    }

    /// Forgets clients that have been gone for long.
    pub(super) fn forget_gone_presence(&mut self, now: Millis) {
        self.all.values_mut().for_each(|document| document.awareness.forget_gone(now));
    }

    /// The writers of a file are to be asked for what the log lacks, but not in a storm; whether they are now.
    #[must_use]
    pub(super) fn asks_writers(&mut self, file: &FileId, state_vector: &Bytes, now: Millis) -> bool {
        let Some(document) = self.all.get_mut(file) else { return false };
        let asks = document.asks_writers(state_vector, now);
        if asks {
            self.asking.remove(file);
        } else {
            self.asking.insert(file.clone());
        }
        asks
    }

    /// When writers are to be asked again.
    pub(super) fn ask_again_at(&self) -> Option<Millis> {
        let waiting = self.asking.iter().filter_map(|file| self.all.get(file)?.writers_asked_at());
        waiting.map(|at| at + ASK_AGAIN_MS).min()
    }

    /// Whose writers are to be asked again, if that is due, and with what.
    #[must_use]
    pub(super) fn take_questions(&mut self, now: Millis) -> Vec<(FileId, Bytes)> {
        if self.ask_again_at().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let files = mem::take(&mut self.asking).into_iter();
        files.filter_map(|file| Some((file.clone(), self.all.get_mut(&file)?.take_question()?))).collect()
    }
}

fn written(entries: &[AwarenessEntry<'_>]) -> Option<Bytes> {
    (!entries.is_empty()).then(|| yjs::write_awareness(entries))
}

/// Whether an update is as large as a document.
pub(super) fn is_large(bytes: usize) -> bool {
    bytes > limits::AT_ONCE_BYTES
}
