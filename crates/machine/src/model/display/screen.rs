//! The picture of an adapter: the text screen of a PC that shows nothing yet but a cursor.

use std::io::{self, Write};

/// A picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Its width.
    pub width: u16,
    /// Its height.
    pub height: u16,
}

/// A character of the text screen, and where its cursor is.
const CHARACTER: (u16, u16) = (9, 16);
const CURSOR: std::ops::Range<u16> = 14..16;
const GREY: [u8; 3] = [0xaa; 3];

impl Screen {
    /// The text screen of 80 columns and 25 lines.
    pub const TEXT: Screen = Screen {
        width: 720,
        height: 400,
    };

    /// The colours of a pixel: red, green, blue.
    pub fn pixel(&self, x: u16, y: u16) -> [u8; 3] {
        if x < CHARACTER.0 && y < CHARACTER.1 && CURSOR.contains(&y) {
            GREY
        } else {
            [0; 3]
        }
    }

    fn rows(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        (0..self.height).map(|y| (0..self.width).flat_map(|x| self.pixel(x, y)).collect())
    }

    /// Writes it as a portable pixmap.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write_ppm(&self, to: &mut impl Write) -> io::Result<()> {
        write!(to, "P6\n{} {}\n255\n", self.width, self.height)?;
        self.rows().try_for_each(|row| to.write_all(&row))
    }

    /// Writes it as a PNG, whose data is not compressed.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write_png(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(b"\x89PNG\r\n\x1a\n")?;
        let mut header = Vec::new();
        header.extend_from_slice(&u32::from(self.width).to_be_bytes());
        header.extend_from_slice(&u32::from(self.height).to_be_bytes());
        // Eight bits for each of three colours, and no other choice.
        header.extend_from_slice(&[8, 2, 0, 0, 0]);
        chunk(to, *b"IHDR", &header)?;
        let mut data = Vec::new();
        for row in self.rows() {
            // The row is as it is.
            data.push(0);
            data.extend_from_slice(&row);
        }
        chunk(to, *b"IDAT", &stored(&data))?;
        chunk(to, *b"IEND", &[])
    }
}

fn chunk(to: &mut impl Write, kind: [u8; 4], data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(&kind)?;
    to.write_all(data)?;
    to.write_all(&crc32(kind.iter().chain(data)).to_be_bytes())
}

/// A zlib stream of blocks that are not compressed.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = data.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        let length = block.len() as u16;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&adler32(data).to_be_bytes());
    out
}

fn adler32(data: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let sums = data.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % MODULUS;
        (a, (b + a) % MODULUS)
    });
    sums.1 << 16 | sums.0
}

fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let crc = bytes.fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            0 => crc >> 1,
            _ => crc >> 1 ^ 0xedb8_8320,
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_their_size_and_sums() {
        let mut ppm = Vec::new();
        Screen::TEXT.write_ppm(&mut ppm).unwrap();
        assert!(ppm.starts_with(b"P6\n720 400\n255\n"));
        assert_eq!(ppm.len(), 15 + 720 * 400 * 3);
        let mut png = Vec::new();
        Screen::TEXT.write_png(&mut png).unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"));
        // The sum of a chunk without data is in every PNG there is.
        assert!(png.ends_with(b"IEND\xae\x42\x60\x82"));
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }
}
