//! What the log has: into the documents, and out to every hub that does not have it yet.

use shared::{
    Millis,
    id::{ChannelId, FileId},
    position::Position,
    wire::link::{FileUpdate, OriginMessage},
};

use super::{Effect, LinkId, Room, file::LiveFile, links::Reading, past::Past};
use crate::{
    log::{FileLog, LogEntry},
    store::{Published, StoreError},
};

/// How long what others have logged may take to be published before the log is read instead.
const PUBLISHED_MS: Millis = 500;

/// Own changes that are logged behind others' that were not published to this origin yet.
#[derive(Debug, Default)]
pub(super) struct Gap {
    /// The last seq that is known to be logged.
    until: u64,
    /// When the log is read.
    at: Millis,
}

impl Room {
    /// Applies an own change that the store has just logged. Behind changes of others it waits for its turn: it is
    /// published like theirs.
    pub(super) fn apply_own(&mut self, entry: LogEntry, now: Millis) {
        if entry.seq <= self.position.seq + 1 {
            return self.apply_logged(entry);
        }
        if !self.waits_for_others() {
            self.gap.at = now + PUBLISHED_MS;
        }
        self.gap.until = self.gap.until.max(entry.seq);
        // It is acknowledged now, whenever it is heard.
        self.keep_unstored(&entry);
    }

    /// Whether something is logged that this room has not seen: nothing is judged until it has.
    pub(super) fn waits_for_others(&self) -> bool {
        self.gap.until > self.position.seq
    }

    /// When the log is read for what was not published.
    pub(super) fn gap_at(&self) -> Option<Millis> {
        (self.waits_for_others() && !self.catching_up).then_some(self.gap.at)
    }

    /// What others have logged was not published in time: the log is read.
    pub(super) fn close_gap(&mut self, now: Millis) {
        if self.gap_at().is_some_and(|at| at <= now) {
            self.gap.at = now + PUBLISHED_MS;
            self.counts.backfills += 1;
            self.catch_up();
        }
    }

