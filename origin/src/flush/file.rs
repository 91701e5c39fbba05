//! One file of a flush: what the room has and what the archive has become one, and both are told.

use bytes::Bytes;
use serde_json::json;
use shared::{
    id::{FileId, RoomId},
    position::Epoch,
};
use tokio::sync::Mutex;

use super::{
    merge::{Lacked, plan},
    report::{FileError, FlushedFile, TRIES},
};
use crate::{
    archive::{Archive, Eol, FileWrite, Making, Saved},
    store::{Batch, Entry, FileLog, FlushAck, RoomStore, Source, StoreError},
};

/// The name under which a flush appends what only the archive had.
const ORIGIN: &str = "flush";

/// A flush under way.
pub(super) struct Flush<'a> {
    pub(super) store: &'a dyn RoomStore,
    pub(super) archive: &'a dyn Archive,
    pub(super) room: &'a RoomId,
    pub(super) epoch: Epoch,
    pub(super) making: Making,
    pub(super) now_us: u64,
    /// Who merges: one file of the room after the other.
    pub(super) merging: Mutex<()>,
}

/// A file that the archive has and the room store does not know of yet.
pub(super) struct Stored {
    pub(super) file: FlushedFile,
    /// How much was written; `None` if the archive had it all.
    pub(super) bytes: Option<u64>,
    ack: FlushAck,
}

impl Flush<'_> {
    /// Brings a file into the archive; `log` is what was read of it just now, if anything was.
    pub(super) async fn stored(
        &self,
        id: &FileId,
        mut log: Option<Result<FileLog, StoreError>>,
    ) -> Result<Stored, FileError> {
        let mut bytes = None;
        for _ in 0..TRIES {
            let log = match log.take() {
                Some(log) => log?,
                None => self.store.read(self.room, id).await?,
            };
            let stored = self.archive.file(self.room, id).await?;
            let (log, stored, plan) = {
                let _alone = self.merging.lock().await;
                plan(log, stored).await?
            };
            if let Some(lacked) = plan.lacked {
                self.restore(id, lacked).await?;
                continue;
            }
            let (ts, seq) =
                log.updates.last().map_or((log.base_ts, log.base_seq), |last| (last.ts, last.seq));
            if let Some(text) = plan.text {
                let known = stored.as_ref().map(|stored| stored.version);
                let size = (text.len() + plan.state.len()) as u64;
                let write = FileWrite {
                    id: id.clone(),
                    path: log.path.clone(),
                    text,
                    state: plan.state.clone(),
                    ts: stored.as_ref().map_or(ts, |stored| ts.max(stored.ts)),
                    seq,
                    eol: stored.as_ref().map_or_else(Eol::default, |stored| stored.eol),
                    making: Some(self.making),
                    write_id: format!("{:032x}", rand::random::<u128>()),
                    now: self.now_us,
                };
                match self.archive.save_file(self.room, known, write).await? {
                    Saved::Written(_) => bytes = Some(bytes.unwrap_or(0) + size),
                    Saved::Miss(_) => continue,
                    Saved::NoShard => return Err(FileError::NoShard),
                }
            }
            let ack = FlushAck {
                file: id.clone(),
                read_base_ts: log.base_ts,
                merged_ts: ts,
                merged_seq: seq,
                state: plan.state,
            };
            return Ok(Stored { file: FlushedFile { id: id.clone(), path: log.path, seq, ts }, bytes, ack });
        }
        Err(FileError::Contended)
    }

    /// Tells the room's members what the archive has.
    pub(super) async fn announce(&self, stored: &[Stored]) -> Result<(), StoreError> {
        if stored.is_empty() {
            return Ok(());
        }
        let files = stored.iter().map(|Stored { file, .. }| {
            json!({ "id": file.id, "path": file.path, "seq": file.seq, "at": self.now_us })
        });
        let event = json!({ "type": "stored", "epoch": self.epoch, "files": files.collect::<Vec<_>>() });
        self.store.announce(self.room, Bytes::from(event.to_string())).await
    }

    /// Tells the room store that the archive has a file. If another flush did so first, the file is looked at again.
    pub(super) async fn acknowledged(&self, mut stored: Stored) -> Result<Stored, (FileId, FileError)> {
        let id = stored.file.id.clone();
        for _ in 0..TRIES {
            match self.store.ack(self.room, self.epoch, stored.ack.clone()).await {
                // Without the room there is nobody to tell.
                Ok(()) | Err(StoreError::Cold) => return Ok(stored),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err((id, error.into())),
            }
            let before = stored.bytes;
            stored = self.stored(&id, None).await.map_err(|error| (id.clone(), error))?;
            stored.bytes = before.into_iter().chain(stored.bytes).reduce(|one, other| one + other);
            self.announce(std::slice::from_ref(&stored)).await.map_err(|error| (id.clone(), error.into()))?;
        }
        Err((id, FileError::Contended))
    }

    /// Logs what only the archive had, so that those who have the file open get it too. If they have typed more
    /// meanwhile, the file is looked at again.
    async fn restore(&self, id: &FileId, lacked: Lacked) -> Result<(), StoreError> {
        let Lacked { update, extensions } = lacked;
        let entry = Entry { extensions, ..Entry::new(id.clone(), Source::default(), update) };
        let batch = Batch { origin: ORIGIN.to_owned(), number: 0, entries: vec![entry] };
        match self.store.append(self.room, self.epoch, batch).await {
            Ok(_) | Err(StoreError::Overtaken) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
