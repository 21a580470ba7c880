//! Sizes such as `1.5G`: a decimal number with an optional fraction and one
//! of the units b, k, m, g, t, p, e in either case; MiB without one. A
//! hexadecimal number has neither fraction nor unit.

use super::cursor::Cursor;
use super::expr::whole_number;

/// Reads a size in bytes (QEMU's `qemu_strtosz_MiB`, as used for arguments).
/// `None` when there is no number, it is negative or 2^63 and more, has a
/// fraction of a byte by its notation (`1.5b`), or a hexadecimal number has a
/// fraction or unit. What follows the size is left for the caller.
pub(super) fn size_mib(cursor: &mut Cursor<'_>) -> Option<i64> {
    cursor.skip_blanks();
    if cursor.peek() == Some(b'+') {
        cursor.advance(1);
    }
    if let [b'0', b'x' | b'X', digit, ..] = cursor.rest() {
        if digit.is_ascii_hexdigit() {
            cursor.advance(2);
            let digits = cursor.take_while(|byte| byte.is_ascii_hexdigit());
            return match cursor.peek() {
                Some(b'.') => None,
                Some(byte) if unit(byte).is_some() => None,
                _ => i64::try_from(u128::from(whole_number(digits, 16)?) << 20).ok(),
            };
        }
    }
    let digits = cursor.take_while(|byte| byte.is_ascii_digit());
    let mut fraction: &[u8] = b"";
    if cursor.peek() == Some(b'.') {
        cursor.advance(1);
        fraction = cursor.take_while(|byte| byte.is_ascii_digit());
    }
    if digits.is_empty() && fraction.is_empty() {
        return None;
    }
    let shift = match cursor.peek().and_then(unit) {
        Some(shift) => {
            cursor.advance(1);
            shift
        }
        None => 20,
    };
    let has_fraction = fraction.iter().any(|&byte| byte != b'0');
    if has_fraction && shift == 0 {
        return None;
    }
    let factor = 1u128 << shift;
    let mut size = u128::from(whole_number(digits, 10)?).checked_mul(factor)?;
    if has_fraction {
        let text = format!("0.{}", String::from_utf8_lossy(fraction));
        let part: f64 = text.parse().ok()?;
        // At most 2^60, so the conversion is exact enough and in range.
        size += (part * factor as f64).round() as u128;
    }
    i64::try_from(size).ok()
}

/// Bits a unit shifts by.
fn unit(byte: u8) -> Option<u32> {
    Some(match byte.to_ascii_lowercase() {
        b'b' => 0,
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b't' => 40,
        b'p' => 50,
        b'e' => 60,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(text: &str) -> (Option<i64>, String) {
        let mut cursor = Cursor::new(text.as_bytes());
        let size = size_mib(&mut cursor);
        (size, String::from_utf8_lossy(cursor.rest()).into_owned())
    }

    #[test]
    fn sizes() {
        for (text, size, rest) in [
            ("10", 10 << 20, ""),
            ("1.5", 1_572_864, ""),
            (".5", 524_288, ""),
            ("+.5", 524_288, ""),
            ("1.", 1 << 20, ""),
            ("5.k", 5120, ""),
            ("1.5k", 1536, ""),
            ("1.7490k", 1791, ""),
            ("1.9999999999999999999k", 2048, ""),
            ("1024B", 1024, ""),
            (".0b", 0, ""),
            ("1.0b", 1, ""),
            ("010k", 10 << 10, ""),
            ("0X10", 16 << 20, ""),
            ("  1k x", 1 << 10, " x"),
            ("10 k", 10 << 20, " k"),
            ("1kb", 1 << 10, "b"),
            ("1.5x", 1_572_864, "x"),
            ("1..k", 1 << 20, ".k"),
            ("0x", 0, "x"),
            ("0b1", 0, "1"),
            ("1e3", 1 << 60, "3"),
            ("8796093022207", 8_796_093_022_207 << 20, ""),
        ] {
            assert_eq!(read(text), (Some(size), rest.to_string()), "{text}");
        }
    }

    #[test]
    fn invalid_sizes() {
        for text in [
            "",
            "x",
            "-1",
            "-0",
            "+",
            "+-1",
            "++1",
            ".",
            ".k",
            "k",
            "1.5b",
            "0x10k",
            "0x1.8",
            "8E",
            "16E",
            "8796093022208",
            "99999999999999999999",
            "nan",
            "inf",
            "\"1\"",
        ] {
            assert_eq!(read(text).0, None, "{text}");
        }
    }
}
