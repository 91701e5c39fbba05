//! Text frames: the JSON of clients without Yjs. Files as plain text and as edits, room events as everywhere.
//!
//! Offsets count UTF-16 code units. The edits of one message are applied one after the other, each to what the
//! one before has left.

mod position;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use self::position::TextPosition;
use super::json;
use crate::{id::FileId, limits};

/// A text frame of a member, as far as a hub has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextIn {
    /// Wants a file.
    Open {
        /// A file path or file id.
        file: String,
    },
    /// Leaves a file.
    Close {
        /// As it was opened.
        file: String,
    },
    /// Changes a file; [`read_change`] reads how.
    Change {
        /// As it was opened.
        file: String,
        /// What the change is based on; `None` for whatever was sent last.
        position: Option<String>,
    },
    /// Anything else: to be read as a room event.
    Event,
}

/// A text frame for a member. `file` is what the member has called it, `id` is the file's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum TextOut<'a> {
    /// The whole text.
    Text {
        /// The file.
        file: &'a str,
        /// Its id.
        id: &'a FileId,
        /// Names this text.
        position: &'a str,
        /// What the file says.
        text: &'a str,
    },
    /// What makes the member's text the current one.
    Edit {
        /// The file.
        file: &'a str,
        /// Its id.
        id: &'a FileId,
        /// Names the text that comes out.
        position: &'a str,
        /// From the end of the text to its beginning.
        edits: &'a [Edit],
    },
    /// The oldest unanswered change of the member is in the log.
    Logged {
        /// The file.
        file: &'a str,
        /// The room's seq of the change.
        seq: u64,
    },
    /// Something was refused; with a file that the member has open, its oldest unanswered change.
    Error {
        /// What, in a stable word.
        code: &'a str,
        /// Why, for people.
        reason: &'a str,
        /// The file, if it is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<&'a str>,
    },
}

impl TextOut<'_> {
    /// The frame.
    pub fn to_json(&self) -> String {
        // Nothing in it can fail to be JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A piece of text is replaced by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Where, in UTF-16 code units from the beginning.
    pub at: usize,
    /// How many code units go.
    #[serde(default)]
    pub delete: usize,
    /// What comes in their place.
    #[serde(default)]
    pub insert: String,
}

/// How a member changes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextChange {
    /// By edits of the text that the change is based on.
    Edits(Vec<Edit>),
    /// Into this text.
    Whole(String),
}

/// Why a text frame is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Longer than [`limits::FRAME_BYTES`], or a list of edits longer than [`limits::TEXT_EDITS_BYTES`].
    #[error(
        "a text frame has at most {} bytes, one with edits {}",
        limits::FRAME_BYTES,
        limits::TEXT_EDITS_BYTES
    )]
    TooLong,
    /// Nests deeper than [`limits::JSON_DEPTH`].
    #[error("a text frame nests at most {} levels", limits::JSON_DEPTH)]
    TooDeep,
    /// Not an object with a `type`, or not the fields of that type.
    #[error("this is not a text frame that a member can send")]
    Malformed,
    /// More than [`limits::TEXT_EDITS`] edits.
    #[error("a change has at most {} edits", limits::TEXT_EDITS)]
    TooManyEdits,
    /// A text longer than [`limits::FILE_BYTES`].
    #[error("a file has at most {} bytes", limits::FILE_BYTES)]
    FileTooLarge,
}

impl TextError {
    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::TooLong => "event-too-long",
            Self::TooDeep => "event-too-deep",
            Self::Malformed => "bad-event",
            Self::TooManyEdits => "too-many-edits",
            Self::FileTooLarge => TEXT_TOO_LARGE,
        }
    }
}

/// What is based on no text that is known; edits that do not fit it; a text that is too large: why an origin refuses a
/// change of a text frame, in the stable words.
pub const REFUSALS: [&str; 3] = [STALE, BAD_EDIT, TEXT_TOO_LARGE];
/// See [`REFUSALS`].
pub const STALE: &str = "stale";
/// See [`REFUSALS`].
pub const BAD_EDIT: &str = "bad-edit";
/// See [`REFUSALS`].
pub const TEXT_TOO_LARGE: &str = "text-too-large";

/// A frame that is not taken, and the file that it is about as far as that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub error: TextError,
    /// As the member has called it, if the frame was to change a file.
    pub file: Option<String>,
}

