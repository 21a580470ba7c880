//! Requests about ports. Behind two of them is the configuration of PCI; the others are
//! empty: what is written is lost, and all bits read as ones.

use super::{number, Outcome};
use crate::model::Machine;

/// Where a function on PCI is chosen, and where its registers are.
const CONFIG_ADDRESS: u64 = 0xcf8;
const CONFIG_DATA: u64 = 0xcfc;

impl Machine {
    /// Carries out a request about a port; `None` if it is about something else.
    pub(super) fn qtest_port(&mut self, name: &str, args: &[&str]) -> Option<Outcome> {
        let width = match name.get(name.len().checked_sub(1)?..)? {
            "b" => 1,
            "w" => 2,
            "l" => 4,
            _ => return None,
        };
        match &name[..name.len() - 1] {
            "in" => Some(self.read_port(args, width)),
            "out" => Some(self.write_port(args, width)),
            _ => None,
        }
    }

    fn read_port(&self, args: &[&str], width: u32) -> Outcome {
        let port = port(args)?;
        let all = u32::MAX >> (32 - 8 * width);
        let value = match port {
            CONFIG_ADDRESS if width == 4 && self.has_pci() => self.qtest.pci.address(),
            port if port & !3 == CONFIG_DATA && self.has_pci() => {
                self.pci_config_read((port & 3) as u32)
            }
            _ => u32::MAX,
        };
        Ok(Some(format!("0x{:04x}", value & all)))
    }

    fn write_port(&mut self, args: &[&str], width: u32) -> Outcome {
        let (port, value) = (port(args)?, number(args, 1)? as u32);
        if !self.has_pci() {
            return Ok(None);
        }
        if port == CONFIG_ADDRESS && width == 4 {
            self.qtest.pci.set_address(value);
        } else if port & !3 == CONFIG_DATA {
            self.pci_config_write((port & 3) as u32, width, value);
        }
        Ok(None)
    }

    fn has_pci(&self) -> bool {
        !self.buses("PCI").is_empty()
    }
}

fn port(args: &[&str]) -> Result<u64, String> {
    let port = number(args, 0)?;
    if port > 0xffff {
        return Err(format!("No such port: 0x{port:x}"));
    }
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expect, pc};

    #[test]
    fn empty_ports_read_as_ones() {
        let mut m = pc();
        for (request, reply) in [
            ("outb 0x80 1", "OK"),
            ("inb 0x80", "OK 0x00ff"),
            ("inw 0x80", "OK 0xffff"),
            ("inl 0x80", "OK 0xffffffff"),
            ("inb 0x10000", "FAIL No such port: 0x10000"),
        ] {
            expect(&mut m, request, reply);
        }
    }

    #[test]
    fn a_function_on_pci_is_chosen_and_read() {
        let mut m = pc();
        for (request, reply) in [
            ("outl 0xcf8 0x80000000", "OK"),
            ("inl 0xcf8", "OK 0x80000000"),
            ("inl 0xcfc", "OK 0x12378086"),
            ("inw 0xcfe", "OK 0x1237"),
            ("outl 0xcf8 0x80000004", "OK"),
            ("outw 0xcfc 0x7", "OK"),
            ("inw 0xcfc", "OK 0x0007"),
            ("outl 0xcf8 0x8000f800", "OK"),
            ("inl 0xcfc", "OK 0xffffffff"),
            ("outl 0xcf8 0", "OK"),
            ("inl 0xcfc", "OK 0xffffffff"),
        ] {
            expect(&mut m, request, reply);
        }
    }
}