    /// Applies a logged change if it is the next one. One that does not follow means that others were missed:
    /// then the log is read.
    pub(super) fn apply_logged(&mut self, entry: LogEntry) {
        if entry.seq <= self.position.seq {
            return;
        }
        if entry.seq != self.position.seq + 1 {
            self.counts.backfills += 1;
            return self.catch_up();
        }
        self.position = Position { seq: entry.seq, ts: entry.ts, ..self.position };
        if !entry.file.is_room() {
            self.storing.logged(&entry.file, entry.seq, entry.ts);
        }
        if let Some(live) = self.live.get_mut(&entry.file) {
            if live.past.is_some() {
                self.due_texts.insert(entry.file.clone());
            }
            if live.log(&entry).is_err() {
                // The document is not to be trusted any more; it is read again when it is next wanted.
                self.live.remove(&entry.file);
            } else if live.measure_if_doubtful() {
                self.tell_size(&entry.file);
            }
        }
        self.learn_names(&entry);
        self.keep_unstored(&entry);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            let Some(state) = self.links.get_mut(&link) else { continue };
            match &mut state.reading {
                Reading::Behind(waiting) => waiting.push(entry.clone()),
                Reading::Until(seq) if entry.seq > *seq => {
                    *seq = entry.seq;
                    self.send_logged(link, &entry, false);
                }
                Reading::Until(_) | Reading::Silent => {}
            }
        }
    }

    /// Sends one logged change to a hub; what a hub has fanned out itself only moves its position, unless it is
    /// told everything again.
    pub(super) fn send_logged(&mut self, link: LinkId, entry: &LogEntry, everything: bool) {
        let position = Position { epoch: self.position.epoch, seq: entry.seq, ts: entry.ts };
        if entry.file.is_room() {
            let json = entry.bytes.clone();
            return self
                .tell(link, vec![OriginMessage::Event { position: Some(position), channel: None, json }]);
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        let own = !entry.source.hub.is_empty() && entry.source.hub == state.hub;
        let wanted = self.opens.gets_updates(link, &entry.file);
        let update = (wanted && (everything || !own)).then(|| FileUpdate {
            file: entry.file.clone(),
            except: if everything { ChannelId(0) } else { ChannelId(entry.source.channel) },
            bytes: entry.bytes.clone(),
        });
        match state.out.last_mut() {
            Some(OriginMessage::Updates { position: last, updates }) => {
                *last = position;
                updates.extend(update);
            }
            _ => {
                let updates = update.into_iter().collect();
                state.out.push(OriginMessage::Updates { position, updates });
            }
        }
    }

    /// The answer to [`Effect::Read`].
    pub fn file_read(&mut self, file: &FileId, answer: Result<FileLog, StoreError>, now: Millis) {
        self.reading.remove(file);
        match answer {
            Ok(log) if log.position.epoch != self.position.epoch => self.stale = true,
            // The log was read beyond what the room has seen: the rest is read too, then the file again.
            Ok(log) if log.position.seq > self.position.seq => {
                self.catch_up();
                self.reread.push(file.clone());
            }
            Ok(log) if log.position.seq < self.position.seq => self.want(file),
            Ok(log) => match LiveFile::read(&log) {
                Ok(mut live) => {
                    live.past = self.needs_past(file).then(|| Past::read(&log));
                    if !live.history.checks_places() {
                        tracing::warn!(
                            file.id = %file,
                            "what is stored has text in impossible places; new text is not refused for its place"
                        );
                        self.counts.unchecked += 1;
                    }
                    self.live.insert(file.clone(), live);
                    self.opens.unless_open(file);
                    self.keep_unstored_of(file, &log);
                }
                Err(error) => self.close_file(file, &error.to_string()),
            },
            Err(error) => self.hold(error.word(), now),
        }
        self.commit_next();
    }

    /// What the room store has published.
    pub fn published(&mut self, published: Published, now: Millis) {
        match published {
            Published::Changes(epoch, entries) if epoch == self.position.epoch => {
                for entry in entries {
                    self.apply_logged(entry);
                }
            }
            Published::Changes(..) => self.stale = true,
            Published::Epoch(epoch) => self.stale |= epoch != self.position.epoch,
            Published::Erased => self.refuse(shared::close::CloseCode::Deleted, "deleted"),
            Published::Note(note) => self.take_note(&note, now),
        }
        self.look_at_storing(now);
        self.commit_next();
    }

    pub(super) fn catch_up(&mut self) {
        if !std::mem::replace(&mut self.catching_up, true) {
            self.effects.push(Effect::CatchUp(self.position));
        }
    }

    /// A file whose log cannot be applied is closed for everybody; the others go on.
    fn close_file(&mut self, file: &FileId, why: &str) {
        tracing::error!(file.id = %file, why, "a file cannot be opened");
        for (link, channel) in self.opens.of(file) {
            self.opens.close(link, channel);
            let code = shared::close::CloseCode::NotFound;
            self.tell(link, vec![OriginMessage::Closed { channel, code, reason: "file-broken".to_owned() }]);
        }
        self.names.remove(file);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shared::{
        id::{FileId, FilePath},
        position::{Epoch, Position},
    };

    use crate::{
        log::FileLog,
        state::{Room, Settings},
        store::empty_base,
    };

    #[test]
    fn a_file_with_text_in_impossible_places_opens_and_is_counted() {
        let settings = Settings {
            origin: "o".to_owned(),
            create_on_open: true,
            shared: false,
            owned: true,
            confirm: false,
            behind: 60_000,
        };
        let mut room = Room::new(settings);
        let position = Position { epoch: Epoch(3), seq: 0, ts: 1 };
        let path = |name| FilePath::parse(name).unwrap();
        let files = [
            ("whole.js", empty_base()),
            // Garbage: text that was deleted with what it stood in, which a text never was.
            ("odd.js", Bytes::from_static(&[1, 1, 9, 0, 0, 3, 0])),
        ];
        let ids = [1, 2].map(FileId::from_random);
        let names = ids.iter().cloned().zip(files.iter().map(|(name, _)| path(name))).collect();
        room.begin(position, names, 0, String::new());
        for (id, (name, base)) in ids.iter().zip(files) {
            let log = FileLog {
                position,
                path: path(name),
                base_ts: 1,
                base_seq: 0,
                stored_seq: 0,
                base,
                updates: vec![],
            };
            room.file_read(id, Ok(log), 0);
            assert!(room.live.contains_key(id));
        }
        assert_eq!(room.counts().unchecked, 1);
    }
}
