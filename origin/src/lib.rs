//! The origin of Edgeroom: it owns rooms, their log, the archive and the flush between the two.

pub mod limits;
pub mod config;
pub mod app;
pub mod server;
pub mod auth;
pub mod http;
pub mod link;
pub mod direct;
pub mod rooms;
pub mod project;
pub mod archive;
pub mod connections;
pub mod redis;
pub mod store;
pub mod flush;
pub mod shutdown;
pub mod telemetry;
pub mod metrics;
pub mod data_dir;
pub mod error;
pub mod clock;
