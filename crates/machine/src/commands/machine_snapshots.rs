//! Snapshots of the machine in the images of its disks: `savevm`, `loadvm`, `delvm`,
//! `snapshot-save`, `snapshot-load`, `snapshot-delete`, `-loadvm`.

use super::block_pages::size_to_str;
use super::hmp::{disk_failure, Cx};
use super::run_state::emit;
use crate::model::block::Snapshot;
use crate::model::migration::{load_machine, save_machine};
use crate::schema::RunState;
use crate::Machine;
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::monitor::hmp::HmpArgs;
use qmonitor::qapi::Error;
use qmonitor::util::time::iso8601;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The disks that take part: those that are named, or all.
fn disks(m: &Machine, named: Option<&[String]>) -> Result<Vec<String>, Error> {
    let Some(named) = named else {
        return all_disks(m);
    };
    if named.is_empty() {
        let desc = "At least one device is required for snapshot";
        return Err(Error::new(desc));
    }
    for name in named {
        let node = m.blocks.node(name);
        let node = node.ok_or_else(|| Error::new(format!("No block device node '{name}'")))?;
        if !node.read_only && !m.blocks.can_snapshot(name) {
            return Err(unsupported(name));
        }
    }
    Ok(named.to_vec())
}

fn unsupported(device: &str) -> Error {
    Error::new(format!(
        "Device '{device}' is writable but does not support snapshots"
    ))
}

/// The disks of drives, and nodes that nothing uses.
fn all_disks(m: &Machine) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for (device, name) in written_disks(m) {
        if !m.blocks.can_snapshot(&name) {
            return Err(unsupported(if device.is_empty() { &name } else { &device }));
        }
        names.push(name);
    }
    Ok(names)
}

/// The images that can be written, with the names of their drives.
fn written_disks(m: &Machine) -> Vec<(String, String)> {
    let drives = m.drives().into_iter();
    let used: Vec<_> = drives
        .filter_map(|drive| Some((drive.device, drive.node?)))
        .collect();
    let free = m.blocks.nodes().filter(|node| {
        let is_used = used.iter().any(|(_, name)| *name == node.name);
        !is_used && !m.is_in_drive(&node.name) && m.blocks.parents(&node.name).next().is_none()
    });
    let free: Vec<_> = free
        .map(|node| (String::new(), node.name.clone()))
        .collect();
    let is_written = |name: &String| m.blocks.node(name).is_some_and(|node| !node.read_only);
    let all = used.into_iter().chain(free);
    all.filter(|(_, name)| is_written(name)).collect()
}

/// The disk that keeps the machine.
fn vmstate_disk(m: &Machine, disks: &[String], named: Option<&str>) -> Result<String, Error> {
    let Some(name) = named else {
        let mut able = disks.iter().filter(|name| m.blocks.can_snapshot(name));
        let none = || Error::new("no block device can store vmstate for snapshot");
        return able.next().cloned().ok_or_else(none);
    };
    if !disks.iter().any(|disk| disk == name) {
        let desc = format!("vmstate block device '{name}' does not exist");
        return Err(Error::new(desc));
    }
    if !m.blocks.can_snapshot(name) {
        let desc = format!("vmstate block device '{name}' does not support snapshots");
        return Err(Error::new(desc));
    }
    Ok(name.to_owned())
}

fn find<'a>(m: &'a Machine, disk: &str, tag: &str) -> Option<&'a Snapshot> {
    m.blocks.snapshots(disk).iter().find(|s| s.name == tag)
}

/// Takes a snapshot away from all disks; those that do not have it do not mind.
fn delete_from(m: &mut Machine, disks: &[String], tag: &str) -> Result<(), Error> {
    for disk in disks {
        if let Some(id) = find(m, disk, tag).map(|s| s.id.clone()) {
            let what = format!("Could not delete snapshot '{tag}' on '{disk}'");
            let deleted = m.blocks.snapshot_delete(disk, &id);
            deleted.map_err(|e| Error::from_io(what, &e))?;
        }
    }
    Ok(())
}

