//! Identifiers of machines.

/// A universally unique identifier. Its text is 32 hexadecimal digits with
/// hyphens between (RFC 9562, section 4).
///
/// ```
/// use qmonitor_machine::Uuid;
///
/// let uuid: Uuid = "ABCDEF01-2345-6789-ABCD-EF0123456789".parse().unwrap();
/// assert_eq!(uuid.to_string(), "abcdef01-2345-6789-abcd-ef0123456789");
/// assert!("abcdef01".parse::<Uuid>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uuid(pub [u8; 16]);

/// The text is no UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseUuidError;

impl std::fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a UUID")
    }
}

impl std::error::Error for ParseUuidError {}

impl std::fmt::Display for Uuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(ParseUuidError);
        }
        let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        let mut uuid = [0; 16];
        let mut at = 0;
        for (i, byte) in uuid.iter_mut().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                if text[at] != b'-' {
                    return Err(ParseUuidError);
                }
                at += 1;
            }
            match (digit(text[at]), digit(text[at + 1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return Err(ParseUuidError),
            }
            at += 2;
        }
        Ok(Uuid(uuid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_written_one_way_only() {
        let good = "12345678-9abc-def0-1234-56789abcdef0";
        assert_eq!(good.parse::<Uuid>().unwrap().to_string(), good);
        assert_eq!(
            Uuid::default().to_string(),
            "00000000-0000-0000-0000-000000000000"
        );
        for bad in [
            "",
            "12345678-9abc-def0-1234-56789abcdef",
            "123456789-abc-def0-1234-56789abcdef0",
            "12345678-9abc-def0-1234-56789abcdeg0",
            "+2345678-9abc-def0-1234-56789abcdef0",
        ] {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
    }
}
