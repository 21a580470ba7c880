//! `/fmt` and its effect on numbers: the remembered format, the value that
//! `print` shows, and the line of an I/O port.

use std::io::Write as _;

use super::cursor::{is_blank, Cursor};

/// How a number is shown; the letters of `/fmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `x`
    Hex,
    /// `d`
    Decimal,
    /// `u`
    Unsigned,
    /// `o`
    Octal,
    /// `c`
    Char,
    /// `i`: instructions. What cannot be disassembled is shown as with `d`.
    Instruction,
}

/// The format and the item size in bytes that a command without `/fmt` uses.
///
/// There is one for all monitors and all commands: `xp/2xh 0` changes what
/// the next `print` or `i` does, on any monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatState {
    /// The format last given.
    pub format: Format,
    /// The item size last given: 1, 2, 4 or 8.
    pub size: usize,
}

impl Default for FormatState {
    /// Hexadecimal words of four bytes.
    fn default() -> Self {
        Self {
            format: Format::Hex,
            size: 4,
        }
    }
}

/// A `/fmt` argument with everything that was left out filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatArg {
    /// Number of items. 32 bits, wrapped; a negative one means none.
    pub count: i32,
    /// How to show them.
    pub format: Format,
    /// Size of an item in bytes; `None` with [`Format::Instruction`] unless given.
    pub size: Option<usize>,
}

impl FormatArg {
    /// Reads `/fmt` if it is there, and remembers it, even if the command fails later
    /// on. The error is printed without a newline.
    pub(super) fn parse(cursor: &mut Cursor<'_>, state: &mut FormatState) -> Result<Self, Vec<u8>> {
        cursor.skip_blanks();
        let (mut count, mut format, mut size) = (1, None, None);
        if cursor.peek() == Some(b'/') {
            cursor.advance(1);
            let digits = cursor.take_while(|byte| byte.is_ascii_digit());
            if !digits.is_empty() {
                count = digits.iter().fold(0i32, |count, byte| {
                    count.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'))
                });
            }
            loop {
                match cursor.peek() {
                    Some(b'x') => format = Some(Format::Hex),
                    Some(b'd') => format = Some(Format::Decimal),
                    Some(b'u') => format = Some(Format::Unsigned),
                    Some(b'o') => format = Some(Format::Octal),
                    Some(b'c') => format = Some(Format::Char),
                    Some(b'i') => format = Some(Format::Instruction),
                    Some(b'b') => size = Some(1),
                    Some(b'h') => size = Some(2),
                    Some(b'w') => size = Some(4),
                    Some(b'g' | b'L') => size = Some(8),
                    Some(byte) if !is_blank(byte) => {
                        let mut text = b"invalid char in format: '".to_vec();
                        text.push(byte);
                        text.push(b'\'');
                        return Err(text);
                    }
                    _ => break,
                }
                cursor.advance(1);
            }
        }
        state.format = format.unwrap_or(state.format);
        if state.format != Format::Instruction {
            state.size = size.unwrap_or(state.size);
            size = Some(state.size);
        }
        Ok(Self {
            count,
            format: state.format,
            size,
        })
    }
}

/// The value as `print` shows it, without a newline.
pub fn format_value(format: Format, value: i64) -> String {
    match format {
        Format::Hex if value == 0 => "0".to_string(),
        Format::Hex => format!("{value:#x}"),
        Format::Octal if value == 0 => "0".to_string(),
        Format::Octal => format!("0{value:o}"),
        Format::Unsigned => (value as u64).to_string(),
        Format::Decimal | Format::Instruction => value.to_string(),
        Format::Char => format_char(value as i32),
    }
}

/// A character constant (QEMU's `monitor_printc`).
pub fn format_char(value: i32) -> String {
    match value {
        0x27 => r"'\''".to_string(),
        0x5c => r"'\\'".to_string(),
        0x0a => r"'\n'".to_string(),
        0x0d => r"'\r'".to_string(),
        32..=126 => format!("'{}'", char::from(value as u8)),
        _ => format!(r"'\x{value:02x}'"),
    }
}

