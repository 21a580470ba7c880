//! The memory of the firmware: what `-drive if=pflash` and the machine's `pflash0` and `pflash1`
//! put there.

use super::report::Failure;
use super::settings::Settings;
use crate::model::block::Interface;
use crate::model::board::Family;
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

/// Sizes are multiples of this.
const BLOCK: u64 = 0x1000;
/// How much firmware there can be.
const MOST: u64 = 8 << 20;

/// Whether the board has places for flash memory.
pub(super) fn has_flash(family: Family) -> bool {
    matches!(family, Family::I440fx | Family::Q35)
}

/// Whether firmware comes from flash memory, so that no file of `-bios` is read.
pub(super) fn is_used(settings: &Settings) -> bool {
    settings.hardware.properties.get_str("pflash0").is_some()
}

/// Checks what is in the flash memory.
///
/// # Errors
///
/// There is no such node, its size is wrong, or the first is missing.
pub(super) fn check(rt: &Runtime<Machine>, settings: &Settings) -> Result<(), Failure> {
    let hardware = &settings.hardware;
    if !has_flash(hardware.class.family) {
        return Ok(());
    }
    let mut sizes = Vec::new();
    for (unit, name) in ["pflash0", "pflash1"].into_iter().enumerate() {
        let Some((node, shown)) = flash(rt, hardware.properties.get_str(name), unit)? else {
            continue;
        };
        if unit > sizes.len() {
            return Err(Error::new(format!("{name} requires pflash0")).into());
        }
        let size = rt.state.blocks.length(&node);
        if size == 0 || size % BLOCK != 0 {
            let desc = format!("system firmware block device {shown} has invalid size {size}");
            let info = format!("info: its size must be a non-zero multiple of 0x{BLOCK:x}");
            return Err(Failure::twice(Error::new(desc), Error::new(info)));
        }
        sizes.push(size);
        if sizes.iter().sum::<u64>() > MOST {
            let desc = format!("combined size of system firmware exceeds {MOST} bytes");
            return Err(Error::new(desc).into());
        }
    }
    Ok(())
}

/// The node in a place, and the name of its drive. A property comes before a drive.
fn flash(
    rt: &Runtime<Machine>,
    named: Option<&str>,
    unit: usize,
) -> Result<Option<(String, String)>, Error> {
    let blocks = &rt.state.blocks;
    let Some(name) = named.filter(|name| !name.is_empty()) else {
        let drive = blocks.backends.at(Interface::Pflash, 0, unit as u32);
        return Ok(drive.and_then(|d| Some((d.node.clone()?, d.name.clone()))));
    };
    if let Some(backend) = blocks.backends.get(name) {
        let node = backend.node.clone();
        return Ok(node.map(|node| (node, name.to_owned())));
    }
    if blocks.node(name).is_some() {
        return Ok(Some((name.to_owned(), String::new())));
    }
    let desc = format!("Property 'cfi.pflash01.drive' can't find value '{name}'");
    Err(Error::new(desc))
}
