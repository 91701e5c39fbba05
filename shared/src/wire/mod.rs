//! The bytes on the wire: parsed without recursion and bounded before they are parsed.

pub mod event;
pub mod hocuspocus;
mod json;
pub mod link;
pub mod text;
pub mod varint;
pub mod yjs;
