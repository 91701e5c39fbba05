//! The live state of rooms: their logs, bases, names and dirty files.
//!
//! One contract suite (`tests/it/room_store_contract.rs`) runs against every implementation.

mod outcome;
mod log;
mod leases;
mod catalog;
mod subscriptions;
pub mod embedded;
pub mod redis;

pub use room::{
    log::{Batch, Entry, FileLog, LogEntry, Logged, Source},
    store::{Backfill, Claimed, Dirty, Published, StoreError, empty_base},
};

pub use self::{
    catalog::Catalog,
    leases::{Base, DELETION, Joined, LOADER_LEASE, Leases, Left, Listed, ListedMember, LoaderToken},
    log::{FlushAck, RoomLog, created_event},
    outcome::{FailedFlush, Outcome, SetAside, Survey},
    subscriptions::{SUBSCRIBER_QUEUE, Subscriptions},
};

/// Where rooms live while somebody has them open.
pub trait RoomStore: RoomLog + Leases + Catalog + Subscriptions {
    /// Whether other processes can have the same rooms open.
    fn is_shared(&self) -> bool;
}
