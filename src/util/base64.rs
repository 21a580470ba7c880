//! Base64 for `ringbuf-write` and `ringbuf-read` (QEMU's `qbase64` on top of GLib's
//! decoder).
//!
//! The decoder is as lenient as GLib's, and its results are part of the interface:
//! it skips line ends, drops an incomplete last group, and accepts `=` anywhere. In
//! a group of four characters `=` counts as zero bits; in the third or fourth place
//! it also removes the second or third byte.

use crate::qapi::Error;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes, with padding and without line ends.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= group.len() { digit as char } else { '=' });
        }
    }
    text
}

/// Decodes.
///
/// # Errors
///
/// Fails with `Base64 data contains invalid characters` at anything but letters,
/// digits, `+`, `/`, `=` and line ends.
pub fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut group = [0u8; 4];
    let mut len = 0;
    for c in text.bytes().filter(|c| !matches!(c, b'\r' | b'\n')) {
        if value(c).is_none() {
            return Err(Error::new("Base64 data contains invalid characters"));
        }
        group[len] = c;
        len += 1;
        if len == 4 {
            len = 0;
            let bits = group
                .iter()
                .fold(0u32, |bits, c| bits << 6 | value(*c).unwrap_or(0));
            bytes.push((bits >> 16) as u8);
            if group[2] != b'=' {
                bytes.push((bits >> 8) as u8);
            }
            if group[3] != b'=' {
                bytes.push(bits as u8);
            }
        }
    }
    Ok(bytes)
}

fn value(c: u8) -> Option<u32> {
    Some(match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    /// Recorded from QEMU: the text written, and the text read back.
    #[test]
    fn leniency() {
        for (text, read) in [
            ("", ""),
            ("YWJj", "YWJj"),
            ("YQ", ""),
            ("YWJ", ""),
            ("Y", ""),
            ("YQ==YQ==", "YWE="),
            ("YQ\n==", "YQ=="),
            ("YWJj\n", "YWJj"),
            ("=", ""),
            ("====", "AA=="),
            ("Y===", "YA=="),
            ("YQ=a", "YRo="),
            ("YR==", "YQ=="),
            ("YWJj=", "YWJj"),
            ("YWJjY", "YWJj"),
            ("YWJ=j", "YWI="),
            ("=YWJj", "AYWJ"),
            ("YW=Jj", "YQk="),
        ] {
            assert_eq!(encode(&decode(text).unwrap()), read, "{text:?}");
        }
        for text in ["!", "Y Q==", "YQ==!", "é", "YQ-_"] {
            let e = decode(text).unwrap_err();
            assert_eq!(e.desc(), "Base64 data contains invalid characters");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }
    }
}
