//! How a room stands, for people and tools.

use serde::Serialize;
use shared::{
    grant::{Grant, Role},
    id::{FileId, FilePath, RoomId},
    position::Position,
};

use super::{
    LiveText, RoomError,
    state::{LiveFile, Room},
};
use crate::{
    archive::{Archive, Eol},
    room_store::{FileLog, RoomStore},
};

/// An open room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoomReport {
    /// The life of the room that `seq` counts in.
    pub epoch: u64,
    /// Changes and events logged in it.
    pub seq: u64,
    /// Who is here.
    pub members: Vec<MemberReport>,
    /// Its files.
    pub files: Vec<FileReport>,
}

/// One session of a member.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemberReport {
    /// The member's id.
    pub id: String,
    /// The name that others see.
    pub name: String,
    /// What the member may do.
    pub role: Role,
    /// The region of the hub; `direct` for a socket of an origin.
    pub region: String,
}

/// One file of an open room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileReport {
    /// Its id.
    pub id: FileId,
    /// Its path.
    pub path: FilePath,
    /// The seq of its last update in the log.
    pub logged: u64,
    /// The seq of its last update in the archive.
    pub stored: u64,
    /// Whether the two differ.
    pub dirty: bool,
}

/// What the room's task knows of it.
pub(super) struct Snapshot {
    position: Position,
    members: Vec<MemberReport>,
    files: Vec<(FileId, FilePath)>,
}

impl Snapshot {
    pub(super) fn of(room: &Room) -> Self {
        let mut sessions = std::collections::BTreeMap::new();
        for (hub, channel, grant) in room.members() {
            sessions.entry(channel.session()).or_insert_with(|| member(hub, grant));
        }
        Self {
            position: room.position(),
            members: sessions.into_values().collect(),
            files: room.files().map(|(id, path)| (id.clone(), path.clone())).collect(),
        }
    }
}

fn member(hub: &str, grant: &Grant) -> MemberReport {
    let region = match hub.split_once('~') {
        Some(("direct", _)) => "direct",
        Some((_, region)) => region,
        None => "",
    };
    MemberReport {
        id: grant.member.id.to_string(),
        name: grant.member.name.to_string(),
        role: grant.role,
        region: region.to_owned(),
    }
}

/// Adds what only the room store knows; `None` if it holds the room no longer.
pub(super) async fn complete(store: &dyn RoomStore, room: &RoomId, snapshot: Snapshot) -> Option<RoomReport> {
    let dirty = store.dirty(room).await.ok()?;
    let mut files = Vec::new();
    for (id, path) in snapshot.files {
        let log = store.read(room, &id).await.ok()?;
        files.push(FileReport {
            logged: last_seq(&log),
            stored: log.base_seq,
            dirty: dirty.files.iter().any(|(file, _)| *file == id),
            path,
            id,
        });
    }
    let Position { epoch, seq, .. } = snapshot.position;
    Some(RoomReport { epoch: epoch.0, seq, members: snapshot.members, files })
}

/// The text that a file's log amounts to.
pub(super) fn text_of(log: &FileLog, eol: Eol) -> Result<LiveText, RoomError> {
    let file = LiveFile::read(log).map_err(|error| RoomError::Failed(error.to_string()))?;
    let etag = format!("{:x}-{}", log.position.epoch.0, last_seq(log));
    Ok(LiveText { text: file.text(), etag, eol })
}

/// The line ends that a file has outside.
pub(super) async fn eol_of(archive: &dyn Archive, room: &RoomId, file: &FileId) -> Eol {
    match archive.find_by_id(room).await {
        Ok(Some(shard)) => {
            shard.files.iter().find(|entry| entry.id == *file).map(|entry| entry.eol).unwrap_or_default()
        }
        _ => Eol::default(),
    }
}

fn last_seq(log: &FileLog) -> u64 {
    log.updates.last().map_or(log.base_seq, |entry| entry.seq)
}