/// Reads a text frame, bounded before it is parsed. A change is checked whole; a room event is not.
pub fn read(frame: &str) -> Result<TextIn, Refused> {
    let refused = |error| Refused { error, file: None };
    if frame.len() > limits::FRAME_BYTES {
        return Err(refused(TextError::TooLong));
    }
    if !json::nests_within(frame, limits::JSON_DEPTH) {
        return Err(refused(TextError::TooDeep));
    }
    if !json::is_object(frame) {
        return Err(refused(TextError::Malformed));
    }
    let head: Head<'_> = serde_json::from_str(frame).map_err(|_| refused(TextError::Malformed))?;
    let is_change = matches!(&*head.kind, "edit" | "code-change");
    if !is_change && !matches!(&*head.kind, "open" | "close") {
        return Ok(TextIn::Event);
    }
    let file = head.file.filter(|file| file.len() <= limits::KEY_BYTES && !file.contains('\0'));
    let file = file.ok_or_else(|| refused(TextError::Malformed))?.into_owned();
    if is_change {
        return match read_change(frame.as_bytes()) {
            Ok(_) => Ok(TextIn::Change { file, position: head.position }),
            Err(error) => Err(Refused { error, file: Some(file) }),
        };
    }
    Ok(if head.kind == "open" { TextIn::Open { file } } else { TextIn::Close { file } })
}

/// Reads how a frame changes its file.
pub fn read_change(frame: &[u8]) -> Result<TextChange, TextError> {
    let change: Change = match serde_json::from_slice(frame) {
        Ok(Kind { kind }) if kind == "edit" && frame.len() > limits::TEXT_EDITS_BYTES => {
            return Err(TextError::TooLong);
        }
        Ok(Kind { .. }) if frame.len() <= limits::FRAME_BYTES => {
            serde_json::from_slice(frame).map_err(|_| TextError::Malformed)?
        }
        _ => return Err(TextError::Malformed),
    };
    match change {
        Change { edits: Some(edits), text: None, .. } if edits.len() > limits::TEXT_EDITS => {
            Err(TextError::TooManyEdits)
        }
        Change { edits: Some(edits), text: None, kind: ChangeType::Edit } => Ok(TextChange::Edits(edits)),
        Change { text: Some(text), .. } if text.len() > limits::FILE_BYTES => Err(TextError::FileTooLarge),
        Change { text: Some(text), edits: None, kind: ChangeType::CodeChange } => Ok(TextChange::Whole(text)),
        _ => Err(TextError::Malformed),
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    file: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "position::read")]
    position: Option<String>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ChangeType {
    Edit,
    CodeChange,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "type")]
    kind: ChangeType,
    edits: Option<Vec<Edit>>,
    text: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(position: Option<&str>) -> TextIn {
        TextIn::Change { file: "a.js".into(), position: position.map(str::to_owned) }
    }

    #[test]
    fn frames_are_what_their_type_says() {
        for (frame, expected) in [
            (r#"{"type":"open","file":"a.js"}"#, TextIn::Open { file: "a.js".into() }),
            (r#"{"file":"a.js","type":"close","more":[{}]}"#, TextIn::Close { file: "a.js".into() }),
            (r#"{"type":"edit","file":"a.js","position":"1.2.3.4","edits":[]}"#, change(Some("1.2.3.4"))),
            (r#"{"type":"code-change","file":"a.js","text":""}"#, change(None)),
            (r#"{"type":"code-change","file":"a.js","position":null,"text":""}"#, change(None)),
            (r#"{"type":"code-change","file":"a.js","position":{"seq":[1]},"text":""}"#, change(Some(""))),
            (r#"{"type":"chat","text":"hi"}"#, TextIn::Event),
            (r#"{"type":"never-heard-of","files":7.5}"#, TextIn::Event),
        ] {
            assert_eq!(read(frame), Ok(expected), "{frame}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_with_a_word_and_the_file_if_it_names_one() {
        let deep = format!(r#"{{"type":"open","file":{}"#, "[".repeat(40));
        let long = format!(r#"{{"type":"edit","file":"a.js","edits":[],"x":"{}"}}"#, "x".repeat(1 << 20));
        let many = format!(
            r#"{{"type":"edit","file":"a.js","edits":[{}]}}"#,
            vec![r#"{"at":0}"#; limits::TEXT_EDITS + 1].join(",")
        );
        for (frame, word, file) in [
            ("", "bad-event", None),
            ("[]", "bad-event", None),
            (r#"["open","a.js"]"#, "bad-event", None),
            (r#"{"type":7}"#, "bad-event", None),
            (r#"{"type":"open"}"#, "bad-event", None),
            (r#"{"type":"open","file":"a\u0000b"}"#, "bad-event", None),
            (deep.as_str(), "event-too-deep", None),
            (r#"{"type":"edit","file":"a.js","edits":[{"at":-1}]}"#, "bad-event", Some("a.js")),
            (r#"{"type":"edit","file":"a.js","text":"b"}"#, "bad-event", Some("a.js")),
            (r#"{"type":"code-change","file":"a.js","text":"\ud83d"}"#, "bad-event", Some("a.js")),
            (long.as_str(), "event-too-long", Some("a.js")),
            (many.as_str(), "too-many-edits", Some("a.js")),
        ] {
            let refused = read(frame).expect_err(frame);
            assert_eq!((refused.error.word(), refused.file.as_deref()), (word, file));
        }
    }
}
