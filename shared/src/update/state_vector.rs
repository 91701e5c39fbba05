//! How much of each author's text is there.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{GateError, read::CLIENT_MAX};
use crate::wire::varint::{Reader, Writer};

/// For each client the clock up to which everything is there; 0 for a client that is not named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateVector(BTreeMap<u64, u32>);

impl StateVector {
    /// The clock of a client.
    pub fn get(&self, client: u64) -> u32 {
        self.0.get(&client).copied().unwrap_or(0)
    }

    /// Moves a client's clock forward; never back.
    pub fn advance(&mut self, client: u64, clock: u32) {
        if clock > self.get(client) {
            self.0.insert(client, clock);
        }
    }

    /// Puts a client's clock where it is said to be; 0 takes it out.
    pub(super) fn set(&mut self, client: u64, clock: u32) {
        if clock == 0 {
            self.0.remove(&client);
        } else {
            self.0.insert(client, clock);
        }
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads what Yjs writes. Nothing may trail.
    pub fn read(bytes: &[u8]) -> Result<Self, GateError> {
        let mut reader = Reader::new(bytes);
        let mut clocks = Self::default();
        for _ in 0..reader.var(u64::MAX)? {
            let client = reader.var(CLIENT_MAX)?;
            let clock = reader.var(u32::MAX.into())? as u32;
            clocks.advance(client, clock);
        }
        if reader.left() > 0 { Err(GateError::Trailing) } else { Ok(clocks) }
    }

    /// Writes what Yjs writes: clients descending.
    pub fn write(&self) -> Bytes {
        let mut writer = Writer::with_capacity(1 + self.0.len() * 8);
        writer.var(self.0.len() as u64);
        for (client, clock) in self.0.iter().rev() {
            writer.var(*client);
            writer.var((*clock).into());
        }
        writer.finish()
    }

    /// Whether everything that `other` has is here.
    pub fn contains(&self, other: &Self) -> bool {
        other.iter().all(|(client, clock)| clock <= self.get(client))
    }

    /// Clients and clocks, clients ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.0.iter().map(|(client, clock)| (*client, *clock))
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_vector_comes_back_in_the_order_of_yjs() {
        let bytes = [2, 9, 2, 1, 1];
        let read = StateVector::read(&bytes).unwrap();
        assert_eq!((read.get(9), read.get(1), read.get(2)), (2, 1, 0));
        assert_eq!(&read.write()[..], bytes);
    }

    #[test]
    fn a_state_vector_that_lies_about_its_length_is_refused() {
        assert_eq!(StateVector::read(&[]), Err(GateError::End));
        assert_eq!(StateVector::read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(GateError::End));
        assert_eq!(StateVector::read(&[0, 0]), Err(GateError::Trailing));
    }

    #[test]
    fn more_contains_less() {
        let more = StateVector::read(&[2, 9, 2, 1, 1]).unwrap();
        let less = StateVector::read(&[1, 9, 1]).unwrap();
        assert!(more.contains(&less) && !less.contains(&more));
    }
}
