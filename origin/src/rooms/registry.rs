//! Which rooms are open in this process, and the way to them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use room::LinkId;
use shared::{
    Millis,
    id::{FileId, FileName, FilePath, RoomId},
    wire::link::{HubMessage, OriginMessage},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{
    driver,
    error::RoomError,
    open_rooms::{Inbound, OpenRooms},
    parts::Parts,
    report::{self, LiveText, RoomReport},
};
use crate::store::{DELETION, ListedMember, StoreError};

/// The live rooms of this process. Cheap to clone.
#[derive(Clone)]
pub struct Rooms {
    open: Arc<OpenRooms>,
    next_link: Arc<AtomicU64>,
    draining: Arc<AtomicBool>,
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
        Self {
            open: Arc::new(OpenRooms::new(parts)),
            next_link: Arc::new(AtomicU64::new(1)),
            draining: Arc::default(),
        }
    }

    /// Attaches a hub to a room, which is populated if it was not open. What the hub is to be told goes to
    /// `outbox`; when that is full the room lets go of the hub, and the receiver sees the channel's end.
    pub async fn attach(
        &self,
        room: &RoomId,
        outbox: mpsc::Sender<Vec<OriginMessage>>,
    ) -> Result<Attachment, RoomError> {
        if self.draining.load(Ordering::Acquire) {
            return Err(RoomError::Draining);
        }
        let inbox = self.inbox(room);
        let link = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
        let tracker = self.open.parts.tracker.clone();
        let gone = |_| RoomError::Failed("the room has ended".to_owned());
        inbox.send(Inbound::Attach(link, outbox)).await.map_err(gone)?;
        Ok(Attachment { link, room: inbox, tracker })
    }

    /// The state of an open room, whichever origin has it open; `None` while none has.
    pub async fn report(&self, room: &RoomId) -> Result<Option<RoomReport>, RoomError> {
        let here = self.members_here(room).await;
        match report::of_room(&*self.open.parts.store, room, &self.open.parts.origin_id, here).await {
            // It is gone, or was removed while it was looked at.
            Err(StoreError::Cold | StoreError::NoFile) => Ok(None),
            report => report.map_err(|error| RoomError::Failed(error.to_string())),
        }
    }

    /// The members of the room at this origin; `None` if it is not open here.
    async fn members_here(&self, room: &RoomId) -> Option<Vec<ListedMember>> {
        let inbox = self.open.inboxes().get(room).cloned()?;
        let (answer, members) = oneshot::channel();
        inbox.send(Inbound::Members(answer)).await.ok()?;
        members.await.ok()?
    }

    /// The files of a room that the room store holds, those not flushed yet included; `None` if it holds no
    /// such room.
    pub async fn names(&self, room: &RoomId) -> Result<Option<Vec<(FileId, FilePath)>>, RoomError> {
        match self.open.parts.store.names(room).await {
            Ok(names) => Ok(Some(names)),
            Err(StoreError::Cold) => Ok(None),
            Err(error) => Err(RoomError::Failed(error.to_string())),
        }
    }

    /// The text of a file of a room that the room store holds; `None` if it holds no such room.
    pub async fn text(&self, room: &RoomId, file: &FileName) -> Result<Option<LiveText>, RoomError> {
        let store = &*self.open.parts.store;
        let Some(names) = self.names(room).await? else { return Ok(None) };
        let id = |fits: &dyn Fn(&FileId, &FilePath) -> bool| {
            names.iter().find(|(id, path)| fits(id, path)).map(|(id, _)| id.clone())
        };
        let found = file.find(|asked| id(&|id, _| id == asked), |asked| id(&|_, path| path == asked));
        let Some(id) = found else { return Err(RoomError::NoFile) };
        match store.read(room, &id).await {
            Ok(log) => {
                let eol = report::eol_of(&*self.open.parts.archive, room, &id).await;
                report::text_of(&log, eol).map(Some)
            }
            Err(StoreError::Cold) => Ok(None),
            Err(error) => Err(RoomError::Failed(error.to_string())),
        }
    }

    /// Keeps a room from being opened while its shard is deleted, or lets it be opened again.
    pub async fn seal(&self, room: &RoomId, sealed: bool) -> Result<(), RoomError> {
        let at_most = if sealed { DELETION } else { Duration::ZERO };
        let done = self.open.parts.store.seal(room, at_most).await;
        done.map_err(|error| RoomError::Failed(error.to_string()))
    }

    /// Removes a deleted room from the room store; its members are closed with 4410.
    pub async fn delete(&self, room: &RoomId) -> Result<(), RoomError> {
        let erased = self.open.parts.store.erase(room).await;
        erased.map_err(|error| RoomError::Failed(error.to_string()))
    }

    /// Lets go of every room: appends in flight are finished, hubs are told to go elsewhere.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        let open: Vec<_> = self.open.inboxes().values().cloned().collect();
        for room in open {
            // A room that has ended meanwhile needs no drain.
            let _ = room.send(Inbound::Drain).await;
        }
    }

    /// Since when the oldest change of all open rooms waits for the archive (ms since the epoch); `None` if none does.
    pub fn unflushed_since(&self) -> Option<Millis> {
        self.open.unflushed_since()
    }

    /// How many rooms are open.
    pub fn count(&self) -> usize {
        self.open.inboxes().len()
    }

    fn inbox(&self, room: &RoomId) -> mpsc::Sender<Inbound> {
        let mut inboxes = self.open.inboxes();
        if let Some(inbox) = inboxes.get(room) {
            return inbox.clone();
        }
        let (sender, receiver) = mpsc::channel(crate::limits::ROOM_INBOX);
        inboxes.insert(room.clone(), sender.clone());
        self.open.parts.metrics.room_opened();
        self.open.parts.tracker.spawn(driver::run(self.open.clone(), room.clone(), receiver));
        sender
    }
}
