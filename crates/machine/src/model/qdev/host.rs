//! What devices need of the host: checks when a device is made, with QEMU's words.

use std::fs::{File, OpenOptions};
use std::path::Path;

use crate::model::qom::ObjectId;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// How the user names a device of the host.
const VFIO_HINT: &str = "Use -device vfio-pci,host=DDDD:BB:DD.F or -device vfio-pci,fd=DEVICE_FD \
                         or -device vfio-pci,sysfsdev=PATH_TO_DEVICE\n";

impl Machine {
    /// Checks that the host has what a new device needs of it.
    ///
    /// # Errors
    ///
    /// It has not.
    pub(super) fn check_host_parts(&self, id: ObjectId) -> Result<(), Error> {
        let name = self.class_name(id);
        match name {
            "tpm-tis" | "tpm-crb" => self.check_tpm(id),
            "vfio-pci" => self.check_vfio(id),
            name if name.starts_with("virtio-9p-pci") => self.check_directory(id),
            name if name.starts_with("vhost-vsock-pci") => {
                let given = !self.str_property(id, "vhostfd").is_empty();
                let what = "vhost-vsock: failed to open vhost device";
                check_vhost(given, "/dev/vhost-vsock", what)
            }
            name if name.starts_with("vhost-scsi-pci") => {
                let given = !self.str_property(id, "vhostfd").is_empty();
                let what = "vhost-scsi: open vhost char device failed";
                check_vhost(given, "/dev/vhost-scsi", what)
            }
            _ if self
                .object(id)
                .is_some_and(|o| o.class().property("audiodev").is_some()) =>
            {
                self.check_sound(id)
            }
            _ => Ok(()),
        }
    }

    fn check_tpm(&self, id: ObjectId) -> Result<(), Error> {
        let (name, tpm) = (self.class_name(id), self.str_property(id, "tpmdev"));
        if self.host.tpms.contains(&tpm) {
            return Ok(());
        }
        let desc = format!("Property '{name}.tpmdev' can't find value '{tpm}'");
        Err(Error::new(desc))
    }

    fn check_directory(&self, id: ObjectId) -> Result<(), Error> {
        let fsdev = self.str_property(id, "fsdev");
        let mut known = self.host.directories.iter();
        let Some((_, path)) = known.find(|(known, _)| *known == fsdev) else {
            return Err(Error::new(format!(
                "9pfs device couldn't find fsdev with the id = {fsdev}"
            )));
        };
        if path.is_empty() {
            return Ok(());
        }
        let what = || format!("cannot initialize fsdev '{fsdev}': failed to open '{path}'");
        let opened = std::fs::read_dir(path);
        opened.map(drop).map_err(|e| Error::from_io(what(), &e))
    }

    fn check_vfio(&self, id: ObjectId) -> Result<(), Error> {
        let (host, sysfs) = (
            self.str_property(id, "host"),
            self.str_property(id, "sysfsdev"),
        );
        if host.is_empty() && sysfs.is_empty() {
            return Err(Error::new("No provided host device").with_hint(VFIO_HINT));
        }
        let path = if sysfs.is_empty() {
            let address = host_address(&host).ok_or_else(|| {
                Error::new(format!(
                    "Property 'vfio-pci.host' doesn't take value '{host}'"
                ))
            })?;
            format!("/sys/bus/pci/devices/{address}")
        } else {
            sysfs
        };
        let what = if Path::new(&path).exists() {
            let device = path.rsplit('/').next().unwrap_or_default();
            format!("vfio {device}: no iommu_group found")
        } else {
            format!("vfio {path}: no such host device")
        };
        Err(Error::new(format!("{what}: No such file or directory")))
    }

    fn check_sound(&self, id: ObjectId) -> Result<(), Error> {
        let wanted = self.str_property(id, "audiodev");
        let mut known = self.audiodevs.iter();
        if !wanted.is_empty() {
            return if known.any(|audiodev| audiodev.id == wanted) {
                Ok(())
            } else {
                Err(Error::new(format!("audiodev '{wanted}' not found")))
            };
        }
        let e = Error::new("no default audio driver available");
        match known.next() {
            None if self.host.plays_by_default => Ok(()),
            None => Err(e),
            Some(first) => {
                let id = &first.id;
                let hint = format!("Perhaps you wanted to use -audio or set audiodev={id}?\n");
                Err(e.with_hint(hint))
            }
        }
    }
}

fn check_vhost(given: bool, path: &str, what: &str) -> Result<(), Error> {
    if given {
        return Ok(());
    }
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened
        .map(|_: File| ())
        .map_err(|e| Error::from_io(what, &e))
}

/// An address of PCI in full: `00:1f.0` is one in the first domain.
fn host_address(text: &str) -> Option<String> {
    let (rest, function) = text.rsplit_once('.')?;
    let mut numbers = rest.split(':').rev();
    let mut next = || u32::from_str_radix(numbers.next()?, 16).ok();
    let (slot, bus) = (next()?, next()?);
    let domain = match rest.matches(':').count() {
        1 => 0,
        2 => next()?,
        _ => return None,
    };
    let function: u32 = function.parse().ok()?;
    (slot < 32 && function < 8).then(|| format!("{domain:04x}:{bus:02x}:{slot:02x}.{function}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_host_are_completed() {
        for (text, full) in [
            ("00:1f.0", Some("0000:00:1f.0")),
            ("0001:02:3.7", Some("0001:02:03.7")),
            ("foo", None),
            ("1f.0", None),
            ("00:20.0", None),
        ] {
            assert_eq!(host_address(text).as_deref(), full, "{text}");
        }
    }
}
