//! What one subscription makes of the messages of its room: decoded, in order, without gaps, or not at all.
//!
//! It ends, and its receiver with it, when a message was lost or cannot be read, when the room store went back,
//! or when the room has moved on beyond what was last heard. The receiver then subscribes and reads the log.

use std::time::Duration;

use bytes::Bytes;
use redis::Value;
use shared::{
    id::{FileId, RoomId},
    position::Epoch,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    keys::Keys,
    record::{Change, Message, damaged, read_message},
    reply::Reply,
};
use crate::{
    redis::RedisConnection,
    store::{LogEntry, Published, StoreError},
};

/// How long a message may be on its way after the room store has it.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

/// The epoch and seq of a room; `None` if it is not populated.
pub(super) type Status = Option<(Epoch, u64)>;

/// One subscription.
pub(super) struct Listener {
    pub(super) room: RoomId,
    pub(super) messages: mpsc::Receiver<Bytes>,
    pub(super) out: mpsc::Sender<Published>,
    pub(super) commands: RedisConnection,
    pub(super) bulk: RedisConnection,
    /// The status of the room after the subscription began; later what was heard last.
    pub(super) known: Status,
    /// How long it may be quiet before the room store is asked.
    pub(super) silence: Duration,
}

/// Why a subscription ends by itself.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("a message was lost")]
    Gap,
    #[error("the room store went back")]
    Back,
    #[error("the room has moved on unheard")]
    Silence,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Listener {
    /// Runs until the receiver is gone or something was lost.
    pub(super) async fn run(mut self) {
        if let Err(lost) = self.listen().await {
            tracing::info!(room.id = %self.room, %lost, "a subscription begins again");
        }
    }

    async fn listen(&mut self) -> Result<(), Lost> {
        let mut heard = false;
        let mut owed = None;
        let mut check_at = Instant::now() + self.silence;
        loop {
            tokio::select! {
                biased;
                () = self.out.closed() => return Ok(()),
                message = self.messages.recv() => {
                    let Some(message) = message else { return Ok(()) };
                    let message = read_message(&message)?;
                    if !matches!(message, Message::Note(_)) {
                        check_at = Instant::now() + self.silence;
                    }
                    let published = self.take(message, &mut heard).await?;
                    if self.out.send(published).await.is_err() {
                        return Ok(());
                    }
                }
                () = sleep_until(check_at) => {
                    if self.has_missed(owed) {
                        return Err(Lost::Silence);
                    }
                    check_at = Instant::now() + self.silence;
                    owed = None;
                    // A room store that does not answer is asked again later.
                    let Ok(status) = status(&self.commands, &self.room).await else { continue };
                    if went_back(self.known, status) {
                        return Err(Lost::Back);
                    }
                    if status != self.known {
                        owed = status;
                        check_at = Instant::now() + ON_ITS_WAY.min(self.silence);
                    }
                }
            }
        }
    }

    fn has_missed(&self, owed: Status) -> bool {
        let Some((epoch, seq)) = owed else { return false };
        self.known.is_none_or(|(known, heard)| known != epoch || heard < seq)
    }

    async fn take(&mut self, message: Message, heard: &mut bool) -> Result<Published, Lost> {
        match message {
            Message::Changes { epoch, first_seq, first_ts, changes } => {
                let last = first_seq + changes.len() as u64 - 1;
                if let Some((_, known)) = self.known.filter(|(known, _)| *known == epoch) {
                    if first_seq > known + 1 {
                        return Err(Lost::Gap);
                    }
                    if *heard && first_seq <= known {
                        return Err(Lost::Back);
                    }
                    // The first ones may have been on their way when the subscription began.
                    *heard |= last >= known;
                    self.known = Some((epoch, known.max(last)));
                } else {
                    (*heard, self.known) = (true, Some((epoch, last)));
                }
                Ok(Published::Changes(epoch, self.entries(first_seq, first_ts, changes).await?))
            }
            Message::Epoch { epoch, seq } => {
                (*heard, self.known) = (true, Some((epoch, seq)));
                Ok(Published::Epoch(epoch))
            }
            Message::Erased => {
                (*heard, self.known) = (false, None);
                Ok(Published::Erased)
            }
            Message::Note(note) => Ok(Published::Note(note)),
        }
    }

    async fn entries(
        &self,
        first_seq: u64,
        first_ts: u64,
        changes: Vec<Change>,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let mut entries = Vec::with_capacity(changes.len());
        for (seq, (ts, change)) in (first_seq..).zip((first_ts..).zip(changes)) {
            entries.push(match change.record {
                Some((source, bytes)) => LogEntry { file: change.file, seq, ts, source, bytes },
                None => self.logged(&change.file, seq, ts).await?,
            });
        }
        Ok(entries)
    }

    /// A change that was too large to be published.
    async fn logged(&self, file: &FileId, seq: u64, ts: u64) -> Result<LogEntry, StoreError> {
        let (log, id) = (Keys::new(&self.room).log(file), format!("{ts}-{seq}"));
        let found: Value = self.bulk.command(redis::cmd("XRANGE").arg(log).arg(&id).arg(&id)).await?;
        let found = Reply::new(Value::Array(vec![found]))?.entries(file)?;
        found.into_iter().next().ok_or_else(|| damaged("a change is no longer in its log"))
    }
}

/// The room's status now.
pub(super) async fn status(commands: &RedisConnection, room: &RoomId) -> Result<Status, StoreError> {
    let meta = Keys::new(room).meta();
    let (state, epoch, seq): (Option<String>, Option<u64>, Option<u64>) =
        commands.command(redis::cmd("HMGET").arg(meta).arg(&["st", "e", "s"])).await?;
    Ok(epoch.zip(seq).filter(|_| state.as_deref() == Some("R")).map(|(epoch, seq)| (Epoch(epoch), seq)))
}

/// Whether the room store has less than was heard: nothing on its way could explain that.
fn went_back(known: Status, status: Status) -> bool {
    match (known, status) {
        (Some((known, heard)), Some((epoch, seq))) => known == epoch && seq < heard,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
