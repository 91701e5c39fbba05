//! What is served over HTTP: REST, the sockets of clients, the dial endpoint, operations, the page.

mod router;
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

pub use self::router::{health_only, router};
