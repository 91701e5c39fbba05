//! Which resource a path names. Pure: a path goes in, a route or the reason why there is none comes out.

use percent_encoding::percent_decode_str;
use shared::{id::RoomId, limits};

use crate::region::Region;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/healthz`.
    Health,
    /// `/rooms/{room}`: a session in the Hocuspocus envelope.
    Room {
        /// The room.
        room: RoomId,
    },
    /// `/yjs/{room}/{path or file id}`: a y-websocket session for one file.
    File {
        /// The room.
        room: RoomId,
        /// A file path or file id.
        document: String,
    },
    /// `/internal/rooms/{room}/{region}...`: for origins only.
    Internal {
        /// The room.
        room: RoomId,
        /// The region of its hub.
        region: Region,
        /// What is asked of the hub.
        ask: Ask,
    },
    /// `/api/...`: the origin's.
    Api,
    /// Anything else: the page.
    Page,
}

/// What an origin may ask of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The link.
    Link,
    /// How the hub stands.
    Stats,
    /// A panic, to see what it destroys.
    #[cfg(feature = "fault-injection")]
    Panic,
}

/// Why a path names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoute {
    /// Not a room id.
    #[error(
        "no such room: a room id is 1 to 128 characters of A-Z a-z 0-9 . _ -, the first a letter or digit"
    )]
    Room,
    /// Not a document name.
    #[error("no such file: after the room comes a file path or file id in UTF-8")]
    Document,
    /// Not under `/internal`.
    #[error("no such hub: internal paths are /internal/rooms/{{room}}/{{region}}")]
    Hub,
}

impl Route {
    /// Reads the path of a URL, still percent-encoded.
    pub(crate) fn parse(path: &str) -> Result<Self, NoRoute> {
        let (first, rest) =
            path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
        match first {
            "healthz" if rest.is_empty() => Ok(Self::Health),
            "rooms" => Ok(Self::Room { room: room(rest)? }),
            "yjs" => {
                let (name, document) = rest.split_once('/').ok_or(NoRoute::Document)?;
                Ok(Self::File { room: room(name)?, document: document_name(document)? })
            }
            "internal" => internal(rest),
            "api" => Ok(Self::Api),
            _ => Ok(Self::Page),
        }
    }
}

fn room(text: &str) -> Result<RoomId, NoRoute> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| NoRoute::Room)?;
    RoomId::parse(&text).map_err(|_| NoRoute::Room)
}

fn document_name(text: &str) -> Result<String, NoRoute> {
    let name = percent_decode_str(text).decode_utf8().map_err(|_| NoRoute::Document)?;
    if name.is_empty() || name.len() > limits::KEY_BYTES {
        return Err(NoRoute::Document);
    }
    Ok(name.into_owned())
}

fn internal(rest: &str) -> Result<Route, NoRoute> {
    let mut segments = rest.split('/');
    let (Some("rooms"), Some(name), Some(region)) = (segments.next(), segments.next(), segments.next())
    else {
        return Err(NoRoute::Hub);
    };
    let ask = match (segments.next(), segments.next()) {
        (None, None) => Ask::Link,
        (Some("stats"), None) => Ask::Stats,
        #[cfg(feature = "fault-injection")]
        (Some("panic"), None) => Ask::Panic,
        _ => return Err(NoRoute::Hub),
    };
    let region = Region::parse(region).ok_or(NoRoute::Hub)?;
    Ok(Route::Internal { room: room(name)?, region, ask })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RoomId {
        RoomId::parse(text).unwrap()
    }

    #[test]
    fn a_path_names_its_resource() {
        assert_eq!(Route::parse("/healthz"), Ok(Route::Health));
        assert_eq!(Route::parse("/rooms/demo"), Ok(Route::Room { room: id("demo") }));
        assert_eq!(Route::parse("/api/v1/shards"), Ok(Route::Api));
        for page in ["/", "", "/index.html", "/assets/rooms/x", "/healthz/x"] {
            assert_eq!(Route::parse(page), Ok(Route::Page), "{page}");
        }
    }

    #[test]
    fn a_file_path_is_decoded_once_and_keeps_its_slashes() {
        let route = |document: &str| Ok(Route::File { room: id("demo"), document: document.to_owned() });
        assert_eq!(Route::parse("/yjs/demo/src/main.js"), route("src/main.js"));
        assert_eq!(Route::parse("/yjs/demo/src%2Fmain%20file.js"), route("src/main file.js"));
        assert_eq!(Route::parse("/yjs/demo/100%2525"), route("100%25"));
    }

    #[test]
    fn a_bad_name_is_refused_before_an_object_is_touched() {
        for bad in ["/rooms/", "/rooms", "/rooms/a~b", "/rooms/demo/x", "/rooms/-x"] {
            assert_eq!(Route::parse(bad), Err(NoRoute::Room), "{bad}");
        }
        for bad in ["/yjs/demo", "/yjs/demo/", "/yjs/demo/%FF"] {
            assert_eq!(Route::parse(bad), Err(NoRoute::Document), "{bad}");
        }
        for bad in
            ["/internal", "/internal/rooms/demo", "/internal/rooms/demo/moon", "/internal/rooms/demo/weur/x"]
        {
            assert_eq!(Route::parse(bad), Err(NoRoute::Hub), "{bad}");
        }
    }

    #[test]
    fn an_origin_asks_for_the_link_or_for_the_stats() {
        let region = Region::parse("weur").unwrap();
        for (path, ask) in [("", Ask::Link), ("/stats", Ask::Stats)] {
            let route = Route::parse(&format!("/internal/rooms/demo/weur{path}"));
            assert_eq!(route, Ok(Route::Internal { room: id("demo"), region, ask }));
        }
    }
}
