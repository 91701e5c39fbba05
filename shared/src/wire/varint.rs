//! The numbers, buffers and texts of lib0's encoding, version 1: little-endian base 128 with length prefixes.
//!
//! Reading allocates nothing, never overflows (32-bit targets included) and accepts only the shortest
//! spelling of a number, so whatever was read is written back byte for byte.

use bytes::Bytes;

/// Why bytes cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes end too early.
    #[error("the bytes end too early")]
    End,
    /// A number above its limit, or not in its shortest spelling.
    #[error("a number is too large or not in its shortest spelling")]
    Number,
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

/// Reads from the front of a slice and remembers how far it is.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Starts at a byte that an earlier [`Self::position`] named; beyond the end there is nothing to read.
    pub fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position: position.min(bytes.len()) }
    }

    /// Takes one byte.
    pub fn u8(&mut self) -> Result<u8, ReadError> {
        let byte = *self.bytes.get(self.position).ok_or(ReadError::End)?;
        self.position += 1;
        Ok(byte)
    }

    /// Takes a number that may be at most `max`.
    pub fn var(&mut self, max: u64) -> Result<u64, ReadError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let digit = u64::from(byte & 0x7f);
            if digit > u64::MAX >> shift {
                return Err(ReadError::Number);
            }
            number |= digit << shift;
            if byte < 0x80 {
                let shortest = byte != 0 || shift == 0;
                return if shortest && number <= max { Ok(number) } else { Err(ReadError::Number) };
            }
        }
        Err(ReadError::Number)
    }

    /// Takes a length and that many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], ReadError> {
        let length = usize::try_from(self.var(u64::MAX)?).map_err(|_| ReadError::End)?;
        let bytes = self.rest().get(..length).ok_or(ReadError::End)?;
        self.position += length;
        Ok(bytes)
    }

    /// Takes a length and that many bytes of UTF-8.
    pub fn text(&mut self) -> Result<&'a str, ReadError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ReadError::Text)
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The bytes that are left, without taking them.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// How many bytes were taken.
    pub fn position(&self) -> usize {
        self.position
    }
}

/// Collects a frame.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Adds one byte.
    pub fn u8(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Adds a number.
    pub fn var(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Adds a length and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.var(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Adds a length and the text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds the bytes alone.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// What was collected.
    pub fn finish(self) -> Bytes {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_have_one_spelling() {
        for number in
            [0, 1, 127, 128, 200, 16_383, 16_384, u64::from(u32::MAX), (1 << 53) - 1, 1 << 63, u64::MAX]
        {
            let mut writer = Writer::default();
            writer.var(number);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.var(u64::MAX), Ok(number));
            assert_eq!(reader.left(), 0);
            if number > 0 {
                assert_eq!(Reader::new(&bytes).var(number - 1), Err(ReadError::Number));
            }
        }
        assert_eq!(Reader::new(&[0x80, 0x00]).var(u64::MAX), Err(ReadError::Number), "a padded zero");
        assert_eq!(Reader::new(&[0xff; 9]).var(u64::MAX), Err(ReadError::End));
        assert_eq!(Reader::new(&[0xff; 10]).var(u64::MAX), Err(ReadError::Number));
        assert_eq!(Reader::new(&[0xff; 400]).var(u64::MAX), Err(ReadError::Number));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_whatever_its_size() {
        for length in [4, u64::from(u32::MAX), u64::MAX] {
            let mut writer = Writer::default();
            writer.var(length);
            writer.raw(b"abc");
            assert_eq!(Reader::new(&writer.finish()).bytes(), Err(ReadError::End));
        }
        assert_eq!(Reader::new(&[2, 0xc3, 0x28]).text(), Err(ReadError::Text));
        assert_eq!(Reader::new(&[2, 0xc3, 0xa9]).text(), Ok("é"));
    }
}
