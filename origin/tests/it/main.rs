//! The origin's tests against what it is made of: one file per behaviour, one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod room_store_contract;
mod embedded_store;
mod redis_store;
mod archive_contract;
mod mongo_archive;
mod mongo_pieces;
mod mongo_outages;
mod on_mongodb;
mod on_redis;
mod flush;
mod flush_queue;
mod flush_on_redis;
mod archive_away;
mod simulation;
mod support;
mod settings;
mod rest;
mod admin;
mod templates;
mod text_frames;
mod direct_sockets;
mod links;
mod tokens;
mod two_origins;
mod roles;
mod members;
mod deletion;
mod lasting;
mod large_files;
mod crashes;
mod schedules_on_redis;
mod one_service;
