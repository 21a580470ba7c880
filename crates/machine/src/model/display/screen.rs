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

    /// What is shown where no adapter is.
    pub const EMPTY: Screen = Screen {
        width: 640,
        height: 480,
    };

    /// The colours of a pixel: red, green, blue.
    pub fn pixel(&self, x: u16, y: u16) -> [u8; 3] {
        let has_cursor = *self != Screen::EMPTY;
        if has_cursor && x < CHARACTER.0 && y < CHARACTER.1 && CURSOR.contains(&y) {
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
        let mut encoder = png::Encoder::new(to, self.width.into(), self.height.into());
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header()?;
        let data: Vec<u8> = self.rows().flatten().collect();
        writer.write_image_data(&data)?;
        Ok(writer.finish()?)
    }
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