/// Saves the machine with all disks. An old snapshot of that name makes way, or is an error.
pub(super) fn save(
    rt: &mut Rt,
    tag: Option<&str>,
    replaces: bool,
    vmstate: Option<&str>,
    devices: Option<&[String]>,
) -> Result<(), Error> {
    let m = &mut rt.state;
    m.check_movable()?;
    let disks = disks(m, devices)?;
    if let Some(tag) = tag {
        if replaces {
            delete_from(m, &disks, tag)?;
        } else if disks.iter().any(|disk| find(m, disk, tag).is_some()) {
            return Err(Error::new(format!(
                "Snapshot '{tag}' already exists in one or more devices"
            )));
        }
    }
    let keeper = vmstate_disk(m, &disks, vmstate)?;
    let host = rt.main_loop().clock_get_ns(ClockType::Host).unsigned_abs();
    let clock = rt.main_loop().clock_get_ns(ClockType::Virtual);
    let date = (host / 1_000_000_000, host % 1_000_000_000);
    let date = (date.0 as u32, date.1 as u32);
    let tag = tag.map_or_else(|| made_up(host), str::to_owned);
    let before = rt.state.run.current();
    let events = rt.state.run.vm_stop(RunState::SaveVm);
    emit(rt, &events);
    let m = &mut rt.state;
    let bytes = save_machine(m, before, clock);
    let saved = write(m, &disks, &keeper, &tag, &bytes, date, clock.unsigned_abs());
    go_on(rt, before);
    saved
}

fn write(
    m: &mut Machine,
    disks: &[String],
    keeper: &str,
    tag: &str,
    bytes: &[u8],
    date: (u32, u32),
    clock: u64,
) -> Result<(), Error> {
    let blocks = &mut m.blocks;
    let written = blocks.write_vm_state(keeper, 0, bytes);
    written.map_err(|e| Error::from_io("Error while writing VM state", &e))?;
    for disk in disks
        .iter()
        .filter(|disk| blocks.can_snapshot(disk))
        .cloned()
        .collect::<Vec<_>>()
    {
        let size = if disk == keeper {
            bytes.len() as u64
        } else {
            0
        };
        let made = blocks.snapshot_save(&disk, tag, date, clock, size);
        made.map_err(|e| Error::from_io(format!("Error while creating snapshot on '{disk}'"), &e))?;
    }
    let dropped = blocks.drop_vm_state(keeper, bytes.len() as u64);
    dropped.map_err(|e| Error::from_io("Error while writing VM state", &e))
}

/// The name of a snapshot that was given none.
fn made_up(host_ns: u64) -> String {
    let digits = iso8601(host_ns / 1000);
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    format!("vm-{}", &digits[..14])
}

fn go_on(rt: &mut Rt, before: RunState) {
    if before == RunState::Running {
        let events = rt.state.run.vm_start();
        emit(rt, &events);
    }
}

/// Makes the machine what it was. One that was stopped for it and cannot be loaded stays
/// stopped, as in QEMU.
pub(crate) fn load(
    rt: &mut Rt,
    tag: &str,
    vmstate: Option<&str>,
    devices: Option<&[String]>,
) -> Result<(), Error> {
    let before = rt.state.run.current();
    let events = rt.state.run.vm_stop(RunState::RestoreVm);
    emit(rt, &events);
    let m = &mut rt.state;
    let disks = disks(m, devices)?;
    if disks.is_empty() || disks.iter().any(|disk| find(m, disk, tag).is_none()) {
        vmstate_disk(m, &disks, vmstate)?;
        return Err(Error::new(format!(
            "Snapshot '{tag}' does not exist in one or more devices"
        )));
    }
    let keeper = vmstate_disk(m, &disks, vmstate)?;
    let size = find(m, &keeper, tag).map_or(0, |s| s.vm_state_size);
    if size == 0 {
        return Err(Error::new(
            "This is a disk-only snapshot. Revert to it  offline using qemu-img",
        ));
    }
    for disk in &disks {
        let id = find(m, disk, tag).map(|s| s.id.clone()).unwrap_or_default();
        let gone = m.blocks.snapshot_load(disk, &id);
        gone.map_err(|e| {
            Error::from_io(format!("Could not load snapshot '{tag}' on '{disk}'"), &e)
        })?;
    }
    let mut bytes = vec![0; size as usize];
    let read = m.blocks.read_vm_state(&keeper, 0, &mut bytes);
    read.map_err(|e| Error::from_io("Error while loading VM state", &e))?;
    load_machine(m, &bytes).map_err(|e| {
        Error::new(format!(
            "Error while loading VM state: {}: {}",
            e.kind, e.what
        ))
    })?;
    go_on(rt, before);
    Ok(())
}

