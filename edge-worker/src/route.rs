//! Which resource a path names. Pure: a path goes in, a route or the reason why there is none comes out.

use shared::{
    address::{NoAddress, SocketAddress},
    id::RoomId,
};

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
    /// Not a socket's.
    #[error(transparent)]
    Socket(#[from] NoAddress),
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
            "rooms" | "yjs" => Ok(match SocketAddress::parse(path)? {
                SocketAddress::Room(room) => Self::Room { room },
                SocketAddress::File(room, document) => Self::File { room, document },
            }),
            "internal" => internal(rest),
            "api" => Ok(Self::Api),
            _ => Ok(Self::Page),
        }
    }
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
    let room = RoomId::parse(name).map_err(|_| NoRoute::Hub)?;
    Ok(Route::Internal { room, region, ask })
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
        let document = "src/main.js".to_owned();
        assert_eq!(Route::parse("/yjs/demo/src%2Fmain.js"), Ok(Route::File { room: id("demo"), document }));
        assert_eq!(Route::parse("/api/v1/shards"), Ok(Route::Api));
        for page in ["/", "", "/index.html", "/assets/rooms/x", "/healthz/x"] {
            assert_eq!(Route::parse(page), Ok(Route::Page), "{page}");
        }
    }

    #[test]
    fn a_bad_name_is_refused_before_an_object_is_asked() {
        for bad in ["/rooms/", "/rooms", "/rooms/a~b", "/rooms/demo/x", "/rooms/-x"] {
            assert_eq!(Route::parse(bad), Err(NoRoute::Socket(NoAddress::Room)), "{bad}");
        }
        for bad in ["/yjs/demo", "/yjs/demo/", "/yjs/demo/%FF"] {
            assert_eq!(Route::parse(bad), Err(NoRoute::Socket(NoAddress::Document)), "{bad}");
        }
        for bad in [
            "/internal",
            "/internal/rooms/demo",
            "/internal/rooms/demo/moon",
            "/internal/rooms/demo/weur/x",
            "/internal/rooms/-/weur",
        ] {
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
