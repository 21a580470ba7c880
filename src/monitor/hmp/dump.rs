//! Memory dumps (`x`, `xp`).

use std::io::Write as _;

use super::format::{format_char, Format, FormatArg};

/// How a dump is written, which differs between QEMUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpStyle {
    /// The least digits of an address.
    pub address_digits: usize,
    /// Whether the 0 in front of an octal number stands before the blanks.
    pub early_octal_zero: bool,
}

/// Prints a memory dump line by line (QEMU's `memory_dump`).
///
/// `read` fills its buffer from an address or returns false; the dump then
/// ends with `Cannot access memory`. `print` gets one finished line with its
/// newline at a time, so a dump of gigabytes needs no memory. The number of
/// bytes is count times size in 32 bits, as in QEMU: a negative product prints
/// nothing. With [`Format::Char`] every byte is an item, whatever the size.
/// [`Format::Instruction`] needs a disassembler and is the caller's; here
/// items are then shown as decimals.
pub fn memory_dump(
    start: u64,
    arg: FormatArg,
    style: DumpStyle,
    read: &mut dyn FnMut(u64, &mut [u8]) -> bool,
    print: &mut dyn FnMut(&[u8]),
) {
    let size = arg.size.unwrap_or(1);
    let line_size = if size == 1 { 8 } else { 16 };
    let item_size = if arg.format == Format::Char { 1 } else { size };
    let total = arg.count.wrapping_mul(size as i32);
    let mut left = usize::try_from(total).unwrap_or(0);
    let mut addr = start;
    let mut buffer = [0; 16];
    while left > 0 {
        let len = left.min(line_size);
        let bytes = &mut buffer[..len];
        // Writing to a Vec cannot fail.
        let mut line = Vec::with_capacity(96);
        let _ = write!(line, "{addr:0width$x}:", width = style.address_digits);
        if !read(addr, bytes) {
            line.extend_from_slice(b" Cannot access memory\n");
            print(&line);
            return;
        }
        for item in bytes.chunks(item_size) {
            line.push(b' ');
            line.extend_from_slice(format_item(arg.format, item, style).as_bytes());
        }
        line.push(b'\n');
        print(&line);
        addr = addr.wrapping_add(len as u64);
        left -= len;
    }
}

