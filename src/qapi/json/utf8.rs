//! Modified UTF-8, the encoding of strings inside QEMU.
//!
//! It differs from UTF-8 in two ways. U+0000 may be written as C0 80, so that
//! a C string can hold it. And the 66 noncharacters (U+FDD0 to U+FDEF and the
//! last two of each plane) are invalid, like surrogates and overlong forms.
//!
//! For display, a bad sequence becomes one U+FFFD. Its first byte determines its
//! length: that byte may announce up to six bytes, and the sequence takes in the
//! continuation bytes that are there, up to that number. So F8 90 80 80 is one
//! sequence, as are ED A0 80 (a surrogate) and E2 82 (cut short), while two stray
//! 80 are two. Rust's `from_utf8_lossy` counts differently.

use std::borrow::Cow;

/// Whether modified UTF-8 may hold this character.
pub fn is_noncharacter(c: char) -> bool {
    let c = u32::from(c);
    (0xfdd0..=0xfdef).contains(&c) || c & 0xfffe == 0xfffe
}

/// Decodes the start of `bytes`: a character, or `None` for a bad sequence, and the
/// length of either (`mod_utf8_codepoint`). The length is 0 only if `bytes` is
/// empty.
pub fn mod_utf8_codepoint(bytes: &[u8]) -> (Option<char>, usize) {
    let Some(&first) = bytes.first() else {
        return (None, 0);
    };
    let (len, bits) = match first {
        0x00..=0x7f => return (Some(first.into()), 1),
        0x80..=0xbf | 0xfe | 0xff => return (None, 1),
        0xc0..=0xdf => (2, first & 0x1f),
        0xe0..=0xef => (3, first & 0x0f),
        0xf0..=0xf7 => (4, first & 0x07),
        0xf8..=0xfb => (5, first & 0x03),
        0xfc..=0xfd => (6, first & 0x01),
    };
    let mut code = u32::from(bits);
    let mut taken = 1;
    for &byte in bytes.iter().take(len).skip(1) {
        if byte & 0xc0 != 0x80 {
            break;
        }
        code = code << 6 | u32::from(byte & 0x3f);
        taken += 1;
    }
    if taken < len {
        return (None, taken);
    }
    let c = char::from_u32(code)
        .filter(|&c| c.len_utf8() == len || (c == '\0' && len == 2))
        .filter(|&c| !is_noncharacter(c));
    (c, len)
}

/// Text for display: bad sequences replaced by U+FFFD, C0 80 read as U+0000.
///
/// ```
/// use qmonitor::qapi::json::mod_utf8_lossy;
///
/// assert_eq!(mod_utf8_lossy(b"caf\xc3\xa9"), "café");
/// assert_eq!(mod_utf8_lossy(b"\xed\xa0\x80\xff"), "\u{fffd}\u{fffd}");
/// ```
pub fn mod_utf8_lossy(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(is_noncharacter) => Cow::Borrowed(text),
        _ => {
            let mut text = String::with_capacity(bytes.len());
            let mut rest = bytes;
            while !rest.is_empty() {
                let (c, len) = mod_utf8_codepoint(rest);
                text.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = &rest[len..];
            }
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_replaced_one_by_one() {
        // The output of qemu-storage-daemon 10.0.2 for a stray token.
        let rows: &[(&[u8], &str)] = &[
            (b"plain", "plain"),
            (b"\xc0\x80", "\0"),
            (b"\xc1\x80", "\u{fffd}"),
            (b"\xc1\xbf", "\u{fffd}"),
            (b"\xe0\x80\xaf", "\u{fffd}"),
            (b"\xe0\x80\x80", "\u{fffd}"),
            (b"\xed\xa0\x80", "\u{fffd}"),
            (b"\xed\xa0\x80\xed\xb0\x80", "\u{fffd}\u{fffd}"),
            (b"\xef\xbf\xbf", "\u{fffd}"),
            (b"\xef\xb7\x90", "\u{fffd}"),
            (b"\xf0\x9f\xbf\xbe", "\u{fffd}"),
            (b"\xf4\x90\x80\x80", "\u{fffd}"),
            (b"\xf5\x90\x80\x80", "\u{fffd}"),
            (b"\xf8\x90\x80\x80\x80", "\u{fffd}"),
            (b"\xf8\x90\x80\x80", "\u{fffd}"),
            (b"\xfc\x84\x80\x80\x80\x80", "\u{fffd}"),
            (b"\x80\x80", "\u{fffd}\u{fffd}"),
            (b"\xe2\x82A", "\u{fffd}A"),
            (b"\xe2\xe2\x82\xac", "\u{fffd}\u{20ac}"),
            (b"\xc3\xc3\xa9", "\u{fffd}\u{e9}"),
            (b"\xfd\xff", "\u{fffd}\u{fffd}"),
        ];
        for (bytes, text) in rows {
            assert_eq!(mod_utf8_lossy(bytes), *text, "{bytes:x?}");
        }
    }

    #[test]
    fn every_character_but_the_noncharacters_decodes_to_itself() {
        let mut buf = [0; 4];
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let bytes = c.encode_utf8(&mut buf).as_bytes();
            let expected = (!is_noncharacter(c)).then_some(c);
            assert_eq!(mod_utf8_codepoint(bytes), (expected, bytes.len()));
        }
    }
}
