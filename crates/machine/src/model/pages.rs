//! Pages of memory that were written to.
//!
//! Few pages of a simulated machine are ever written, so only those take up space. A page
//! lies over what is below: zeros, or a file.

use std::collections::BTreeMap;

/// The size of a page.
const SIZE: u64 = 4096;

type Page = Box<[u8; SIZE as usize]>;

/// Pages by number.
#[derive(Debug, Default)]
pub(super) struct Pages(BTreeMap<u64, Page>);

/// A piece of a range of addresses that lies in one page.
struct Piece {
    page: u64,
    /// Where it is in the page, and in the range.
    in_page: std::ops::Range<usize>,
    in_range: std::ops::Range<usize>,
}

/// The pieces of a range, page by page.
fn pieces(address: u64, length: usize) -> impl Iterator<Item = Piece> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = address + done as u64;
        let offset = (at % SIZE) as usize;
        let size = (SIZE as usize - offset).min(length - done);
        let piece = Piece {
            page: at / SIZE,
            in_page: offset..offset + size,
            in_range: done..done + size,
        };
        done += size;
        (size > 0).then_some(piece)
    })
}

impl Pages {
    /// Whether none was written.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Copies what was written over the contents of a range.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) {
        for piece in pieces(address, buffer.len()) {
            if let Some(page) = self.0.get(&piece.page) {
                buffer[piece.in_range].copy_from_slice(&page[piece.in_page]);
            }
        }
    }

    /// The first address from `address` on that lies in a page that was written.
    pub(super) fn first_from(&self, address: u64) -> Option<u64> {
        let (number, _) = self.0.range(address / SIZE..).next()?;
        Some((number * SIZE).max(address))
    }

    /// Writes a range. `below` reads what is under a page that is not there yet, from the
    /// address of its first byte. If all below is zero, zeros need no page.
    pub(super) fn write(
        &mut self,
        address: u64,
        bytes: &[u8],
        is_zero_below: bool,
        below: impl Fn(u64, &mut [u8]),
    ) {
        for piece in pieces(address, bytes.len()) {
            let is_zero = is_zero_below && bytes[piece.in_range.clone()].iter().all(|b| *b == 0);
            if is_zero && !self.0.contains_key(&piece.page) {
                continue;
            }
            let page = self.0.entry(piece.page).or_insert_with(|| {
                let mut page = Box::new([0; SIZE as usize]);
                below(piece.page * SIZE, &mut page[..]);
                page
            });
            page[piece.in_page].copy_from_slice(&bytes[piece.in_range]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_lies_over_what_is_below() {
        let mut pages = Pages::default();
        assert!(pages.is_empty());
        pages.write(SIZE - 2, &[1, 2, 3], false, |at, page| {
            page.fill((at / SIZE) as u8 + 7);
        });
        let mut bytes = [9; 6];
        pages.read(SIZE - 3, &mut bytes);
        assert_eq!(bytes, [7, 1, 2, 3, 8, 8]);
        let mut bytes = [9; 2];
        pages.read(2 * SIZE, &mut bytes);
        assert_eq!(bytes, [9, 9]);
        assert_eq!(pages.first_from(5), Some(5));
        assert_eq!(pages.first_from(2 * SIZE), None);
    }
}
