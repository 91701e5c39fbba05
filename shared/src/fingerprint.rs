//! A number for bytes that is the same wherever it is made: FNV-1a against accidents, an HMAC against malice.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The 64-bit FNV-1a hash of these bytes.
pub fn fingerprint(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The first 64 bits of the HMAC-SHA256 of these parts, which nobody can guess without the secret.
pub fn secret_fingerprint(secret: &str, parts: &[&[u8]]) -> u64 {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return 0 };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    let code = mac.finalize().into_bytes();
    code.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_decides_and_parts_do_not_run_into_each_other() {
        let of = |secret: &str, parts: &[&[u8]]| secret_fingerprint(secret, parts);
        assert_eq!(of("a", &[b"hub", b"1"]), of("a", &[b"hub", b"1"]));
        assert_ne!(of("a", &[b"hub", b"1"]), of("b", &[b"hub", b"1"]));
        assert_ne!(of("a", &[b"hub", b"1"]), of("a", &[b"hu", b"b1"]));
    }

    #[test]
    fn it_is_the_published_function() {
        assert_eq!(fingerprint(*b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fingerprint(*b"foobar"), 0x8594_4171_f739_67e8);
    }
}
