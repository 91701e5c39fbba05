//! Opening a document: a name becomes a file, a path that nobody has becomes a new one.

use bytes::Bytes;
use shared::{
    Millis,
    close::CloseCode,
    grant::Grant,
    id::{ChannelId, FileId, FileName, FilePath},
    limits,
    wire::{event::EventOut, link::OriginMessage},
};

use super::{Effect, LinkId, Room, opens::OpenChannel, text::TextView};
use crate::{
    log::{LogEntry, Logged, Source},
    store::{Claimed, StoreError},
};

impl Room {
    pub(super) fn open(
        &mut self,
        link: LinkId,
        channel: ChannelId,
        name: &str,
        grant: Grant,
        text: Option<TextView>,
    ) {
        if let Some((code, reason)) = self.refusal {
            return self.refuse_open(link, channel, code, reason);
        }
        if name == limits::ROOM_DOCUMENT {
            return self.opened(link, channel, FileId::room(), grant, text);
        }
        let Ok(name) = FileName::parse(name) else {
            return self.refuse_open(link, channel, CloseCode::NotFound, "bad-path");
        };
        if let Some(file) = self.file_named(&name) {
            return self.opened(link, channel, file, grant, text);
        }
        if let Some(path) = self.returning.path_of(&name) {
            return self.wait_for(path, link, channel, grant, text);
        }
        let path = name.into_path();
        if self.settings.create_on_open && grant.role_at(Some(&path)).may_edit() {
            self.create(link, channel, path, grant, text);
        } else {
            self.refuse_open(link, channel, CloseCode::NotFound, "no-file");
        }
    }

    fn refuse_open(&mut self, link: LinkId, channel: ChannelId, code: CloseCode, reason: &str) {
        self.tell(link, vec![OriginMessage::Closed { channel, code, reason: reason.to_owned() }]);
    }

    fn opened(
        &mut self,
        link: LinkId,
        channel: ChannelId,
        file: FileId,
        grant: Grant,
        text: Option<TextView>,
    ) {
        self.commit.forget_channel(link, channel);
        let grant_version = grant.version;
        let size = self.live.get(&file).map_or(0, |live| live.size.bytes() as u64);
        let path = self.names.path_of(&file).cloned();
        if !self.links.contains_key(&link) {
            return;
        }
        let is_text = text.is_some();
        self.opens.open(link, channel, OpenChannel { file: file.clone(), grant, text, claims: None });
        let mut messages =
            vec![OriginMessage::Opened { channel, file: file.clone(), path, size, grant_version }];
        messages.extend(self.presence_of(&file));
        self.tell(link, messages);
        if file.is_room() {
            self.visible_files_for(link, channel);
        } else if is_text {
            self.due_texts.insert(file);
        } else {
            self.want(&file);
        }
    }

    fn create(
        &mut self,
        link: LinkId,
        channel: ChannelId,
        path: FilePath,
        grant: Grant,
        text: Option<TextView>,
    ) {
        if self.names.has_twin(&path) {
            return self.refuse_open(link, channel, CloseCode::NotFound, "path-differs-in-case");
        }
        if self.names.len() >= limits::FILES {
            return self.refuse_open(link, channel, CloseCode::TooLarge, "too-many-files");
        }
        self.wait_for(path, link, channel, grant, text);
    }

    /// Opens the document when the path is claimed.
    fn wait_for(
        &mut self,
        path: FilePath,
        link: LinkId,
        channel: ChannelId,
        grant: Grant,
        text: Option<TextView>,
    ) {
        if self.links.contains_key(&link) {
            // The file is not known yet: it is the room's document until the claim is answered.
            let (file, claims) = (FileId::room(), Some(path.clone()));
            self.opens.open(link, channel, OpenChannel { file, grant, text, claims });
        }
        let first = !self.claiming.contains_key(&path);
        self.claiming.entry(path.clone()).or_default().push((link, channel));
        if first {
            let known = self.returning.file_at(&path);
            self.effects.push(Effect::Claim(path, known));
        }
    }

    /// The room store's answer to [`Effect::Claim`], which offered `id` for the path.
    pub fn claimed(
        &mut self,
        path: &FilePath,
        id: &FileId,
        answer: Result<Claimed, StoreError>,
        now: Millis,
    ) {
        let waiting = self.claiming.remove(path).unwrap_or_default();
        let file = match answer {
            Ok(Claimed::New(logged)) => {
                self.names.add(id.clone(), path.clone());
                self.created(id, path, logged, now);
                self.effects.push(Effect::Flush);
                id.clone()
            }
            Ok(Claimed::Taken(id)) => {
                self.names.add(id.clone(), path.clone());
                id
            }
            Err(_) => {
                for (link, channel) in waiting {
                    self.close(link, channel);
                    self.refuse_open(link, channel, CloseCode::Failed, "cannot-create");
                }
                if self.is_giving_back() {
                    self.give_back_later(now);
                }
                return;
            }
        };
        for (link, channel) in waiting {
            if let Some(OpenChannel { grant, text, .. }) = self.opens.get(link, channel).cloned() {
                self.opened(link, channel, file.clone(), grant, text);
            }
        }
        self.give_back_to(path);
        self.commit_next();
    }

    /// The creation stands in the log as a tree event.
    fn created(&mut self, id: &FileId, path: &FilePath, logged: Logged, now: Millis) {
        let json: Bytes = EventOut::created(id, path).to_json().into();
        let Logged { seq, ts, .. } = logged;
        let entry = LogEntry { file: FileId::room(), seq, ts, source: Source::default(), bytes: json };
        self.apply_own(entry, now);
    }

    /// Brings a file into memory if it is not there.
    pub(super) fn want(&mut self, file: &FileId) {
        let has = self.live.get(file).is_some_and(|live| live.past.is_some() || !self.needs_past(file));
        if !has && self.reading.insert(file.clone()) {
            self.effects.push(Effect::Read(file.clone()));
        }
    }
}
