//! Ids, each checked when it is made: what holds one needs no second look.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::limits;

/// Why a text is not an id of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    #[error("a room id is 1 to 128 characters of A-Z a-z 0-9 . _ -, the first a letter or digit")]
    Room,
    /// Not `f_` and 16 of `[0-9a-z]`.
    #[error("a file id is f_ and 16 characters of 0-9 a-z")]
    File,
    /// Not a relative, normalised path.
    #[error(
        "a file path is relative, in NFC, at most 512 bytes in 32 segments, without ., .., control characters or backslashes"
    )]
    Path,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.to_string()
            }
        }
    };
}

text_id! {
    /// A room, and the shard that it is the open form of.
    RoomId
}
text_id! {
    /// A file of a room, stable while its path changes.
    FileId
}
text_id! {
    /// The path of a file in its project: relative, NFC, with `/`.
    FilePath
}

impl RoomId {
    /// Checks `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bytes = text.as_bytes();
        let tail_fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        match bytes.first() {
            Some(first) if first.is_ascii_alphanumeric() => {}
            _ => return Err(IdError::Room),
        }
        if bytes.len() > limits::ROOM_ID_BYTES || !bytes.iter().all(tail_fits) {
            return Err(IdError::Room);
        }
        Ok(Self(text.into()))
    }
}

impl FileId {
    /// Checks `f_` and 16 of `[0-9a-z]`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let tail = text.strip_prefix("f_").ok_or(IdError::File)?;
        if tail.len() != 16 || !tail.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()) {
            return Err(IdError::File);
        }
        Ok(Self(text.into()))
    }

    /// Spells a file id from random bits.
    pub fn from_random(mut bits: u128) -> Self {
        let mut text = String::from("f_");
        for _ in 0..16 {
            let digit = u32::try_from(bits % 36).unwrap_or(0);
            text.push(char::from_digit(digit, 36).unwrap_or('0'));
            bits /= 36;
        }
        Self(text.into())
    }

    /// The pseudo-file that holds a room's ordered events. Never parsed from outside.
    pub fn room() -> Self {
        Self(limits::ROOM_DOCUMENT.into())
    }

    /// Whether this is the pseudo-file of the room itself.
    pub fn is_room(&self) -> bool {
        &*self.0 == limits::ROOM_DOCUMENT
    }
}

impl FilePath {
    /// Checks and normalises a path: NFC is applied, everything else must already hold.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.is_empty() || text.len() > 2 * limits::PATH_BYTES {
            return Err(IdError::Path);
        }
        let normal: String = if is_nfc(text) { text.to_owned() } else { text.nfc().collect() };
        let segments_fit = normal.split('/').all(|segment| {
            !segment.is_empty()
                && segment.len() <= limits::PATH_SEGMENT_BYTES
                && segment != "."
                && segment != ".."
        });
        let fits = normal.len() <= limits::PATH_BYTES
            && normal.split('/').count() <= limits::PATH_SEGMENTS
            && segments_fit
            && !normal.chars().any(|c| c.is_control() || c == '\\')
            && normal != limits::ROOM_DOCUMENT;
        if fits { Ok(Self(normal.into())) } else { Err(IdError::Path) }
    }
}

/// What somebody calls a file: a file id, which counts first, or a path. The only way from a text that comes from
/// outside to a file that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    id: Option<FileId>,
    path: FilePath,
}

impl FileName {
    /// Checks and normalises the name like a path, which the spelling of a file id is too.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Ok(Self { id: FileId::parse(text).ok(), path: FilePath::parse(text)? })
    }

    /// The file of this id, else the one at this path.
    pub fn find<T>(
        &self,
        by_id: impl FnOnce(&FileId) -> Option<T>,
        by_path: impl FnOnce(&FilePath) -> Option<T>,
    ) -> Option<T> {
        self.id.as_ref().and_then(by_id).or_else(|| by_path(&self.path))
    }

    /// The name as a path, for a file that does not exist yet.
    pub fn into_path(self) -> FilePath {
        self.path
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// One WebSocket of one member. The low 16 bits are zero: they count the channels of the session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SessionId(u64);

/// One routing key that a session uses: a document it has open or wants to open.
/// The link carries channels, so the same document twice on one socket is two of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ChannelId(pub u64);

impl SessionId {
    /// Makes a session id from random bits; it stays below 2^53 so that it survives JavaScript numbers.
    pub fn from_random(bits: u64) -> Self {
        Self((bits & 0x1f_ffff_ffff_ffff) & !0xffff)
    }

    /// The `index`th channel of this session.
    pub fn channel(self, index: u16) -> ChannelId {
        ChannelId(self.0 | u64::from(index))
    }

    /// The id as a number, for logs and storage.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// Reads back what [`Self::as_u64`] gave.
    pub fn from_u64(value: u64) -> Self {
        Self(value & !0xffff)
    }
}

impl ChannelId {
    /// The session that the channel belongs to.
    pub fn session(self) -> SessionId {
        SessionId::from_u64(self.0)
    }

    /// Which channel of its session this is.
    pub fn index(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_project() {
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", "./a", "a\\b", "a\u{0}b", ".room", "a\nb"] {
            assert_eq!(FilePath::parse(bad), Err(IdError::Path), "{bad:?}");
        }
        assert_eq!(FilePath::parse("src/e\u{301}.js").map(String::from), Ok("src/\u{e9}.js".to_owned()));
        assert!(FilePath::parse(&"a/".repeat(40)).is_err());
        assert!(FilePath::parse(&"x".repeat(256)).is_err());
    }

    #[test]
    fn a_file_is_found_by_its_id_first_and_by_its_path_however_that_is_spelled() {
        let id = FileId::from_random(7);
        let path = FilePath::parse("caf\u{e9}.md").unwrap();
        let files = [(id.clone(), path), (FileId::from_random(8), FilePath::parse(id.as_str()).unwrap())];
        let find = |name: &str| {
            let name = FileName::parse(name).unwrap();
            let by_id = |id: &FileId| files.iter().position(|(known, _)| known == id);
            name.find(by_id, |path| files.iter().position(|(_, known)| known == path))
        };
        assert_eq!(find("cafe\u{301}.md"), Some(0));
        assert_eq!(find(id.as_str()), Some(0));
        assert_eq!(find("other.md"), None);
        assert!(FileName::parse("../a").is_err());
    }

    #[test]
    fn a_room_id_is_safe_in_a_url_and_in_a_key() {
        for bad in ["", ".a", "-a", "a b", "a/b", "a~b", "{a}", &"a".repeat(129)] {
            assert_eq!(RoomId::parse(bad), Err(IdError::Room), "{bad:?}");
        }
        assert!(RoomId::parse("demo-1_2.x").is_ok());
    }

    #[test]
    fn a_channel_knows_its_session() {
        let session = SessionId::from_random(u64::MAX);
        assert_eq!(session.channel(7).session(), session);
        assert_eq!(session.channel(7).index(), 7);
        let id = FileId::from_random(u128::MAX);
        assert_eq!(FileId::parse(id.as_str()), Ok(id));
    }
}
