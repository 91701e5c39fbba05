//! What names a text that a client without Yjs has.

use std::fmt;

use serde::{Deserializer, de};

use crate::{id::ChannelId, position::Epoch};

/// Longest position: four numbers and what separates them.
const POSITION_BYTES: usize = 4 * 20 + 3;

/// Names a text that a member has: what the room had logged up to `seq`, and the changes of the channel itself
/// that came after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextPosition {
    /// The life of the room.
    pub epoch: Epoch,
    /// The room's seq.
    pub seq: u64,
    /// Whose it is.
    pub channel: ChannelId,
    /// Another one after each refused change of the channel: what was based on that one is refused too.
    pub round: u64,
}

impl TextPosition {
    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let position =
            Self { epoch: Epoch(next()?), seq: next()?, channel: ChannelId(next()?), round: next()? };
        numbers.next().is_none().then_some(position)
    }
}

impl fmt::Display for TextPosition {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}.{}.{}.{}", self.epoch.0, self.seq, self.channel.0, self.round)
    }
}

/// A position is the server's own word: whatever else stands there names no text. `null` is as good as nothing.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    struct Any;
    impl<'de> de::Visitor<'de> for Any {
        type Value = Option<String>;
        fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("a position")
        }
        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(if text.len() <= POSITION_BYTES { text.to_owned() } else { String::new() }))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Some(String::new()))
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Some(String::new()))
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Some(String::new()))
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Some(String::new()))
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut of: A) -> Result<Self::Value, A::Error> {
            while of.next_element::<de::IgnoredAny>()?.is_some() {}
            Ok(Some(String::new()))
        }
        fn visit_map<A: de::MapAccess<'de>>(self, mut of: A) -> Result<Self::Value, A::Error> {
            while of.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
            Ok(Some(String::new()))
        }
    }
    from.deserialize_any(Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        let position = TextPosition { epoch: Epoch(7), seq: 0, channel: ChannelId(u64::MAX), round: 9 };
        assert_eq!(position.to_string(), "7.0.18446744073709551615.9");
        assert_eq!(TextPosition::parse(&position.to_string()), Some(position));
        for other in ["", "*", "1.2.3", "1.2.3.4.5", "1.2.3.-4", "a.b.c.d"] {
            assert_eq!(TextPosition::parse(other), None, "{other}");
        }
    }
}
