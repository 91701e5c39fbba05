//! The WebSocket subprotocols that a client offers, the same at the edge and at an origin: `edgeroom.v1`, and its token
//! as `bearer.TOKEN`.

/// The subprotocol that is echoed.
pub const NAME: &str = "edgeroom.v1";

/// [`NAME`], if one of these values of `Sec-WebSocket-Protocol` offers it.
pub fn echoed<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    offered(values).any(|protocol| protocol == NAME).then_some(NAME)
}

/// The token among the offered subprotocols.
pub fn token<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    offered(values).find_map(|protocol| protocol.strip_prefix("bearer."))
}

fn offered<'a>(values: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    values.into_iter().flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_beside_the_subprotocol() {
        assert_eq!(token(["edgeroom.v1, bearer.a.b.c"]), Some("a.b.c"));
        assert_eq!(token(["edgeroom.v1", "bearer.x"]), Some("x"));
        assert_eq!((token(["edgeroom.v1"]), token([])), (None, None));
        assert_eq!(echoed(["bearer.x,edgeroom.v1"]), Some(NAME));
        assert_eq!((echoed(["edgeroom.v10"]), echoed([])), (None, None));
    }
}
