//! Requests about memory. Where there is none, reads give zeros and writes are lost.

use super::{number, word, Failure, Outcome};
use crate::model::Machine;
use qmonitor::util::base64;

/// The most bytes that one request can read: more would only fill this program's memory.
const LONGEST: u64 = 256 << 20;

impl Machine {
    /// Carries out a request about memory; `None` if it is about something else.
    pub(super) fn qtest_memory(&mut self, name: &str, args: &[&str]) -> Option<Outcome> {
        let width = |name: &str, verb: &str| match name.strip_prefix(verb)? {
            "b" => Some(1),
            "w" => Some(2),
            "l" => Some(4),
            "q" => Some(8),
            _ => None,
        };
        if let Some(width) = width(name, "read") {
            return Some(self.read_number(args, width));
        }
        if let Some(width) = width(name, "write") {
            return Some(self.write_number(args, width));
        }
        Some(match name {
            "read" => self.read_bytes(args, |bytes| {
                let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
                format!("0x{}", digits.collect::<String>())
            }),
            "b64read" => self.read_bytes(args, base64::encode),
            "write" => self.write_hex(args),
            "b64write" => self.write_base64(args),
            "memset" => self.fill(args),
            _ => return None,
        })
    }

    fn read_number(&self, args: &[&str], width: usize) -> Outcome {
        let mut bytes = [0; 8];
        self.read_some(number(args, 0)?, &mut bytes[..width]);
        Ok(Some(format!("0x{:016x}", u64::from_le_bytes(bytes))))
    }

    fn write_number(&mut self, args: &[&str], width: usize) -> Outcome {
        let bytes = number(args, 1)?.to_le_bytes();
        self.write_some(number(args, 0)?, &bytes[..width]);
        Ok(None)
    }

    /// Reads memory; zeros where there is none.
    fn read_some(&self, address: u64, bytes: &mut [u8]) {
        let mapped = self.ram_size().saturating_sub(address);
        let mapped = usize::try_from(mapped).map_or(bytes.len(), |n| n.min(bytes.len()));
        let (inside, outside) = bytes.split_at_mut(mapped);
        outside.fill(0);
        if !self.physical_memory_read(address, inside) {
            inside.fill(0);
        }
    }

    /// Writes memory; what is for addresses without any is lost.
    fn write_some(&mut self, address: u64, bytes: &[u8]) {
        let mapped = self.ram_size().saturating_sub(address);
        let mapped = usize::try_from(mapped).map_or(bytes.len(), |n| n.min(bytes.len()));
        self.physical_memory_write(address, &bytes[..mapped]);
    }

    fn read_bytes(&self, args: &[&str], show: impl Fn(&[u8]) -> String) -> Outcome {
        let (address, size) = (number(args, 0)?, number(args, 1)?);
        if size > LONGEST {
            return Err(format!("Cannot read more than {LONGEST} bytes at once").into());
        }
        let mut bytes = vec![0; size as usize];
        self.read_some(address, &mut bytes);
        Ok(Some(show(&bytes)))
    }

    /// Missing digits are zeros, and what is no digit is one of zero, as in QEMU. A word
    /// without any character behind the first two is refused, whatever the size.
    fn write_hex(&mut self, args: &[&str]) -> Outcome {
        let (address, size) = (number(args, 0)?, number(args, 1)?);
        let digits = match word(args, 2)?.as_bytes() {
            [_, _, digits @ ..] if !digits.is_empty() => digits,
            _ => return Err(Failure::Error("invalid argument size")),
        };
        if size > LONGEST {
            return Err(format!("Cannot write more than {LONGEST} bytes at once").into());
        }
        let digit = |at: usize| {
            let digit = digits.get(at).and_then(|c| char::from(*c).to_digit(16));
            digit.unwrap_or(0) as u8
        };
        let bytes: Vec<u8> = (0..size as usize)
            .map(|at| digit(2 * at) << 4 | digit(2 * at + 1))
            .collect();
        self.write_some(address, &bytes);
        Ok(None)
    }

    /// A size that is not that of the data is taken for the smaller of the two.
    fn write_base64(&mut self, args: &[&str]) -> Outcome {
        let (address, size) = (number(args, 0)?, number(args, 1)?);
        let mut bytes = base64::decode(word(args, 2)?).unwrap_or_default();
        bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        self.write_some(address, &bytes);
        Ok(None)
    }

    fn fill(&mut self, args: &[&str]) -> Outcome {
        let (address, size) = (number(args, 0)?, number(args, 1)?);
        let piece = [number(args, 2)? as u8; 4096];
        let end = address.saturating_add(size).min(self.ram_size());
        let mut at = address;
        while at < end {
            let length = (end - at).min(piece.len() as u64);
            self.write_some(at, &piece[..length as usize]);
            at += length;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expect, pc};

    #[test]
    fn memory_is_read_and_written_in_all_forms() {
        let mut m = pc();
        for (request, reply) in [
            ("readb 0", "OK 0x0000000000000000"),
            ("writeb 0x1000 0x1ff", "OK"),
            ("readw 0x1000", "OK 0x00000000000000ff"),
            ("writeq 0x1000 -1", "OK"),
            ("readq 0x1000", "OK 0xffffffffffffffff"),
            ("writel 0x1000 0x1234567890", "OK"),
            ("readq 0x1000", "OK 0xffffffff34567890"),
            ("write 0x1000 4 0x0102", "OK"),
            ("read 0x1000 8", "OK 0x01020000ffffffff"),
            ("write 0x1000 4 0x010203040506", "OK"),
            ("b64read 0x1000 8", "OK AQIDBP////8="),
            ("b64write 0x1000 2 BQYHCA==", "OK"),
            ("read 0x1000 4", "OK 0x05060304"),
            ("memset 0xffe 4 0x1ff", "OK"),
            ("read 0xffe 6", "OK 0xffffffff0304"),
            ("memset 0x1000 0 1", "OK"),
            ("write 0x1000 2 123456", "OK"),
            ("read 0x1000 2", "OK 0x3456"),
            ("write 0x1000 1 0", "ERR invalid argument size"),
            ("write 0x1000 0 0x", "ERR invalid argument size"),
            ("write 0x1000 0 0x00", "OK"),
            ("b64read 0x1000 0", "OK "),
            ("read 0x7ffffff 4", "OK 0x00000000"),
            ("writeb 0xffffffffffffffff 1", "OK"),
            ("readq 0xffffffffffffffff", "OK 0x0000000000000000"),
        ] {
            expect(&mut m, request, reply);
        }
    }
}