/// Takes a snapshot away.
pub(super) fn delete(rt: &mut Rt, tag: &str, devices: Option<&[String]>) -> Result<(), Error> {
    let disks = disks(&rt.state, devices)?;
    delete_from(&mut rt.state, &disks, tag)
}

pub(super) fn hmp_savevm(hmp: Cx, args: &HmpArgs) {
    let result = save(hmp.rt, args.try_str("name"), true, None, None);
    hmp.handle_error(result);
}

pub(super) fn hmp_loadvm(hmp: Cx, args: &HmpArgs) {
    let result = load(hmp.rt, args.str("name"), None, None);
    hmp.handle_error(result);
}

pub(super) fn hmp_delvm(hmp: Cx, args: &HmpArgs) {
    let result = delete(hmp.rt, args.str("name"), None);
    hmp.handle_error(result);
}

/// The snapshots that all disks have, and those that only some have.
pub(super) fn hmp_info_snapshots(hmp: Cx, _: &HmpArgs) {
    let m = &hmp.rt.state;
    let names = written_disks(m).into_iter().map(|(_, name)| name);
    let names: Vec<_> = names.filter(|name| m.blocks.can_snapshot(name)).collect();
    let names = vmstate_disk(m, &names, None).map(|_| names);
    let names = match names {
        Ok(names) => names,
        Err(e) => return disk_failure(hmp, &e),
    };
    let is_whole = |s: &&Snapshot| names.iter().all(|disk| find(m, disk, &s.name).is_some());
    let mut page = String::new();
    let whole: Vec<_> = m
        .blocks
        .snapshots(&names[0])
        .iter()
        .filter(is_whole)
        .collect();
    if whole.is_empty() {
        page += "There is no snapshot available.\n";
    } else {
        page += "List of snapshots present on all disks:\n";
        page += HEADER;
        page.extend(whole.iter().map(|s| row(s, "--")));
    }
    for disk in &names {
        let partial = m.blocks.snapshots(disk).iter().filter(|s| !is_whole(s));
        let rows: String = partial.map(|s| row(s, &s.id)).collect();
        if !rows.is_empty() {
            page +=
                &format!("\nList of partial (non-loadable) snapshots on '{disk}':\n{HEADER}{rows}");
        }
    }
    hmp.print(page);
}

const HEADER: &str =
    "ID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT\n";

fn row(s: &Snapshot, id: &str) -> String {
    let micros = u64::from(s.date.0) * 1_000_000;
    let date = iso8601(micros);
    let date = date.get(..19).unwrap_or(&date).replace('T', " ");
    let ms = s.vm_clock / 1_000_000;
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let clock = format!("{hours:04}:{minutes:02}:{seconds:02}.{:03}", ms % 1000);
    let icount = s.icount.map_or("--".to_owned(), |count| count.to_string());
    let size = size_to_str(s.vm_state_size);
    format!(
        "{id:<7} {:<16} {size:>8}{date:>20}{clock:>16}{icount:>11}\n",
        s.name
    )
}
