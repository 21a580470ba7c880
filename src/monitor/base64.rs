//! Base64 as `ringbuf-write` takes it and `ringbuf-read` gives it (RFC 4648,
//! section 4), with GLib's leniency: newlines are passed over, and an
//! incomplete last group is dropped without a word.

use crate::qapi::Error;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes, with padding and without newlines.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut bits = 0u32;
        for i in 0..3 {
            bits = bits << 8 | u32::from(group.get(i).copied().unwrap_or(0));
        }
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) & 63;
            text.push(match i <= group.len() {
                true => char::from(ALPHABET[sextet as usize]),
                false => '=',
            });
        }
    }
    text
}

/// Decodes text.
///
/// # Errors
///
/// `Base64 data contains invalid characters`.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let invalid = || Error::new("Base64 data contains invalid characters");
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut sextets, mut padding) = (0u32, 0, 0);
    for b in text.bytes() {
        let value = match b {
            b'\n' | b'\r' => continue,
            b'=' => {
                padding += 1;
                0
            }
            b => ALPHABET.iter().position(|a| *a == b).ok_or_else(invalid)? as u32,
        };
        bits = bits << 6 | value;
        sextets += 1;
        if sextets == 4 {
            let group = bits.to_be_bytes();
            bytes.extend_from_slice(&group[1..4 - padding.min(2)]);
            (bits, sextets, padding) = (0, 0, 0);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn newlines_are_passed_over_and_an_incomplete_group_is_dropped() {
        assert_eq!(decode("Zm9v\nYmFy").unwrap(), b"foobar");
        assert_eq!(decode("Zm9vYm").unwrap(), b"foo");
        let e = decode("Zm9v*").unwrap_err();
        assert_eq!(e.desc(), "Base64 data contains invalid characters");
    }
}
