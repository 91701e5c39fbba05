//! The addresses of client sockets, the same at the edge and at an origin: `/rooms/{room}` and
//! `/yjs/{room}/{path or file id}`.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use crate::{id::RoomId, limits};

/// What a socket is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketAddress {
    /// A room, in the Hocuspocus envelope.
    Room(RoomId),
    /// One file of a room, by its path or id, in the y-websocket protocol.
    File(RoomId, String),
}

/// Why an address names neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// Not a room id.
    #[error(
        "no such room: a room id is 1 to 128 characters of A-Z a-z 0-9 . _ -, the first a letter or digit"
    )]
    Room,
    /// Not a document name.
    #[error("no such file: after the room comes a file path or file id in UTF-8")]
    Document,
    /// Of no socket.
    #[error("no such socket: their addresses are /rooms/{{room}} and /yjs/{{room}}/{{file}}")]
    Socket,
}

impl SocketAddress {
    /// Reads the path of a URL, still percent-encoded: each part is decoded once.
    pub fn parse(path: &str) -> Result<Self, NoAddress> {
        let (first, rest) =
            path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
        match first {
            "rooms" => Ok(Self::Room(room(rest)?)),
            "yjs" => {
                let (name, document) = rest.split_once('/').ok_or(NoAddress::Document)?;
                Ok(Self::File(room(name)?, document_name(document)?))
            }
            _ => Err(NoAddress::Socket),
        }
    }
}

/// Whether the host of a URL can only be this machine.
pub fn is_loopback(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_name = |host: &str| host.eq_ignore_ascii_case("localhost");
    is_name(host)
        // Reserved too (RFC 6761).
        || host.rsplit_once('.').is_some_and(|(_, last)| is_name(last))
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn room(text: &str) -> Result<RoomId, NoAddress> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| NoAddress::Room)?;
    RoomId::parse(&text).map_err(|_| NoAddress::Room)
}

fn document_name(text: &str) -> Result<String, NoAddress> {
    let name = percent_decode_str(text).decode_utf8().map_err(|_| NoAddress::Document)?;
    if name.is_empty() || name.len() > limits::KEY_BYTES {
        return Err(NoAddress::Document);
    }
    Ok(name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RoomId {
        RoomId::parse(text).unwrap()
    }

    #[test]
    fn a_room_is_named_by_what_follows() {
        for path in ["/rooms/demo", "/rooms/de%6Do", "//rooms/demo"] {
            assert_eq!(SocketAddress::parse(path), Ok(SocketAddress::Room(id("demo"))), "{path}");
        }
    }

    #[test]
    fn a_file_path_is_decoded_once_and_keeps_its_slashes() {
        let file = |document: &str| Ok(SocketAddress::File(id("demo"), document.to_owned()));
        assert_eq!(SocketAddress::parse("/yjs/demo/src/main.js"), file("src/main.js"));
        assert_eq!(SocketAddress::parse("/yjs/demo/src%2Fmain%20file.js"), file("src/main file.js"));
        assert_eq!(SocketAddress::parse("/yjs/demo/100%2525"), file("100%25"));
        assert_eq!(SocketAddress::parse("/yjs/demo//a"), file("/a"));
        assert_eq!(SocketAddress::parse("/yjs/demo/%zz"), file("%zz"));
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for host in ["127.0.0.1", "127.8.8.8", "localhost", "LocalHost", "app.localhost", "[::1]", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["0.0.0.0", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost", ""]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn what_can_be_no_name_is_no_address() {
        for path in ["/rooms/", "/rooms", "/rooms/a~b", "/rooms/demo/", "/rooms/demo/x", "/rooms//demo"] {
            assert_eq!(SocketAddress::parse(path), Err(NoAddress::Room), "{path}");
        }
        for path in ["/rooms/-x", "/rooms/%E9", "/rooms/a%2Fb", "/yjs//a", "/yjs/caf%E9/a"] {
            assert_eq!(SocketAddress::parse(path), Err(NoAddress::Room), "{path}");
        }
        let long = format!("/yjs/demo/{}", "a".repeat(limits::KEY_BYTES + 1));
        for path in ["/yjs", "/yjs/demo", "/yjs/demo/", "/yjs/demo/%FF", "/yjs/demo/caf%E9.md", &long] {
            assert_eq!(SocketAddress::parse(path), Err(NoAddress::Document), "{path}");
        }
        for path in ["", "/", "/room/demo", "/roomsdemo", "/%72ooms/demo"] {
            assert_eq!(SocketAddress::parse(path), Err(NoAddress::Socket), "{path}");
        }
    }
}
