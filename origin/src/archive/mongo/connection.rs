//! The connections to MongoDB: their limits, what every read and write asks for, and the indexes.
//!
//! Promise: no operation takes longer than its deadline, and a bounded number of writes are under way.

use std::{future::IntoFuture, time::Duration};

use mongodb::{
    Client, Collection, Database, IndexModel,
    bson::{Document, doc},
    options::{
        Acknowledgment, ClientOptions, CollectionOptions, IndexOptions, ReadConcern, ReadPreference,
        SelectionCriteria, WriteConcern,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use super::failure::Failure;
use crate::archive::ArchiveError;

/// The name by which an operator finds these connections at the server.
const NAME: &str = "edgeroom-archive";
/// The database if the address names none.
const DATABASE: &str = "edgeroom";
/// Writes under way at once; the others wait their turn.
const WRITES_AT_ONCE: usize = 16;
/// How long a write waits for the majority; shorter than its deadline, so that the server says it first.
const MAJORITY_WITHIN: Duration = Duration::from_secs(5);

/// How long the archive waits.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For one operation: a write, or a batch of what is read.
    pub operation: Duration,
    /// For somebody else's creation of the same shard to go on, before it is taken over. Longer than one
    /// operation may take.
    pub making: Duration,
    /// From one question whether MongoDB is there to the next.
    pub ping: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { operation: seconds(10), making: seconds(15), ping: seconds(5) }
    }
}

/// The collections, and the way to them.
pub(super) struct Connection {
    pub(super) shards: Collection<Document>,
    pub(super) files: Collection<Document>,
    pub(super) pieces: Collection<Document>,
    pub(super) deadlines: Deadlines,
    database: Database,
    indexed: OnceCell<()>,
    writes: Semaphore,
}

impl Connection {
    pub(super) async fn open(address: &SecretString, deadlines: Deadlines) -> Result<Self, ArchiveError> {
        let database = connect(address.expose_secret()).await?;
        let asked = CollectionOptions::builder()
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .read_concern(ReadConcern::majority())
            .write_concern(
                WriteConcern::builder()
                    .w(Acknowledgment::Majority)
                    .journal(true)
                    .w_timeout(MAJORITY_WITHIN)
                    .build(),
            )
            .build();
        let connection = Self {
            shards: database.collection_with_options("shards", asked.clone()),
            files: database.collection_with_options("files", asked.clone()),
            pieces: database.collection_with_options("file_pieces", asked),
            deadlines,
            database,
            indexed: OnceCell::new(),
            writes: Semaphore::new(WRITES_AT_ONCE),
        };
        match connection.indexed().await {
            Err(error @ (Failure::Away(_) | Failure::Lost(_))) => {
                tracing::warn!(%error, "the archive is away; its indexes are made before the first write");
            }
            indexed => indexed?,
        }
        Ok(connection)
    }

    pub(super) async fn ping(&self) -> Result<(), ArchiveError> {
        Ok(self.read(self.database.run_command(doc! { "ping": 1 })).await.map(drop)?)
    }

    pub(super) async fn close(&self) {
        self.database.client().clone().shutdown().immediate(true).await;
    }

    /// Returns when the indexes are there; without them two files could have one path.
    pub(super) async fn indexed(&self) -> Result<(), Failure> {
        let make = || async {
            let by_path = IndexModel::builder()
                .keys(doc! { "shard": 1, "path": 1 })
                .options(IndexOptions::builder().unique(true).build())
                .build();
            let by_owner = IndexModel::builder().keys(doc! { "owner": 1 }).build();
            self.read(self.files.create_index(by_path)).await?;
            self.read(self.shards.create_index(by_owner)).await.map(drop)
        };
        self.indexed.get_or_try_init(make).await.map(drop)
    }

    /// Waits for a turn to write, then for the write, no longer than the deadline.
    pub(super) async fn write<T>(
        &self,
        operation: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, Failure> {
        let _turn = self.writes.acquire().await.map_err(|error| Failure::Away(error.to_string()))?;
        self.read(operation).await
    }

    /// Waits for an operation that takes no turn, no longer than the deadline.
    pub(super) async fn read<T>(
        &self,
        operation: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout(self.deadlines.operation, operation.into_future()).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(Failure::Lost(format!(
                "no answer from MongoDB within {} ms",
                self.deadlines.operation.as_millis()
            ))),
        }
    }
}

async fn connect(address: &str) -> Result<Database, ArchiveError> {
    let refused = |error: mongodb::error::Error| {
        ArchiveError::Failed(without_secrets(address, &format!("the address of MongoDB: {error}")))
    };
    let mut options = ClientOptions::parse(address).await.map_err(refused)?;
    // What the address says itself goes first.
    options.app_name.get_or_insert_with(|| NAME.to_owned());
    options.max_pool_size.get_or_insert(32);
    options.min_pool_size.get_or_insert(2);
    options.server_selection_timeout.get_or_insert(Duration::from_secs(5));
    options.connect_timeout.get_or_insert(Duration::from_secs(3));
    options.max_idle_time.get_or_insert(Duration::from_secs(5 * 60));
    let client = Client::with_options(options).map_err(refused)?;
    Ok(client.default_database().unwrap_or_else(|| client.database(DATABASE)))
}

/// The text, unless it quotes from the part of the address with the password.
fn without_secrets(address: &str, text: &str) -> String {
    let secrets = address.rsplit_once('@').map_or("", |(secrets, _)| secrets);
    let quoted = secrets.split(['/', ':', '@']).skip(1).filter(|part| !part.is_empty());
    if quoted.into_iter().any(|part| text.contains(part)) {
        "the address of MongoDB is not well-formed; its user and password must be percent-encoded".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_address_never_shows_its_password() {
        for address in ["mongodb://ada:se/cret@host", "mongodb://ada:sec@ret@host:x", "mongodb://ada:secret@"]
        {
            let said = connect(address).await.unwrap_err().to_string();
            assert!(!said.contains("sec") && !said.contains("cret"), "{said}");
        }
        let said = connect("mongodb://host/?tls=perhaps").await.unwrap_err().to_string();
        assert!(said.contains("tls"), "{said}");
    }
}
