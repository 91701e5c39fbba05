//! What is served over HTTP: REST, the sockets of clients, the dial endpoint, operations, the page.

mod router;
mod access;
mod pages;
mod sockets;
mod shards;
mod files;
mod rooms;
mod admin;
mod templates;
mod dial;
mod health;
mod body;
mod problem;
mod iso8601;

pub(crate) use self::pages::is_loopback;

pub use self::{
    access::{Access, Credentials},
    pages::Pages,
    router::{health_only, router},
};
