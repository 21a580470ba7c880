//! What a string token means: escapes resolved, encoding checked.
//!
//! Errors are QEMU's, the leftmost one first. The error for `\u` quotes the escape
//! as sent: twelve bytes if both halves of a surrogate pair are well formed and
//! together name a noncharacter, else six, or the rest of the token with its
//! closing quote if that is shorter.

use super::scan;
use super::utf8::{is_noncharacter, mod_utf8_codepoint, mod_utf8_lossy};

/// Converts a token, without its opening quote, to a string or an error text.
pub(super) fn unquote(token: &[u8]) -> Result<String, String> {
    if !token.contains(&b'\\') {
        if let Some(text) = token.split_last().and_then(|(_, inner)| decode(inner)) {
            return Ok(text.to_owned());
        }
    }
    resolve(token)
}

/// The same for a token of ASCII without escapes: its memory becomes the string's.
pub(super) fn unquote_plain(mut token: Vec<u8>) -> Result<String, String> {
    token.pop();
    token.shrink_to_fit();
    into_string(token)
}

/// The same, examining each character that is not plain.
pub(super) fn resolve(token: &[u8]) -> Result<String, String> {
    let Some((quote, inner)) = token.split_last() else {
        return Ok(String::new());
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    let end = inner.len();
    while at < end {
        if inner[at] != b'\\' {
            let plain = scan::plain(&inner[at..], *quote);
            out.extend_from_slice(&inner[at..at + plain]);
            at += plain;
            if at == end {
                break;
            }
        }
        let (c, len) = if inner[at] == b'\\' {
            if let Some(byte) = token.get(at + 1).and_then(short_escape) {
                out.push(byte);
                at += 2;
                continue;
            }
            unicode_escape(&token[at..])?
        } else {
            let (c, len) = mod_utf8_codepoint(&inner[at..]);
            (c.ok_or(BAD_UTF8)?, len)
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        at += len;
    }
    into_string(out)
}

/// Bytes without escapes as text; `None` if they are badly encoded, or hold a
/// U+0000 in QEMU's two-byte form.
fn decode(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!has_noncharacter(text)).then_some(text)
}

/// Whether the text holds a character that modified UTF-8 may not hold.
pub(super) fn has_noncharacter(text: &str) -> bool {
    // Every noncharacter starts with a byte of EF or more.
    let suspicious = text.bytes().fold(false, |any, b| any | (b >= 0xef));
    suspicious && text.contains(is_noncharacter)
}

const BAD_UTF8: &str = "invalid UTF-8 sequence in string";

fn into_string(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| BAD_UTF8.to_owned())
}

/// What an escape of two bytes means, by the second of them.
#[inline]
fn short_escape(byte: &u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\'' | b'\\' | b'/' => *byte,
        b'b' => 8,
        b'f' => 0xc,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// Reads the long escape at the start of `bytes`: its character and its length. `bytes`
/// extends to the end of the token.
fn unicode_escape(bytes: &[u8]) -> Result<(char, usize), String> {
    if bytes.get(1) != Some(&b'u') {
        return Err("invalid escape sequence in string".to_owned());
    }
    let low_half = || match hex_escape(bytes.get(6..)?) {
        Some(low @ 0xdc00..=0xdfff) => Some(low - 0xdc00),
        _ => None,
    };
    let (code, len) = match hex_escape(bytes) {
        Some(high @ 0xd800..=0xdbff) => match low_half() {
            Some(low) => (0x1_0000 + ((high - 0xd800) << 10) + low, 12),
            None => (high, 6),
        },
        Some(code) => (code, 6),
        None => (0xd800, 6),
    };
    match char::from_u32(code).filter(|&c| !is_noncharacter(c)) {
        Some(c) => Ok((c, len)),
        None => {
            let sent = mod_utf8_lossy(&bytes[..bytes.len().min(len)]);
            Err(format!("{sent} is not a valid Unicode character"))
        }
    }
}

/// The number of `\uXXXX` at the start of `bytes`.
fn hex_escape(bytes: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = bytes.get(..6)? else {
        return None;
    };
    digits.iter().try_fold(0, |code, &digit| {
        Some(code << 4 | char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_their_strings() {
        // The error texts of qemu-storage-daemon 10.0.2.
        let bad = |sent: &str| Err(format!("{sent} is not a valid Unicode character"));
        let escape = || Err("invalid escape sequence in string".to_owned());
        let utf8 = || Err("invalid UTF-8 sequence in string".to_owned());
        let ok = |s: &str| Ok(s.to_owned());
        let rows: Vec<(&[u8], Result<String, String>)> = vec![
            (br#""""#, ok("")),
            (br#""plain""#, ok("plain")),
            (br#"'it\'s \"it\"'"#, ok("it's \"it\"")),
            (br#""\"\\\/\b\f\n\r\t\'""#, ok("\"\\/\u{8}\u{c}\n\r\t'")),
            (b"\"a\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9ez\"", ok("aé€𝄞z")),
            (b"\"\xc0\x80\"", ok("\0")),
            (br#""\u0000\u00e9\u20AC\ud834\udd1e""#, ok("\0é€𝄞")),
            (br#""\a""#, escape()),
            (br#""\U0041""#, escape()),
            (b"\"\\\x80\"", escape()),
            (b"\"\x80\"", utf8()),
            (b"\"\xc3\"", utf8()),
            (b"\"\xed\xa0\x80\"", utf8()),
            (b"\"\xef\xbf\xbe\"", utf8()),
            (b"\"\xef\xb7\x90\"", utf8()),
            (b"\"\\q\xc3\"", escape()),
            (b"\"\xc3\\q\"", utf8()),
            (br#""\u""#, bad("\\u\"")),
            (br#""\u123""#, bad("\\u123\"")),
            (br#""\uz000x""#, bad("\\uz000")),
            (br#"'\u"abc'"#, bad("\\u\"abc")),
            (br#""\u\"ab""#, bad("\\u\\\"ab")),
            (br#""\u+041""#, bad("\\u+041")),
            (br#""\ud800""#, bad("\\ud800")),
            (br#""\uDC00\ud800""#, bad("\\uDC00")),
            (br#""\ud83d\u0041""#, bad("\\ud83d")),
            (br#""\ud83d\ude0""#, bad("\\ud83d")),
            (br#""\ud83d\uzzzz""#, bad("\\ud83d")),
            (br#""\ufffe""#, bad("\\ufffe")),
            (br#""\uFDD0x""#, bad("\\uFDD0")),
            (br#""x\uD83F\uDFFFx""#, bad("\\uD83F\\uDFFF")),
            (b"\"\\u1\xc3\xa9\xc3\xa9\"", bad("\\u1é\u{fffd}")),
        ];
        for (token, expected) in rows {
            let shown = mod_utf8_lossy(token);
            assert_eq!(unquote(&token[1..]), expected, "{shown}");
            assert_eq!(resolve(&token[1..]), expected, "{shown}");
        }
    }
}
