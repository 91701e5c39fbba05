//! Redis as the room store and the flush queue use it: how it is reached, kept connected, called and listened to.
//!
//! Promise: a connection that is lost, black-holed or answers too late is given up and made again, indefinitely. A call
//! is answered or fails by its deadline. A subscriber gets everything in order, or the end of its subscription.

pub mod permissions;
mod tls;
mod address;
pub(crate) mod slots;
mod supervisor;
mod calls;
mod connection;
mod pubsub;

pub use self::pubsub::Fault;
pub(crate) use self::{
    address::{Address, Urls},
    calls::{Breaks, CallError, Calls, Dial},
    connection::{Endpoint, RedisConnection, Server},
    pubsub::PubSub,
    supervisor::{Lost, Supervised, in_time, supervise},
};
