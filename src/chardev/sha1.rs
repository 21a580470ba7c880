//! SHA-1 (FIPS 180-4), which a websocket server needs for one header. It
//! protects nothing there, so that it is broken does not matter.

/// The digest of a message.
pub(super) fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - message.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let bits = (message.len() as u64).wrapping_mul(8);
    let end = padded.len();
    padded[end - 8..].copy_from_slice(&bits.to_be_bytes());

    let mut state = [
        0x67452301u32,
        0xefcdab89,
        0x98badcfe,
        0x10325476,
        0xc3d2e1f0,
    ];
    for block in padded.chunks_exact(64) {
        compress(&mut state, block);
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

fn compress(state: &mut [u32; 5], block: &[u8]) {
    let mut w = [0u32; 80];
    for (word, bytes) in w.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, b| word << 8 | u32::from(*b));
    }
    for i in 16..80 {
        w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (i, word) in w.into_iter().enumerate() {
        let (f, k) = match i {
            0..20 => (b & c | !b & d, 0x5a827999),
            20..40 => (b ^ c ^ d, 0x6ed9eba1),
            40..60 => (b & c | b & d | c & d, 0x8f1bbcdc),
            _ => (b ^ c ^ d, 0xca62c1d6u32),
        };
        let sum = a
            .rotate_left(5)
            .wrapping_add(f)
            .wrapping_add(e)
            .wrapping_add(k)
            .wrapping_add(word);
        (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
    }
    for (word, new) in state.iter_mut().zip([a, b, c, d, e]) {
        *word = word.wrapping_add(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of FIPS 180 and lengths around a block's end.
    #[test]
    fn vectors() {
        let million = vec![b'a'; 1_000_000];
        for (message, digest) in [
            (&b"abc"[..], "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
            (&million, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
            (&million[..55], "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
            (&million[..56], "c2db330f6083854c99d4b5bfb6e8f29f201be699"),
            (&million[..64], "0098ba824b5c16427bd7a1122a5a442a25ec644d"),
        ] {
            let hex: String = sha1(message).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, digest, "{}", message.len());
        }
    }
}
