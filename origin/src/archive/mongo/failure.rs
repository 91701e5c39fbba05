//! Why an operation failed, by what may be done about it.

use mongodb::error::{Error, ErrorKind, InsertManyError, RETRYABLE_WRITE_ERROR, WriteFailure};

use crate::archive::ArchiveError;

/// The code of a breach of a unique index.
const DUPLICATE: i32 = 11_000;

/// A failed operation.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A unique index, that of `_id` included, has the key already.
    #[error("{0}")]
    Duplicate(String),
    /// The server said no.
    #[error("{0}")]
    Refused(String),
    /// The server does not take this document, or it cannot be sent: too large, or not valid there.
    #[error("{0}")]
    Document(String),
    /// No server was reached, so nothing was done.
    #[error("{0}")]
    Away(String),
    /// Nobody knows whether it was done.
    #[error("{0}")]
    Lost(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match &*error.kind {
            ErrorKind::Write(WriteFailure::WriteError(refusal)) if refusal.code == DUPLICATE => {
                Self::Duplicate(text)
            }
            ErrorKind::Write(WriteFailure::WriteError(_)) | ErrorKind::InvalidArgument { .. } => {
                Self::Document(text)
            }
            ErrorKind::InsertMany(InsertManyError { write_errors: Some(refusals), .. })
                if !refusals.is_empty() =>
            {
                let duplicate = refusals.iter().any(|refusal| refusal.code == DUPLICATE);
                of_code(if duplicate { DUPLICATE } else { 0 }, text)
            }
            ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } => Self::Away(text),
            ErrorKind::Command(refusal) if !error.contains_label(RETRYABLE_WRITE_ERROR) => {
                of_code(refusal.code, text)
            }
            ErrorKind::Command(_)
            | ErrorKind::Write(_)
            | ErrorKind::InsertMany(_)
            | ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::InvalidResponse { .. } => Self::Lost(text),
            _ => Self::Refused(text),
        }
    }
}

fn of_code(code: i32, text: String) -> Failure {
    if code == DUPLICATE { Failure::Duplicate(text) } else { Failure::Refused(text) }
}

impl From<Failure> for ArchiveError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Document(why) => Self::Refused(why),
            failure => Self::Failed(failure.to_string()),
        }
    }
}
