//! Finding the end of a stretch of ordinary bytes, several at a time.
//!
//! Long strings raise two questions: where does the part end that the parser can
//! take as it is, and where the part that the writer can copy as it is? Both parts
//! end at a handful of bytes and at ranges at either end of the byte values. So a
//! loop without branches tests 32 bytes at once; compilers turn it into vector
//! instructions. Arithmetic on 64-bit words then finds the word with the hit.
//!
//! In a word, `x - 0x0101…` borrows into the top bit of each zero byte. A
//! borrow may run on into the bytes above and mark them falsely, but never
//! into those below, so the lowest mark is always true.

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;
const BLOCK: usize = 32;

/// Behind so many bytes, blocks pay.
const LONG_NAME: usize = 2 * BLOCK;

fn splat(byte: u8) -> u64 {
    ONES * u64::from(byte)
}

/// Top bits of the bytes equal to `byte`; only the lowest one is reliable, and
/// bytes above 0x7F may be marked as well.
fn equal(word: u64, byte: u8) -> u64 {
    (word ^ splat(byte)).wrapping_sub(ONES)
}

/// Position of the first byte that is not a plain part of a string between
/// `quote`s: the quote, a backslash, a control character, or a byte beyond ASCII.
pub(super) fn plain(bytes: &[u8], quote: u8) -> usize {
    find(
        bytes,
        |b| (b == quote) | (b == b'\\') | !(0x20..0x80).contains(&b),
        |w| equal(w, quote) | equal(w, b'\\') | w.wrapping_sub(splat(0x20)) | w,
    )
}

/// Like [`plain`] between double quotes, for a string that is short, as a command's name:
/// in line, a word at a time.
#[inline(always)]
pub(super) fn plain_name(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let (true, Some(word)) = (at < LONG_NAME, bytes[at..].first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let special = equal(word, b'"') | equal(word, b'\\') | word.wrapping_sub(splat(0x20));
        match (special | word) & TOPS {
            0 => at += 8,
            found => return at + place(found),
        }
    }
    at + plain(&bytes[at..], b'"')
}

/// Like [`plain`], but passes bytes beyond ASCII. It stops at FE and FF, which no
/// encoding uses.
pub(super) fn plain_or_high(bytes: &[u8], quote: u8) -> usize {
    find(
        bytes,
        |b| (b == quote) | (b == b'\\') | !(0x20..0xfe).contains(&b),
        |w| {
            let low = equal(w, quote) | equal(w, b'\\') | w.wrapping_sub(splat(0x20));
            (low & !w) | (!w & splat(0xfe)).wrapping_sub(ONES) & w
        },
    )
}

/// Position of the first byte that the writer must escape.
pub(super) fn unescaped(bytes: &[u8]) -> usize {
    find(
        bytes,
        |b| (b == b'"') | (b == b'\\') | !(0x20..0x7f).contains(&b),
        escaped,
    )
}

/// The same in a single word; 8 if there is none.
#[inline(always)]
pub(super) fn unescaped_in(word: u64) -> usize {
    place(escaped(word) & TOPS)
}

/// Whether there is one in so many bytes, which are whole words.
#[inline(always)]
pub(super) fn any_unescaped<const N: usize>(bytes: &[u8; N]) -> bool {
    let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk());
    let marks = words.map(|word| escaped(u64::from_le_bytes(*word)));
    marks.fold(0, |all, marks| all | marks) & TOPS != 0
}

#[inline(always)]
fn escaped(word: u64) -> u64 {
    let special = equal(word, b'"') | equal(word, b'\\') | equal(word, 0x7f);
    special | word.wrapping_sub(splat(0x20)) | word
}

/// The byte of the lowest mark.
#[inline(always)]
fn place(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// The end of `bytes`, fewer than eight, as a word: the first in the lowest byte,
/// zeros after the last.
#[inline(always)]
pub(super) fn last_word(bytes: &[u8], end: &[u8]) -> u64 {
    match (bytes.last_chunk(), end.first_chunk(), end.last_chunk()) {
        _ if end.is_empty() => 0,
        (Some(last), ..) => u64::from_le_bytes(*last) >> (8 * (8 - end.len())),
        (None, Some(first), Some(last)) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(first) | u64::from(last) << (8 * (end.len() - 4))
        }
        _ => end.iter().rev().fold(0, |w, &b| w << 8 | u64::from(b)),
    }
}

/// Position of the first byte for which `stop` holds; `marks` gives the top
/// bits of such bytes in a word, the lowest of them exactly.
#[inline(always)]
fn find(bytes: &[u8], stop: impl Fn(u8) -> bool, marks: impl Fn(u64) -> u64) -> usize {
    let hit = |word: &[u8; 8]| marks(u64::from_le_bytes(*word)) & TOPS;
    let mut at = 0;
    // Most strings are short: try a few words before starting on blocks.
    for _ in 0..3 {
        let Some(word) = bytes[at..].first_chunk() else {
            break;
        };
        match hit(word) {
            0 => at += 8,
            found => return at + place(found),
        }
    }
    while let Some(block) = bytes[at..].first_chunk::<BLOCK>() {
        if block.iter().fold(false, |any, &b| any | stop(b)) {
            break;
        }
        at += BLOCK;
    }
    while let Some(word) = bytes[at..].first_chunk() {
        match hit(word) {
            0 => at += 8,
            found => return at + place(found),
        }
    }
    let rest = &bytes[at..];
    if rest.is_empty() {
        return at;
    }
    // All three scans stop at the zeros behind the left-over bytes.
    let word = last_word(bytes, rest);
    at + place(marks(word) & TOPS).min(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(bytes: &[u8], stop: impl Fn(u8) -> bool) -> usize {
        bytes.iter().position(|&b| stop(b)).unwrap_or(bytes.len())
    }

    fn check(bytes: &[u8]) {
        for quote in [b'"', b'\''] {
            let low = |b| b == quote || b == b'\\' || b < 0x20;
            assert_eq!(plain(bytes, quote), naive(bytes, |b| low(b) || b >= 0x80));
            assert_eq!(
                plain_or_high(bytes, quote),
                naive(bytes, |b| low(b) || b >= 0xfe)
            );
        }
        assert_eq!(plain_name(bytes), plain(bytes, b'"'));
        let escaped = |b| b == b'"' || b == b'\\' || !(0x20..0x7f).contains(&b);
        assert_eq!(unescaped(bytes), naive(bytes, escaped));
        if let Some(bytes) = bytes.first_chunk::<8>() {
            assert_eq!(any_unescaped(bytes), bytes.iter().any(|&b| escaped(b)));
        }
        if let Some(bytes) = bytes.first_chunk::<16>() {
            assert_eq!(any_unescaped(bytes), bytes.iter().any(|&b| escaped(b)));
        }
    }

    #[test]
    fn every_byte_is_found_at_every_place() {
        for len in [1, 7, 8, 16, 17, 40, 79, 80] {
            for at in 0..len {
                for byte in 0..=255 {
                    let mut bytes = vec![b'x'; len];
                    bytes[at] = byte;
                    check(&bytes);
                    // The borrow of a hit must not hide or forge a neighbour's.
                    bytes[at..].fill(byte.wrapping_add(1));
                    bytes[at] = byte;
                    check(&bytes);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_byte_loop(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            check(&bytes);
        }

        #[test]
        fn agrees_on_mostly_plain_bytes(
            bytes in prop::collection::vec(prop_oneof![20 => Just(b'a'), 10 => 0x80..0xfeu8, 1 => any::<u8>()], 0..200),
        ) {
            check(&bytes);
        }
    }
}
