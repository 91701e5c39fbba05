//! The state of a room, for people and tools.

use room::Room;
use serde::Serialize;
use shared::{
    grant::Grant,
    id::{FileId, FilePath, RoomId},
    position::Position,
};

use super::error::RoomError;
use crate::{
    archive::{Archive, Eol},
    store::{FileLog, ListedMember, RoomStore, StoreError},
};

/// An open room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoomReport {
    /// The life of the room that `seq` counts in.
    pub epoch: u64,
    /// Changes and events logged in it.
    pub seq: u64,
    /// Its members.
    pub members: Vec<ListedMember>,
    /// Its files.
    pub files: Vec<FileReport>,
}

/// The text of a file in an open room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveText {
    /// What the log holds.
    pub text: String,
    /// Another one after each change of the file; without quotes.
    pub etag: String,
    /// The file's line ends outside.
    pub eol: Eol,
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

/// The members at this origin, each session once.
pub(super) fn members_of(room: &Room) -> Vec<ListedMember> {
    let mut sessions = std::collections::BTreeMap::new();
    for (hub, channel, grant) in room.members() {
        sessions.entry(channel.session()).or_insert_with(|| member(hub, grant));
    }
    sessions.into_values().collect()
}

fn member(hub: &str, grant: &Grant) -> ListedMember {
    let region = match hub.split_once('~') {
        Some(("direct", _)) => "direct",
        Some((_, region)) => region,
        None => "",
    };
    ListedMember {
        id: grant.member.id.to_string(),
        name: grant.member.name.as_str().to_owned(),
        role: grant.role,
        region: region.to_owned(),
    }
}

/// The room as the room store has it, while an origin has it open. At `origin`, which asks, its members are `here`
/// (`None` if it does not have it open), elsewhere those that are listed.
pub(super) async fn of_room(
    store: &dyn RoomStore,
    room: &RoomId,
    origin: &str,
    here: Option<Vec<ListedMember>>,
) -> Result<Option<RoomReport>, StoreError> {
    let listed = store.listed(room).await?.into_iter().filter(|listed| listed.origin != origin);
    // An origin that has listed no members is on its way out.
    let elsewhere: Vec<_> =
        listed.map(|listed| listed.members).filter(|members| *members != Some(Vec::new())).collect();
    if here.is_none() && elsewhere.is_empty() {
        return Ok(None);
    }
    let members = here.into_iter().chain(elsewhere.into_iter().flatten()).flatten().collect();
    let dirty = store.dirty(room).await?.files;
    let dirty: std::collections::BTreeSet<FileId> = dirty.into_iter().map(|(file, _)| file).collect();
    let mut files = Vec::new();
    for (id, path) in store.names(room).await? {
        let log = store.read(room, &id).await?;
        files.push(FileReport {
            logged: last_seq(&log),
            stored: log.stored_seq,
            dirty: dirty.contains(&id),
            path,
            id,
        });
    }
    let Position { epoch, seq, .. } = store.read(room, &FileId::room()).await?.position;
    Ok(Some(RoomReport { epoch: epoch.0, seq, members, files }))
}

/// The text that a file's log amounts to.
pub(super) fn text_of(log: &FileLog, eol: Eol) -> Result<LiveText, RoomError> {
    let text = room::text_of(log).map_err(|error| RoomError::Failed(error.to_string()))?;
    let etag = format!("{:x}-{}", log.position.epoch.0, last_seq(log));
    Ok(LiveText { text, etag, eol })
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
