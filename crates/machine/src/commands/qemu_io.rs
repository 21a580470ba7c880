//! Reads and writes from the monitor, as the program `qemu-io` takes them: there is no
//! guest that does them. What they say goes to standard output, as in QEMU.

use std::io::{self, Write as _};

use super::hmp::{disk_failure, Cx};
use super::job_args::device_node;
use super::jobs::with_jobs;
use crate::model::qom::device_not_found;
use crate::Machine;
use qmonitor::monitor::hmp::HmpArgs;
use qmonitor::qapi::error::strerror;
use qmonitor::qapi::Error;

/// How much is read or written at once.
const PIECE: u64 = 1 << 20;

/// A read or a write.
#[derive(Debug, Default)]
struct Operation {
    pattern: Option<u8>,
    zeroes: bool,
    quiet: bool,
    offset: u64,
    length: u64,
}

/// `qemu-io [-d] [device] "[command]"`
pub(super) fn qemu_io(hmp: Cx, args: &HmpArgs) {
    let m = &hmp.rt.state;
    let name = args.str("device");
    let found = if args.flag("qdev") {
        let mut drives = m.drives().into_iter();
        let drive = drives.find(|drive| drive.is_called(name));
        drive
            .and_then(|drive| drive.node)
            .ok_or_else(|| device_not_found(name))
    } else {
        let missing = |_| {
            let text = format!("Cannot find device='' nor node-name='{name}'");
            Error::new(text)
        };
        device_node(m, name).map_err(missing)
    };
    let node = match found {
        Ok(node) => node,
        Err(error) => {
            hmp.handle_error(Err::<(), _>(error));
            return;
        }
    };
    if let Some(error) = conflict(m, &node) {
        hmp.handle_error(Err::<(), _>(error));
        return;
    }
    let writes = ["write", "writev", "aio_write", "discard"];
    let command = args.str("command").split_whitespace().next();
    let is_closed = m.blocks.node(&node).is_some_and(|node| node.read_only);
    if is_closed && command.is_some_and(|command| writes.contains(&command)) {
        return disk_failure(hmp, &Error::new("Block node is read-only"));
    }
    let text = run(&mut hmp.rt.state, &node, args.str("command"));
    // The reader may have gone.
    let _ = io::stdout().write_all(text.as_bytes());
    with_jobs(hmp.rt, |m| {
        for _ in 0..4 {
            m.jobs.drained(|_| true);
        }
        m.jobs.disk_written();
    });
}

/// The error about a node below the filter of a job whose disk is in use by a device.
fn conflict(m: &Machine, node: &str) -> Option<Error> {
    let mut parents = m.blocks.parents(node);
    let in_use = |name: &str| m.is_in_drive(name) && m.blocks.node(name).is_some();
    let (filter, role) = parents.find(|(parent, _)| parent.is_filter() && in_use(&parent.name))?;
    Some(Error::new(format!(
        "Permission conflict on node '{node}': permissions 'write' are both required by an \
         unnamed block device (uses node '{node}' as 'root' child) and unshared by node '{}' \
         (uses node '{node}' as '{role}' child).",
        filter.name
    )))
}

/// Carries out a command and returns what it says.
fn run(m: &mut Machine, node: &str, command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let Some((name, words)) = words.split_first() else {
        return String::new();
    };
    let name = name.trim_start_matches("aio_");
    match name {
        "read" | "readv" | "write" | "writev" | "discard" => {
            let operation = match parse(words) {
                Ok(operation) => operation,
                Err(text) => return text,
            };
            let name = name.trim_end_matches('v');
            match transfer(m, node, name, &operation) {
                Ok(text) if operation.quiet => text.unwrap_or_default(),
                Ok(text) => text.unwrap_or_default() + &summary(name, &operation),
                Err(e) => format!("{name} failed: {}\n", strerror(&e)),
            }
        }
        "flush" => match m.blocks.flush(node) {
            Ok(()) => String::new(),
            Err(e) => format!("flush failed: {}\n", strerror(&e)),
        },
        "length" => format!("{}\n", human(m.blocks.length(node))),
        _ => format!("command \"{name}\" not found\n"),
    }
}

fn parse(words: &[&str]) -> Result<Operation, String> {
    let mut operation = Operation::default();
    let mut numbers = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "-P" => {
                let text = words.next().copied().unwrap_or_default();
                let pattern = number(text).and_then(|n| u8::try_from(n).ok());
                let pattern =
                    pattern.ok_or_else(|| format!("{text} is not a valid pattern byte\n"))?;
                operation.pattern = Some(pattern);
            }
            "-z" => operation.zeroes = true,
            "-q" => operation.quiet = true,
            option if option.starts_with('-') => {}
            text => {
                numbers.push(number(text).ok_or_else(|| format!("Invalid argument -- {text}\n"))?);
            }
        }
    }
    let [offset, length] = numbers[..] else {
        return Err("bad argument count\n".to_owned());
    };
    (operation.offset, operation.length) = (offset, length);
    Ok(operation)
}

fn number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let shift = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b't' => 40,
        _ => return text.parse().ok(),
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(1 << shift)
}

/// Does the work in pieces. Bytes that are not the pattern are told.
fn transfer(
    m: &mut Machine,
    node: &str,
    name: &str,
    operation: &Operation,
) -> io::Result<Option<String>> {
    let end = operation.offset.saturating_add(operation.length);
    let mut differs = false;
    let mut at = operation.offset;
    if end > m.blocks.length(node) {
        return Err(nix::errno::Errno::EIO.into());
    }
    while at < end {
        let length = PIECE.min(end - at);
        let mut bytes =
            vec![operation.pattern.unwrap_or(0xcd); usize::try_from(length).unwrap_or(0)];
        match name {
            "read" => {
                m.blocks.read(node, at, &mut bytes)?;
                let pattern = operation.pattern;
                differs |= pattern.is_some_and(|pattern| bytes.iter().any(|b| *b != pattern));
            }
            "discard" => m.blocks.discard(node, at, length)?,
            _ if operation.zeroes => m.blocks.write_zeroes(node, at, length)?,
            _ => m.blocks.write(node, at, &bytes)?,
        }
        at += length;
    }
    Ok(differs.then(|| {
        format!(
            "Pattern verification failed at offset {}, {} bytes\n",
            operation.offset, operation.length
        )
    }))
}

fn summary(name: &str, operation: &Operation) -> String {
    let Operation { offset, length, .. } = operation;
    let done = if name == "write" { "wrote" } else { name };
    let size = human(*length);
    format!("{done} {length}/{length} bytes at offset {offset}\n{size}, 1 ops\n")
}

/// A size in the largest unit in which it is at least one.
fn human(size: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && size >> (10 * (unit + 1)) > 0 {
        unit += 1;
    }
    let one = 1u64 << (10 * unit);
    if size % one == 0 {
        return format!("{} {}", size / one, UNITS[unit]);
    }
    let thousandths = (u128::from(size) * 1000 / u128::from(one)) % 1000;
    let text = format!("{}.{thousandths:03}", size / one);
    format!("{} {}", text.trim_end_matches('0'), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_their_largest_unit() {
        assert_eq!(human(8 << 20), "8 MiB");
        assert_eq!(human(511), "511 bytes");
        assert_eq!(human(1536), "1.5 KiB");
    }

    #[test]
    fn operations_are_read() {
        let read = parse(&["-P", "0x11", "-q", "64k", "1M"]).unwrap();
        assert_eq!((read.pattern, read.quiet), (Some(17), true));
        assert_eq!((read.offset, read.length), (65536, 1 << 20));
        assert!(parse(&["1"]).is_err());
    }
}
