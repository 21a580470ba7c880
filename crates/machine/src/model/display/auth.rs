//! Who may come in: a password that the client proves to know (RFC 6143, 7.2.2), and who may
//! share the screen.

use std::fs::File;
use std::io::Read;

use des::cipher::generic_array::GenericArray;
use des::cipher::{BlockEncrypt, KeyInit};
use des::Des;

/// What the client encrypts with the password.
pub type Challenge = [u8; 16];

/// A new challenge.
pub fn challenge() -> Challenge {
    let mut bytes = [0x5a; 16];
    // Without the kernel's random numbers it can be guessed, but the password not.
    if let Ok(mut source) = File::open("/dev/urandom") {
        let _ = source.read_exact(&mut bytes);
    }
    bytes
}

/// The answer of a client that knows the password. Only the first 8 bytes count, and the
/// protocol takes the bits of each in the other order.
pub fn response(password: &[u8], challenge: &Challenge) -> Challenge {
    let mut key = [0; 8];
    for (to, from) in key.iter_mut().zip(password) {
        *to = from.reverse_bits();
    }
    let cipher = Des::new(&GenericArray::from(key));
    let mut answer = *challenge;
    for block in answer.chunks_exact_mut(8) {
        cipher.encrypt_block(GenericArray::from_mut_slice(block));
    }
    answer
}

/// The password of a server, and until when it counts, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password {
    /// The password; without one every client is refused.
    pub text: Option<Vec<u8>>,
    /// When it ends.
    pub expires: i64,
}

impl Default for Password {
    fn default() -> Self {
        Password {
            text: None,
            expires: i64::MAX,
        }
    }
}

impl Password {
    /// Whether the answer is right at this time.
    pub fn admits(&self, challenge: &Challenge, answer: &Challenge, now: i64) -> bool {
        let known = self.text.as_ref();
        self.expires >= now && known.is_some_and(|text| response(text, challenge) == *answer)
    }
}

/// When a password ends, as `expire_password` takes it: `now`, `never`, seconds since 1970, or
/// seconds from now after a plus sign.
pub fn expiry(text: &str, now: i64) -> Option<i64> {
    match text {
        "now" => Some(now.saturating_sub(1)),
        "never" => Some(i64::MAX),
        text => match text.strip_prefix('+') {
            Some(rest) => Some(now.wrapping_add(c_number(rest)?)),
            None => c_number(text),
        },
    }
}

/// A number as `strtoull` reads it: white space and a sign may come first, and a negative
/// number wraps.
fn c_number(text: &str) -> Option<i64> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse::<u64>().ok()? as i64;
    Some(if is_negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// What a server makes of clients that want the screen for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All may come in.
    Ignore,
    /// Such a client ends the connections of the others.
    AllowExclusive,
    /// Such a client may not come in.
    ForceShared,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_eight_bytes_of_a_password_count() {
        // The key is all zeros: the known answer of DES for a block of zeros.
        let zero = [0x8c, 0xa6, 0x4d, 0xe9, 0xc1, 0xb1, 0x23, 0xa7];
        assert_eq!(response(b"", &[0; 16])[..8], zero);
        let challenge = *b"0123456789abcdef";
        let long = response(b"password and more", &challenge);
        assert_eq!(long, response(b"password", &challenge));
        assert_ne!(long, response(b"passwort", &challenge));
    }

    #[test]
    fn a_password_admits_until_it_expires() {
        let challenge = challenge();
        let answer = response(b"abc", &challenge);
        let mut password = Password::default();
        assert!(!password.admits(&challenge, &answer, 100));
        password.text = Some(b"abc".to_vec());
        assert!(password.admits(&challenge, &answer, 100));
        for (text, admits) in [("now", false), ("+1", true), ("99", false), ("never", true)] {
            password.expires = expiry(text, 100).unwrap();
            assert_eq!(password.admits(&challenge, &answer, 100), admits, "{text}");
        }
    }

    #[test]
    fn times_are_read_as_in_c() {
        for (text, time) in [
            ("10", Some(10)),
            (" 5", Some(5)),
            ("-1", Some(-1)),
            ("+5", Some(105)),
            ("+-3", Some(97)),
            ("18446744073709551615", Some(-1)),
            ("18446744073709551616", None),
            ("", None),
            ("+", None),
            ("5 ", None),
            ("0x10", None),
        ] {
            assert_eq!(expiry(text, 100), time, "{text}");
        }
    }
}
