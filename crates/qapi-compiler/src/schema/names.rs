//! The rules for names.
//!
//! A name is an optional downstream prefix (`__RFQDN_`), an optional `x-`, and a
//! *stem*: a letter, then letters, digits, `-` and `_`. Rules about upper and lower
//! case apply to the stem only. The lexer guarantees that all names are ASCII.

use std::borrow::Cow;

/// The stem of a name, if the name is well formed.
pub(super) fn stem(name: &str) -> Option<&str> {
    let rest = match name.strip_prefix("__") {
        None => name,
        Some(tail) => {
            let (domain, rest) = tail.split_once('_')?;
            let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
            if domain.is_empty() || !domain.bytes().all(valid) {
                return None;
            }
            rest
        }
    };
    // `x-4` is a stem of its own, but no letter follows the prefix then.
    let stem = match rest.as_bytes() {
        [b'x' | b'X', b'-', first, ..] if first.is_ascii_alphabetic() => &rest[2..],
        _ => rest,
    };
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let well_formed =
        stem.starts_with(|ch: char| ch.is_ascii_alphabetic()) && stem.bytes().all(valid);
    (well_formed && !is_reserved(name)).then_some(stem)
}

/// The stem of the name of an enumeration's value, which may start with a digit.
pub(super) fn value_stem(name: &str) -> Option<&str> {
    if !name.starts_with(|ch: char| ch.is_ascii_digit()) {
        return stem(name);
    }
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    name.bytes().all(valid).then_some(name)
}

/// `q_` is reserved for names that the compiler makes.
fn is_reserved(name: &str) -> bool {
    c_name(name).starts_with("q_")
}

/// Whether a member's name would collide with a name that marshalling code uses
/// itself.
pub(super) fn is_reserved_member(name: &str) -> bool {
    let name = c_name(name);
    name == "u" || name.starts_with("has_")
}

/// Whether a stem is the name of a type.
pub(super) fn is_camel_case(stem: &str) -> bool {
    stem.starts_with(|ch: char| ch.is_ascii_uppercase())
        && stem.bytes().all(|b| b.is_ascii_alphanumeric())
        && stem.bytes().any(|b| b.is_ascii_lowercase())
}

/// The name as an identifier. Names with the same identifier clash.
pub(super) fn c_name(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Cow::Borrowed(name);
    }
    let mapped = |ch: char| if ch.is_ascii_alphanumeric() { ch } else { '_' };
    Cow::Owned(name.chars().map(mapped).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems() {
        for (name, expected) in [
            ("switch-on", Some("switch-on")),
            ("x-switch", Some("switch")),
            ("x", Some("x")),
            ("x-", Some("x-")),
            ("x-4", Some("x-4")),
            ("__org.example_switch", Some("switch")),
            ("__org.example_x-switch", Some("switch")),
            ("__a_b_c", Some("b_c")),
            ("__org.example.switch", None),
            ("___switch", None),
            ("__a_4", None),
            ("_a", None),
            ("", None),
            ("4a", None),
            ("a b", None),
            ("q_a", None),
            ("q-a", None),
            ("x-q-a", Some("q-a")),
        ] {
            assert_eq!(stem(name), expected, "{name:?}");
        }
    }

    #[test]
    fn values_may_start_with_a_digit() {
        for (name, expected) in [
            ("4k", Some("4k")),
            ("1-2", Some("1-2")),
            ("1+2", None),
            ("", None),
            ("q-red", None),
        ] {
            assert_eq!(value_stem(name), expected, "{name:?}");
        }
    }

    #[test]
    fn camel_case() {
        for (stem, expected) in [
            ("Lamp", true),
            ("LAMp2", true),
            ("L", false),
            ("LAMP", false),
            ("La-mp", false),
            ("lamp", false),
        ] {
            assert_eq!(is_camel_case(stem), expected, "{stem}");
        }
    }
}
