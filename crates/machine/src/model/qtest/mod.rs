//! What a test reaches from outside by the qtest protocol: memory, ports, interrupts.
//!
//! A request is a line of words; the answer is a line that begins with `OK`, `FAIL` or `ERR`. QEMU
//! ends with an assertion where words are missing or are no numbers. Here the answer is
//! `FAIL` then. The clock and the channel itself are with `commands::qtest`.

mod channel;
mod memory;
mod pci_config;
mod ports;
mod state;

use super::qom::{set_str, OBJECT};
use super::qom::{Getter, NoChardevs, Node, ObjectId, ObjectType, Property, Resolution};
use super::Machine;
pub use channel::{Log, QtestChannel};
use state::Intercepted;
pub use state::QtestState;

pub(crate) static TYPES: &[&ObjectType] = &[&QTEST];

/// The channel of a test, as an object.
pub(crate) static QTEST: ObjectType = ObjectType::new_user_creatable(
    "qtest",
    &OBJECT,
    &[
        Property::new("chardev", "string", Getter::Str(""), Some(set_str)),
        Property::new("log", "string", Getter::Str(""), Some(set_str)),
    ],
);

/// The answers to a request: lines about interrupts, and the reply.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Lines that come before the reply.
    pub told: Vec<String>,
    /// The reply.
    pub reply: String,
}

/// The value of a reply, if it has one, or why there is none.
type Outcome = Result<Option<String>, Failure>;

/// Why a request is not carried out. QEMU has two words for that.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Fail(String),
    Error(&'static str),
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Fail(text)
    }
}

/// The reply to a request.
fn reply(outcome: Outcome) -> String {
    match outcome {
        Ok(None) => "OK".to_owned(),
        Ok(Some(value)) => format!("OK {value}"),
        Err(Failure::Fail(text)) if text.is_empty() => "FAIL".to_owned(),
        Err(Failure::Fail(text)) => format!("FAIL {text}"),
        Err(Failure::Error(text)) => format!("ERR {text}"),
    }
}

impl Machine {
    /// The object of `-qtest`, which is a part of the machine.
    pub(crate) fn add_qtest_object(&mut self, chardev: &str, log: &str) -> ObjectId {
        let id = self.new_child(self.machine_object, "qtest", &QTEST);
        self.store_by_name(id, "chardev", chardev);
        self.store_by_name(id, "log", log);
        self.set_complete(id, true);
        id
    }

    /// Whether an object is the channel of a test.
    pub(crate) fn is_qtest(&self, id: ObjectId) -> bool {
        self.object(id).is_some_and(|o| o.class().is_a(QTEST.name))
    }

    /// Carries out a request that does not need the clock.
    pub fn qtest(&mut self, words: &[&str]) -> Answer {
        let mut told = Vec::new();
        let reply = reply(self.qtest_outcome(words, &mut told));
        Answer { told, reply }
    }

    fn qtest_outcome(&mut self, words: &[&str], told: &mut Vec<String>) -> Outcome {
        let (name, args) = words.split_first().unwrap_or((&"", &[]));
        if let Some(outcome) = self.qtest_memory(name, args) {
            return outcome;
        }
        if let Some(outcome) = self.qtest_port(name, args) {
            return outcome;
        }
        match *name {
            // The processor of a PC.
            "endianness" => Ok(Some("little".to_owned())),
            // No module brings a type that is not there.
            "module_load" => Err(String::new().into()),
            "irq_intercept_in" | "irq_intercept_out" => {
                let device = self.qtest_device(word(args, 0)?)?;
                self.intercept(device, *name == "irq_intercept_in")
            }
            "set_irq_in" => {
                let device = self.qtest_device(word(args, 0)?)?;
                let name = word(args, 1)?;
                let (line, level) = (number(args, 2)?, number(args, 3)? != 0);
                self.set_input(device, name, line, level, told);
                Ok(None)
            }
            name => Err(format!("Unknown command '{name}'").into()),
        }
    }

    fn qtest_device(&self, path: &str) -> Result<ObjectId, String> {
        let found = match self.resolve_path(path, &NoChardevs) {
            Resolution::Found(Node::Object(id)) => Some(id),
            _ => None,
        };
        let is_device = |id: &ObjectId| self.object(*id).is_some_and(|o| o.class().is_a("device"));
        let device = found.filter(is_device);
        device.ok_or_else(|| "Unknown device".to_owned())
    }