/// The line of command `i`, newline included. `addr` is the port wrapped at 64K;
/// the letter after `port` names 2 and 4 byte accesses, anything else is `b`.
pub fn format_ioport(size: usize, addr: u16, value: u32) -> Vec<u8> {
    let letter = match size {
        2 => 'w',
        4 => 'l',
        _ => 'b',
    };
    let mut line = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = writeln!(
        line,
        "port{letter}[0x{addr:04x}] = 0x{value:0width$x}",
        width = size * 2
    );
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, state: &mut FormatState) -> Result<(i32, Format, Option<usize>), String> {
        FormatArg::parse(&mut Cursor::new(text.as_bytes()), state)
            .map(|arg| (arg.count, arg.format, arg.size))
            .map_err(|text| String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn formats() {
        use Format::*;
        for (text, arg) in [
            ("", (1, Hex, Some(4))),
            ("10", (1, Hex, Some(4))),
            ("/", (1, Hex, Some(4))),
            ("/x 10", (1, Hex, Some(4))),
            (" /d", (1, Decimal, Some(4))),
            ("/4xb 0", (4, Hex, Some(1))),
            ("/bx", (1, Hex, Some(1))),
            ("/xdoc", (1, Char, Some(4))),
            ("/L", (1, Hex, Some(8))),
            ("/0x", (0, Hex, Some(4))),
            ("/3i", (3, Instruction, None)),
            ("/iw", (1, Instruction, Some(4))),
            ("/4294967297u", (1, Unsigned, Some(4))),
            ("/2147483648o", (i32::MIN, Octal, Some(4))),
        ] {
            assert_eq!(parse(text, &mut FormatState::default()), Ok(arg), "{text}");
        }
    }

    #[test]
    fn bad_formats_change_nothing() {
        for (text, letter) in [
            ("/z", 'z'),
            ("/dz", 'z'),
            ("/x10 5", '1'),
            ("/x/", '/'),
            ("/-1x", '-'),
            ("/3o8", '8'),
        ] {
            let mut state = FormatState::default();
            assert_eq!(
                parse(text, &mut state),
                Err(format!("invalid char in format: '{letter}'"))
            );
            assert_eq!(state, FormatState::default());
        }
    }

    #[test]
    fn format_and_size_are_remembered_apart() {
        let mut state = FormatState::default();
        for (text, format, size) in [
            ("/oh", Format::Octal, Some(2)),
            ("", Format::Octal, Some(2)),
            ("/d", Format::Decimal, Some(2)),
            ("/b", Format::Decimal, Some(1)),
            ("/iw", Format::Instruction, Some(4)),
            ("", Format::Instruction, None),
            ("/x", Format::Hex, Some(1)),
        ] {
            assert_eq!(parse(text, &mut state), Ok((1, format, size)), "{text}");
        }
    }

    #[test]
    fn values() {
        use Format::*;
        for (format, value, text) in [
            (Hex, 65, "0x41"),
            (Hex, 0, "0"),
            (Hex, -1, "0xffffffffffffffff"),
            (Decimal, -1, "-1"),
            (Instruction, -1, "-1"),
            (Unsigned, -1, "18446744073709551615"),
            (Octal, 65, "0101"),
            (Octal, 0, "0"),
            (Char, 65, "'A'"),
            (Char, 0, r"'\x00'"),
            (Char, 10, r"'\n'"),
            (Char, 13, r"'\r'"),
            (Char, 9, r"'\x09'"),
            (Char, 39, r"'\''"),
            (Char, 92, r"'\\'"),
            (Char, 34, "'\"'"),
            (Char, 127, r"'\x7f'"),
            (Char, 255, r"'\xff'"),
            (Char, 256, r"'\x100'"),
            (Char, -1, r"'\xffffffff'"),
        ] {
            assert_eq!(format_value(format, value), text);
        }
    }

    #[test]
    fn ports() {
        for (size, line) in [
            (1, "portb[0x0080] = 0xff\n"),
            (2, "portw[0x0080] = 0x00ff\n"),
            (4, "portl[0x0080] = 0x000000ff\n"),
            (8, "portb[0x0080] = 0x00000000000000ff\n"),
        ] {
            assert_eq!(format_ioport(size, 0x80, 0xff), line.as_bytes());
        }
    }
}
