//! `secret`: a password or a key, given directly or in a file.
//!
//! A secret may be encrypted with another secret. Every error in that is found, but
//! decrypting itself (AES-256 in CBC mode) is not implemented: nothing here uses a
//! secret.

use std::fs;

use crate::model::qom::{set_str, set_value, Getter, ObjectId, ObjectType, Property, OBJECT};
use crate::model::Machine;
use crate::schema::QCryptoSecretFormat;
use qmonitor::qapi::Error;

pub(crate) static TYPES: &[&ObjectType] = &[&SECRET_COMMON, &SECRET];

static SECRET_COMMON: ObjectType = ObjectType::new_abstract(
    "secret_common",
    &OBJECT,
    &[
        Property::new("iv", "string", Getter::Str(""), Some(set_str)),
        Property::new("keyid", "string", Getter::Str(""), Some(set_str)),
        Property::new(
            "format",
            "QCryptoSecretFormat",
            Getter::Str("raw"),
            Some(set_value::<QCryptoSecretFormat>),
        ),
    ],
);

static SECRET: ObjectType = ObjectType {
    complete: Some(load),
    ..ObjectType::new_user_creatable(
        "secret",
        &SECRET_COMMON,
        &[
            Property::new("file", "string", Getter::Str(""), Some(set_str)),
            Property::new("data", "string", Getter::Str(""), Some(set_str)).secret(),
        ],
    )
};

const KEY_LENGTH: usize = 32;
const IV_LENGTH: usize = 16;

fn load(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let input = read(m, id)?;
    if m.is_set(id, "keyid") {
        decrypt(m, id, &input)
    } else {
        decode(m, id, &input).map(drop)
    }
}

/// The secret as it was given.
fn read(m: &Machine, id: ObjectId) -> Result<Vec<u8>, Error> {
    match (m.is_set(id, "file"), m.is_set(id, "data")) {
        (true, true) => Err(Error::new("'file' and 'data' are mutually exclusive")),
        (false, false) => Err(Error::new("Either 'file' or 'data' must be provided")),
        (false, true) => Ok(m.str_property(id, "data").into_bytes()),
        (true, false) => {
            let file = m.str_property(id, "file");
            fs::read(&file).map_err(|e| {
                let what =
                    format!("Unable to read {file}: Failed to open file \u{201c}{file}\u{201d}");
                Error::from_io(what, &e)
            })
        }
    }
}

/// What a secret says.
///
/// # Errors
///
/// There is no such secret, or it cannot be read.
pub(crate) fn secret_data(m: &Machine, name: &str) -> Result<Vec<u8>, Error> {
    let id = find(m, name)?;
    decode(m, id, &read(m, id)?)
}

fn decode(m: &Machine, id: ObjectId, input: &[u8]) -> Result<Vec<u8>, Error> {
    match m.str_property(id, "format").as_str() {
        "base64" => base64_decode(input),
        _ => Ok(input.to_owned()),
    }
}

/// The secret of that id.
pub(super) fn find(m: &Machine, name: &str) -> Result<ObjectId, Error> {
    let secret = m.user_object(name);
    let secret = secret.ok_or_else(|| Error::new(format!("No secret with id '{name}'")))?;
    if m.object(secret).is_some_and(|o| o.class().is_a("secret")) {
        Ok(secret)
    } else {
        Err(Error::new(format!(
            "Object with id '{name}' is not a secret"
        )))
    }
}

fn decrypt(m: &Machine, id: ObjectId, input: &[u8]) -> Result<(), Error> {
    let keyid = m.str_property(id, "keyid");
    let secret = find(m, &keyid)?;
    if !m.is_complete(secret) {
        // The secret names itself as its key.
        return Err(Error::new(format!("Secret with id '{keyid}' has no data")));
    }
    let key = decode(m, secret, &read(m, secret)?)?;
    if key.len() != KEY_LENGTH {
        return Err(Error::new(format!(
            "Key should be {KEY_LENGTH} bytes in length"
        )));
    }
    if !m.is_set(id, "iv") {
        return Err(Error::new("IV is required to decrypt secret"));
    }
    let iv = base64_decode(m.str_property(id, "iv").as_bytes())?.len();
    if iv != IV_LENGTH {
        return Err(Error::new(format!(
            "IV should be {IV_LENGTH} bytes in length not {iv}"
        )));
    }
    let length = decode(m, id, input)?.len();
    if length % IV_LENGTH != 0 {
        return Err(Error::new(format!(
            "Length {length} must be a multiple of block size {IV_LENGTH}"
        )));
    }
    Err(Error::new("Encrypted secrets are not supported"))
}

/// Decodes base 64 as leniently as QEMU: newlines are skipped, padding may be
/// missing, and an incomplete last group is dropped (`qbase64_decode`).
fn base64_decode(text: &[u8]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut digits) = (0u32, 0);
    for &b in text {
        let digit = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' | b'\n' => continue,
            _ => return Err(Error::new("Base64 data contains invalid characters")),
        };
        group = group << 6 | u32::from(digit);
        digits += 1;
        if digits == 4 {
            bytes.extend_from_slice(&group.to_be_bytes()[1..]);
            (group, digits) = (0, 0);
        }
    }
    // Of a padded group, two digits hold one byte, three hold two.
    match (digits, text.contains(&b'=')) {
        (2, true) => bytes.push((group >> 4) as u8),
        (3, true) => bytes.extend_from_slice(&((group >> 2) as u16).to_be_bytes()),
        _ => {}
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        let decode = |text: &str| base64_decode(text.as_bytes()).map_err(|e| e.to_string());
        assert_eq!(decode("aGVsbG8="), Ok(b"hello".to_vec()));
        assert_eq!(decode("aGVs\nbG8="), Ok(b"hello".to_vec()));
        assert_eq!(decode("aGVsbA=="), Ok(b"hell".to_vec()));
        assert_eq!(decode("aGVsbG8"), Ok(b"hel".to_vec()));
        assert_eq!(decode(""), Ok(vec![]));
        assert_eq!(
            decode("!!"),
            Err("Base64 data contains invalid characters".into())
        );
    }
}