/// One little-endian item of 1, 2, 4 or 8 bytes. Only the largest is ever shown
/// negative.
fn format_item(format: Format, item: &[u8], style: DumpStyle) -> String {
    let mut bytes = [0; 8];
    bytes[..item.len()].copy_from_slice(item);
    let value = u64::from_le_bytes(bytes);
    // Widths of the largest number of so many bytes.
    let (octal, decimal) = match item.len() {
        1 => (3, 3),
        2 => (6, 5),
        4 => (11, 10),
        _ => (22, 20),
    };
    match format {
        Format::Hex => format!("0x{value:0width$x}", width = item.len() * 2),
        Format::Octal if style.early_octal_zero => format!("0{value:octal$o}"),
        Format::Octal if value == 0 => format!("{:>octal$}", "0"),
        Format::Octal => format!("{:>octal$}", format!("0{value:o}")),
        Format::Unsigned => format!("{value:decimal$}"),
        Format::Decimal | Format::Instruction => format!("{:decimal$}", value as i64),
        Format::Char => format_char(i32::from(item[0])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAM: &[u8] =
        b"\x11\"3DUfw\x88\x00\x01\x7f\x80\xff\xfe'\\Hello, world\n\r\t\x00zz\x00\x00";

    /// As QEMU 10.0 writes.
    const STYLE: DumpStyle = DumpStyle {
        address_digits: 16,
        early_octal_zero: false,
    };

    /// Dumps RAM that lies at 0x1000.
    fn dump(count: i32, format: Format, size: usize, addr: u64) -> String {
        dump_in(STYLE, count, format, size, addr)
    }

    fn dump_in(style: DumpStyle, count: i32, format: Format, size: usize, addr: u64) -> String {
        let mut text = Vec::new();
        let arg = FormatArg {
            count,
            format,
            size: Some(size),
        };
        memory_dump(
            addr,
            arg,
            style,
            &mut |addr, buffer| {
                let Some(start) = addr.checked_sub(0x1000) else {
                    return false;
                };
                let bytes = usize::try_from(start)
                    .ok()
                    .and_then(|start| RAM.get(start..start.checked_add(buffer.len())?));
                if let Some(bytes) = bytes {
                    buffer.copy_from_slice(bytes);
                }
                bytes.is_some()
            },
            &mut |line| text.extend_from_slice(line),
        );
        String::from_utf8(text).expect("ASCII")
    }

    #[test]
    fn dumps() {
        use Format::*;
        for (count, format, size, addr, text) in [
            (
                20,
                Hex,
                1,
                0x1000,
                "\
0000000000001000: 0x11 0x22 0x33 0x44 0x55 0x66 0x77 0x88
0000000000001008: 0x00 0x01 0x7f 0x80 0xff 0xfe 0x27 0x5c
0000000000001010: 0x48 0x65 0x6c 0x6c
",
            ),
            (
                5,
                Hex,
                2,
                0x1000,
                "0000000000001000: 0x2211 0x4433 0x6655 0x8877 0x0100\n",
            ),
            (
                5,
                Hex,
                4,
                0x1000,
                "\
0000000000001000: 0x44332211 0x88776655 0x807f0100 0x5c27feff
0000000000001010: 0x6c6c6548
",
            ),
            (1, Hex, 8, 0x1000, "0000000000001000: 0x8877665544332211\n"),
            (
                10,
                Decimal,
                1,
                0x1000,
                "\
0000000000001000:  17  34  51  68  85 102 119 136
0000000000001008:   0   1
",
            ),
            (
                3,
                Decimal,
                2,
                0x1008,
                "0000000000001008:   256 32895 65279\n",
            ),
            (
                2,
                Unsigned,
                4,
                0x1008,
                "0000000000001008: 2155806976 1546125055\n",
            ),
            (
                1,
                Decimal,
                8,
                0x1008,
                "0000000000001008:  6640556548907008256\n",
            ),
            (
                1,
                Decimal,
                8,
                0x1000,
                "0000000000001000: -8613303245920329199\n",
            ),
            (3, Octal, 1, 0x1008, "0000000000001008:   0  01 0177\n"),
            (2, Octal, 2, 0x1008, "0000000000001008:   0400 0100177\n"),
            (
                2,
                Octal,
                4,
                0x1008,
                "0000000000001008: 020037600400 013411777377\n",
            ),
            (
                1,
                Octal,
                8,
                0x1008,
                "0000000000001008: 0560477757760037600400\n",
            ),
            (
                3,
                Char,
                4,
                0x1010,
                "0000000000001010: 'H' 'e' 'l' 'l' 'o' ',' ' ' 'w' 'o' 'r' 'l' 'd'\n",
            ),
            (
                8,
                Char,
                1,
                0x1008,
                "0000000000001008: '\\x00' '\\x01' '\\x7f' '\\x80' '\\xff' '\\xfe' '\\'' '\\\\'\n",
            ),
            (0, Hex, 1, 0x1000, ""),
            (i32::MIN, Hex, 1, 0x1000, ""),
            (536_870_912, Hex, 4, 0x1000, ""),
            (
                1_073_741_825,
                Hex,
                4,
                0x1000,
                "0000000000001000: 0x44332211\n",
            ),
            (4, Hex, 1, 0, "0000000000000000: Cannot access memory\n"),
            (
                4,
                Hex,
                4,
                0x101e,
                "000000000000101e: Cannot access memory\n",
            ),
            (
                4,
                Hex,
                1,
                u64::MAX,
                "ffffffffffffffff: Cannot access memory\n",
            ),
            (
                20,
                Hex,
                1,
                0x1018,
                "\
0000000000001018: 0x6f 0x72 0x6c 0x64 0x0a 0x0d 0x09 0x00
0000000000001020: Cannot access memory
",
            ),
        ] {
            assert_eq!(dump(count, format, size, addr), text);
        }
    }

    #[test]
    fn short_addresses_and_early_zeros() {
        let style = DumpStyle {
            address_digits: 8,
            early_octal_zero: true,
        };
        for (count, format, size, addr, text) in [
            (1, Format::Hex, 1, 0x1000, "00001000: 0x11\n"),
            (
                1,
                Format::Hex,
                1,
                0xff_ffff_ffff,
                "ffffffffff: Cannot access memory\n",
            ),
            (
                4,
                Format::Octal,
                1,
                0x1008,
                "00001008: 0  0 0  1 0177 0200\n",
            ),
            (2, Format::Octal, 2, 0x1008, "00001008: 0   400 0100177\n"),
            (1, Format::Octal, 4, 0x1008, "00001008: 020037600400\n"),
            (
                1,
                Format::Octal,
                8,
                0x1008,
                "00001008: 0 560477757760037600400\n",
            ),
        ] {
            assert_eq!(dump_in(style, count, format, size, addr), text);
        }
    }

    #[test]
    fn an_address_wraps() {
        let mut lines = Vec::new();
        let arg = FormatArg {
            count: 16,
            format: Format::Hex,
            size: Some(1),
        };
        memory_dump(u64::MAX - 7, arg, STYLE, &mut |_, _| true, &mut |line| {
            lines.push(line[..16].to_vec());
        });
        assert_eq!(lines, [b"fffffffffffffff8", b"0000000000000000"]);
    }
}
