//! Room events are read by hand, their type first: what serde reads by a tag it takes apart and puts together again,
//! and the `data` of a broadcast must stay as it came.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Attributed, EventError, EventIn, FileChange, StoredFile};
use crate::{
    grant::Member,
    id::{FilePath, IdError},
    limits,
    wire::json::{self, RawJson},
};

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Chat {
    text: String,
}

#[derive(Deserialize)]
struct VisibleFiles<'a> {
    #[serde(borrow)]
    files: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Broadcast {
    data: RawJson,
}

/// Reads an event of a member, bounded before it is parsed.
pub fn read(json: &str) -> Result<EventIn, EventError> {
    if json.len() > limits::EVENT_BYTES {
        return Err(EventError::TooLong);
    }
    if !json::nests_within(json, limits::JSON_DEPTH) {
        return Err(EventError::TooDeep);
    }
    of_member(json)
}

fn of_member(json: &str) -> Result<EventIn, EventError> {
    if !json::is_object(json) {
        return Err(EventError::Malformed);
    }
    Ok(match &*parsed::<Kind<'_>>(json)?.kind {
        "chat" => match parsed(json)? {
            Chat { text } if text.len() > limits::CHAT_BYTES => return Err(EventError::ChatTooLong),
            Chat { text } => EventIn::Chat { text },
        },
        "visible-files" => EventIn::VisibleFiles { files: paths(&parsed::<VisibleFiles<'_>>(json)?.files)? },
        "broadcast" => EventIn::Broadcast { data: parsed::<Broadcast>(json)?.data },
        _ => return Err(EventError::Malformed),
    })
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, EventError> {
    serde_json::from_str(json).map_err(|_| EventError::Malformed)
}

fn paths(files: &[Cow<'_, str>]) -> Result<Vec<FilePath>, EventError> {
    if files.len() > limits::FILES {
        return Err(EventError::Files);
    }
    let paths: Result<_, IdError> = files.iter().map(|path| FilePath::parse(path)).collect();
    paths.map_err(|_| EventError::Files)
}

/// Reads what [`Attributed::to_json`] wrote; a hub has bounded the event already.
pub fn read_attributed(json: &[u8]) -> Result<Attributed, EventError> {
    #[derive(Deserialize)]
    struct Parts<'a> {
        member: Member,
        #[serde(borrow)]
        event: &'a RawValue,
    }
    if json.len() > 2 * limits::EVENT_BYTES {
        return Err(EventError::TooLong);
    }
    let Parts { member, event } = serde_json::from_slice(json).map_err(|_| EventError::Malformed)?;
    let event = match of_member(event.get()) {
        // A hub of an earlier version has not looked whether they are paths.
        Err(EventError::Files) => EventIn::VisibleFiles { files: Vec::new() },
        event => event?,
    };
    Ok(Attributed { member, event })
}

/// The changes of the file tree that a logged event brings; none, if it is another event.
pub fn tree_changes(json: &[u8]) -> Vec<FileChange> {
    #[derive(Deserialize)]
    struct Files {
        changes: Vec<FileChange>,
    }
    of_kind("files", json).map_or_else(Vec::new, |files: Files| files.changes)
}

/// Who looks at how many files, if that is what the event says.
pub fn visible_files(json: &[u8]) -> Option<(Member, usize)> {
    #[derive(Deserialize)]
    struct Looks {
        member: Member,
        files: Vec<serde::de::IgnoredAny>,
    }
    of_kind("visible-files", json).map(|looks: Looks| (looks.member, looks.files.len()))
}

/// The epoch and the files that are stored in it, if that is what the event says.
pub fn stored_files(json: &[u8]) -> Option<(u64, Vec<StoredFile>)> {
    #[derive(Deserialize)]
    struct Stored {
        epoch: u64,
        files: Vec<StoredFile>,
    }
    of_kind("stored", json).map(|stored: Stored| (stored.epoch, stored.files))
}

fn of_kind<'a, T: Deserialize<'a>>(kind: &str, json: &'a [u8]) -> Option<T> {
    let found: Kind<'_> = serde_json::from_slice(json).ok()?;
    (found.kind == kind).then(|| serde_json::from_slice(json).ok()).flatten()
}