    fn intercept(&mut self, device: ObjectId, inputs: bool) -> Outcome {
        match self.qtest.intercepted {
            Some(other) if other.device != device => {
                Err("IRQ intercept already enabled".to_owned().into())
            }
            Some(_) => Ok(None),
            None => {
                self.qtest.intercepted = Some(Intercepted { device, inputs });
                Ok(None)
            }
        }
    }

    /// Sets an input of a device. Nothing behind it acts, but a test that listens is told.
    fn set_input(
        &mut self,
        device: ObjectId,
        name: &str,
        line: u64,
        level: bool,
        told: &mut Vec<String>,
    ) {
        let key = (device, name.to_owned(), line);
        let before = self.qtest.levels.insert(key, level).unwrap_or(false);
        let heard = Intercepted {
            device,
            inputs: true,
        };
        if before != level && self.qtest.intercepted == Some(heard) {
            let what = if level { "raise" } else { "lower" };
            told.push(format!("IRQ {what} {line}"));
        }
    }
}

/// A word of the arguments.
fn word<'a>(args: &[&'a str], at: usize) -> Result<&'a str, String> {
    let word = args.get(at).copied().filter(|word| !word.is_empty());
    word.ok_or_else(|| "Missing argument".to_owned())
}

/// A number among the arguments.
fn number(args: &[&str], at: usize) -> Result<u64, String> {
    let text = word(args, at)?;
    c_number(text).ok_or_else(|| format!("Not a number: '{text}'"))
}

/// A number as C writes it: decimal, octal after `0`, hexadecimal after `0x`; a negative one
/// wraps around.
pub(crate) fn c_number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    Some(if text.starts_with('-') {
        value.wrapping_neg()
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::board::find_class;
    use crate::model::MachineOptions;

    pub(super) fn pc() -> Machine {
        let mut m = Machine::new(MachineOptions {
            class: find_class(qmonitor::Profile::V10_0, "pc").unwrap(),
            ..MachineOptions::default()
        });
        m.init_memory(None, None).unwrap();
        m.init_board(None, &mut Vec::new()).unwrap();
        m
    }

    pub(super) fn expect(m: &mut Machine, request: &str, reply: &str) {
        let words: Vec<&str> = request.split(' ').collect();
        let answer = m.qtest(&words);
        assert_eq!(answer.reply, reply, "{request}");
    }

    #[test]
    fn numbers_are_written_as_in_c() {
        for (text, value) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("010", Some(8)),
            ("0x10", Some(16)),
            ("-1", Some(u64::MAX)),
            ("0x", None),
            ("x", None),
            ("", None),
            ("--1", None),
            ("0x-1", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(c_number(text), value, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_done_fails() {
        let mut m = pc();
        for (request, reply) in [
            ("endianness", "OK little"),
            ("endianness x", "OK little"),
            ("foo bar", "FAIL Unknown command 'foo'"),
            ("", "FAIL Unknown command ''"),
            ("READB 0", "FAIL Unknown command 'READB'"),
            ("module_load a b", "FAIL"),
            ("irq_intercept_in foo", "FAIL Unknown device"),
            ("irq_intercept_in", "FAIL Missing argument"),
            ("readb", "FAIL Missing argument"),
            ("readb zz", "FAIL Not a number: 'zz'"),
        ] {
            expect(&mut m, request, reply);
        }
    }

    #[test]
    fn interrupts_are_told_once_they_are_intercepted() {
        let mut m = pc();
        let path = "/machine/unattached/device[0]";
        let mut told = |request: &str| {
            let request = request.replace('D', path);
            let words: Vec<&str> = request.split(' ').collect();
            m.qtest(&words).told
        };
        let none: [&str; 0] = [];
        assert_eq!(told("set_irq_in D in 1 1"), none);
        assert_eq!(told("set_irq_in D in 1 0"), none);
        assert_eq!(told("irq_intercept_in D"), none);
        assert_eq!(told("set_irq_in D in 1 1"), ["IRQ raise 1"]);
        assert_eq!(told("set_irq_in D in 1 1"), none);
        assert_eq!(told("set_irq_in D in 1 0"), ["IRQ lower 1"]);
    }
}
