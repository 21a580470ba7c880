//! The picture of an adapter: the text screen of a PC that shows nothing yet but a cursor.

use std::io::{self, Write};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

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

    /// Writes it as a PNG.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write_png(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(b"\x89PNG\r\n\x1a\n")?;
        let size = [u32::from(self.width), u32::from(self.height)].map(u32::to_be_bytes);
        // Eight bits for each of three colours; not interlaced.
        write_chunk(
            to,
            *b"IHDR",
            &[&size.concat()[..], &[8, 2, 0, 0, 0]].concat(),
        )?;
        let mut data = ZlibEncoder::new(Vec::new(), Compression::default());
        for row in self.rows() {
            // A row may be given as a difference to others; this one is not.
            data.write_all(&[0])?;
            data.write_all(&row)?;
        }
        write_chunk(to, *b"IDAT", &data.finish()?)?;
        write_chunk(to, *b"IEND", &[])
    }
}

/// Writes a part of a PNG: its length, its kind, what it has, and a sum of the last two.
fn write_chunk(to: &mut impl Write, kind: [u8; 4], data: &[u8]) -> io::Result<()> {
    let len = u32::try_from(data.len()).map_err(io::Error::other)?;
    let mut sum = Crc::new();
    sum.update(&kind);
    sum.update(data);
    to.write_all(&len.to_be_bytes())?;
    to.write_all(&kind)?;
    to.write_all(data)?;
    to.write_all(&sum.sum().to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_have_the_same_picture() {
        let mut ppm = Vec::new();
        Screen::TEXT.write_ppm(&mut ppm).unwrap();
        assert!(ppm.starts_with(b"P6\n720 400\n255\n"));
        assert_eq!(ppm.len(), 15 + 720 * 400 * 3);
        let mut png = Vec::new();
        Screen::TEXT.write_png(&mut png).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(png)).read_info().unwrap();
        let mut data = vec![0; 720 * 400 * 3];
        let info = reader.next_frame(&mut data).unwrap();
        assert_eq!((info.width, info.height), (720, 400));
        assert_eq!(data, ppm[15..]);
    }
}
