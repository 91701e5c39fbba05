//! Which rooms are open in this process, and the way to them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use room::state::LinkId;
use shared::{
    Millis,
    id::{FileId, FileName, FilePath, RoomId},
    limits,
    wire::link::{HubMessage, OriginMessage},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{LiveText, RoomError, RoomReport, report, task};
use crate::{
    archive::Archive,
    flush::FlushQueue,
    metrics::Metrics,
    store::{DELETION, ListedMember, RoomStore, StoreError},
};

/// What rooms are made of.
pub struct Parts {
    /// Where they live.
    pub store: Arc<dyn RoomStore>,
    /// Where they are kept.
    pub archive: Arc<dyn Archive>,
    /// Who writes them there.
    pub queue: Arc<dyn FlushQueue>,
    /// Whom shutdown waits for.
    pub tracker: TaskTracker,
    /// This origin's id.
    pub origin_id: String,
    /// Whether a room or file that is opened and does not exist is created.
    pub create_on_open: bool,
    /// Whether the text of a Yjs client belongs to the member who has extended it.
    pub owned_clients: bool,
    /// How long this origin's hold on a room lasts when it is not renewed.
    pub lease: Duration,
    /// How long a change may wait for the archive until members are told.
    pub behind: Duration,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The live rooms of this process. Cheap to clone.
#[derive(Clone)]
pub struct Rooms(Arc<Inner>);

pub(super) struct Inner {
    pub(super) parts: Parts,
    open: Mutex<HashMap<RoomId, mpsc::Sender<Inbound>>>,
    /// Since when a change of a room waits for the archive (ms).
    unstored: Mutex<HashMap<RoomId, Millis>>,
    next_link: AtomicU64,
    draining: AtomicBool,
}

/// What a room's task receives.
pub(super) enum Inbound {
    Attach(LinkId, mpsc::Sender<Vec<OriginMessage>>),
    Detach(LinkId),
    Hub(LinkId, Vec<HubMessage>),
    Members(oneshot::Sender<Option<Vec<ListedMember>>>),
    Drain,
}

/// A hub's place in a room. Dropping it says that the hub is gone.
pub struct Attachment {
    link: LinkId,
    room: mpsc::Sender<Inbound>,
    tracker: TaskTracker,
}

impl Attachment {
    /// Passes on what the hub has said, in order; waits while the room is behind.
    pub async fn send(&self, messages: Vec<HubMessage>) -> Result<(), RoomError> {
        let sent = self.room.send(Inbound::Hub(self.link, messages)).await;
        sent.map_err(|_| RoomError::Failed("the room has ended".to_owned()))
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Err(mpsc::error::TrySendError::Full(goodbye)) = self.room.try_send(Inbound::Detach(self.link))
        {
            let room = self.room.clone();
            self.tracker.spawn(async move { room.send(goodbye).await });
        }
    }
}

impl Rooms {
    /// No rooms yet.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            open: Mutex::default(),
            unstored: Mutex::default(),
            next_link: AtomicU64::new(1),
            draining: AtomicBool::new(false),
        }))
    }

    /// Attaches a hub to a room, which is populated if nobody had it open. What the hub is to be told goes to
    /// `outbox`; when that is full the room lets go of the hub, and the receiver sees the channel's end.
    pub async fn attach(
        &self,
        room: &RoomId,
        outbox: mpsc::Sender<Vec<OriginMessage>>,
    ) -> Result<Attachment, RoomError> {
        if self.0.draining.load(Ordering::Acquire) {
            return Err(RoomError::Draining);
        }
        let inbox = self.inbox(room);
        let link = LinkId(self.0.next_link.fetch_add(1, Ordering::Relaxed));
        let tracker = self.0.parts.tracker.clone();
        let gone = |_| RoomError::Failed("the room has ended".to_owned());
        inbox.send(Inbound::Attach(link, outbox)).await.map_err(gone)?;
        Ok(Attachment { link, room: inbox, tracker })
    }

    /// How an open room stands, whichever origin has it open; `None` while nobody has.
    pub async fn report(&self, room: &RoomId) -> Result<Option<RoomReport>, RoomError> {
        let here = self.members_here(room).await;
        match report::of_room(&*self.0.parts.store, room, &self.0.parts.origin_id, here).await {
            // It is gone, or was removed while it was looked at.
            Err(StoreError::Cold | StoreError::NoFile) => Ok(None),
            report => report.map_err(|error| RoomError::Failed(error.to_string())),
        }
    }

    /// Who is in the room at this origin; `None` if nobody has it open here.
    async fn members_here(&self, room: &RoomId) -> Option<Vec<ListedMember>> {
        let inbox = self.0.open().get(room).cloned()?;
        let (answer, members) = oneshot::channel();
        inbox.send(Inbound::Members(answer)).await.ok()?;
        members.await.ok()?
    }

    /// The files of a room that the room store holds, those not flushed yet included; `None` if it holds no
    /// such room.
    pub async fn names(&self, room: &RoomId) -> Result<Option<Vec<(FileId, FilePath)>>, RoomError> {
        match self.0.parts.store.names(room).await {
            Ok(names) => Ok(Some(names)),
            Err(StoreError::Cold) => Ok(None),
            Err(error) => Err(RoomError::Failed(error.to_string())),
        }
    }

    /// The text of a file of a room that the room store holds; `None` if it holds no such room.
    pub async fn text(&self, room: &RoomId, file: &FileName) -> Result<Option<LiveText>, RoomError> {
        let store = &*self.0.parts.store;
        let Some(names) = self.names(room).await? else { return Ok(None) };
        let id = |fits: &dyn Fn(&FileId, &FilePath) -> bool| {
            names.iter().find(|(id, path)| fits(id, path)).map(|(id, _)| id.clone())
        };
        let found = file.find(|asked| id(&|id, _| id == asked), |asked| id(&|_, path| path == asked));
        let Some(id) = found else { return Err(RoomError::NoFile) };
        match store.read(room, &id).await {
            Ok(log) => {
                let eol = report::eol_of(&*self.0.parts.archive, room, &id).await;
                report::text_of(&log, eol).map(Some)
            }
            Err(StoreError::Cold) => Ok(None),
            Err(error) => Err(RoomError::Failed(error.to_string())),
        }
    }

    /// Keeps everybody from opening a room while its shard is deleted, or lets them again.
    pub async fn seal(&self, room: &RoomId, sealed: bool) -> Result<(), RoomError> {
        let at_most = if sealed { DELETION } else { Duration::ZERO };
        let done = self.0.parts.store.seal(room, at_most).await;
        done.map_err(|error| RoomError::Failed(error.to_string()))
    }

    /// Removes a deleted room from the room store; its members are closed with 4410.
    pub async fn delete(&self, room: &RoomId) -> Result<(), RoomError> {
        let erased = self.0.parts.store.erase(room).await;
        erased.map_err(|error| RoomError::Failed(error.to_string()))
    }

    /// Lets go of every room: appends in flight are finished, hubs are told to go elsewhere.
    pub async fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        let open: Vec<_> = self.0.open().values().cloned().collect();
        for room in open {
            // A room that has ended meanwhile needs no drain.
            let _ = room.send(Inbound::Drain).await;
        }
    }

    /// Since when the oldest change of all open rooms waits for the archive (ms since the epoch); `None` if none does.
    pub fn unstored_since(&self) -> Option<Millis> {
        self.0.unstored().values().min().copied()
    }

    /// How many rooms are open.
    pub fn count(&self) -> usize {
        self.0.open().len()
    }

    fn inbox(&self, room: &RoomId) -> mpsc::Sender<Inbound> {
        let mut open = self.0.open();
        if let Some(inbox) = open.get(room) {
            return inbox.clone();
        }
        let (sender, receiver) = mpsc::channel(limits::ROOM_INBOX);
        open.insert(room.clone(), sender.clone());
        self.0.parts.metrics.room_opened();
        self.0.parts.tracker.spawn(task::run(self.0.clone(), room.clone(), receiver));
        sender
    }
}

impl Inner {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<RoomId, mpsc::Sender<Inbound>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unstored(&self) -> std::sync::MutexGuard<'_, HashMap<RoomId, Millis>> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when a change of this room waits for the archive.
    pub(super) fn room_unstored(&self, room: &RoomId, since: Option<Millis>) {
        let mut unstored = self.unstored();
        match since {
            Some(since) => drop(unstored.insert(room.clone(), since)),
            None => drop(unstored.remove(room)),
        }
    }

    /// Ends a room's entry if nobody can reach its task any more; then the task may end too.
    pub(super) fn close_if_unused(&self, room: &RoomId, inbox: &mpsc::Receiver<Inbound>) -> bool {
        let mut open = self.open();
        let unused = inbox.is_empty() && inbox.sender_strong_count() <= 1;
        if unused {
            open.remove(room);
            self.room_unstored(room, None);
            self.parts.metrics.room_closed();
        }
        unused
    }

    /// Ends a room's entry whoever holds it.
    pub(super) fn close(&self, room: &RoomId) {
        if self.open().remove(room).is_some() {
            self.room_unstored(room, None);
            self.parts.metrics.room_closed();
        }
    }
}
