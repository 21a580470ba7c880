//! What keeps the machine from being moved: devices whose state QEMU does not save, and disks
//! and memory that only one machine can use. With `-only-migratable` they are refused.

use crate::model::qom::ObjectId;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// A type of devices whose state is not saved.
struct Unmovable {
    /// The type.
    class: &'static str,
    /// The part that has no state, which is another type behind an adapter.
    part: &'static str,
    /// The name of its state.
    state: &'static str,
}

const fn whole(class: &'static str, state: &'static str) -> Unmovable {
    Unmovable {
        class,
        part: class,
        state,
    }
}

const fn behind(class: &'static str, part: &'static str, state: &'static str) -> Unmovable {
    Unmovable { class, part, state }
}

/// As QEMU 10.0.2 tells them when each type is plugged.
const UNMOVABLE: &[Unmovable] = &[
    whole("amd-iommu", "amd-iommu"),
    whole("nvme", "nvme"),
    whole("rocker", "rocker"),
    whole("ufs", "ufs"),
    whole("usb-audio", "usb-audio"),
    whole("usb-braille", "usb-serial"),
    whole("usb-mtp", "usb-mtp"),
    whole("usb-net", "usb-net"),
    whole("usb-serial", "usb-serial"),
    whole("usb-uas", "usb-uas"),
    whole("usb-wacom-tablet", "usb-wacom"),
    behind(
        "vhost-user-gpio-pci",
        "vhost-user-gpio-device",
        "vhost-user-gpio",
    ),
    behind(
        "vhost-user-i2c-pci",
        "vhost-user-i2c-device",
        "vhost-user-i2c",
    ),
    behind(
        "vhost-user-input-pci",
        "vhost-user-input",
        "vhost-user-input",
    ),
    behind("vhost-user-rng-pci", "vhost-user-rng", "vhost-user-rng"),
    behind("vhost-user-snd-pci", "vhost-user-snd", "vhost-user-snd"),
    behind(
        "vhost-user-vsock-pci",
        "vhost-user-vsock-device",
        "vhost-user_vsock",
    ),
    behind("vhost-vdpa-device-pci", "vhost-vdpa-device", "vhost-vdpa"),
    behind("virtio-crypto-pci", "virtio-crypto-device", "virtio-crypto"),
    behind(
        "virtio-input-host-pci",
        "virtio-input-host-device",
        "virtio-input-host",
    ),
    behind("virtio-sound-pci", "virtio-sound-device", "virtio-sound"),
];

/// What all variants of an adapter have in their names.
const VARIANTS: [&str; 2] = ["-non-transitional", "-transitional"];

fn unmovable(class: &str) -> Option<&'static Unmovable> {
    let plain = VARIANTS.iter().find_map(|end| class.strip_suffix(end));
    let plain = plain.unwrap_or(class);
    UNMOVABLE.iter().find(|known| known.class == plain)
}

/// Formats of images whose data another machine cannot take over, with their names in the text.
const FORMATS: &[(&str, &str)] = &[
    ("bochs", "bochs"),
    ("cloop", "cloop"),
    ("dmg", "dmg"),
    ("parallels", "Parallels"),
    ("qcow", "qcow"),
    ("vdi", "vdi"),
    ("vhdx", "vhdx"),
    ("vmdk", "vmdk"),
    ("vpc", "vpc"),
];

impl Machine {
    /// The reasons why the machine cannot be moved, in QEMU's order.
    pub(crate) fn migration_blockers(&self) -> Vec<String> {
        let mut reasons = self.shared_memories();
        reasons.extend(self.immovable_nodes().map(|(_, reason)| reason));
        let devices = self.unmovable_devices();
        let devices = devices.iter().rev();
        reasons.extend(devices.map(|path| format!("non-migratable device: {path}")));
        reasons
    }

    /// Refuses to move the machine, or to save it in a snapshot.
    ///
    /// # Errors
    ///
    /// Something keeps it here: the oldest device is told first.
    pub(crate) fn check_movable(&self) -> Result<(), Error> {
        if let Some(path) = self.unmovable_devices().first() {
            let desc = format!("State blocked by non-migratable device '{path}'");
            return Err(Error::new(desc));
        }
        match self.migration_blockers().first() {
            Some(reason) => Err(Error::new(reason.clone())),
            None => Ok(()),
        }
    }

    /// Refuses a device under `-only-migratable`, before it is asked for what it needs or, if
    /// the part behind an adapter is meant, after that.
    pub(crate) fn check_only_migratable(
        &self,
        id: ObjectId,
        has_what_it_needs: bool,
    ) -> Result<(), Error> {
        if !self.migration.only_migratable {
            return Ok(());
        }
        if has_what_it_needs && self.shares_memory(id) {
            return Err(refused(PEER));
        }
        match unmovable(self.class_name(id)) {
            Some(found) if (found.part == found.class) != has_what_it_needs => {
                let part = found.part;
                Err(Error::new(format!(
                    "Device {part} is not migratable, but --only-migratable was specified"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what nodes beyond the known ones bring, as `-only-migratable` asks for.
    pub(crate) fn check_new_nodes(&self, known: &[String]) -> Result<(), Error> {
        let mut nodes = self.immovable_nodes();
        match nodes.find(|(name, _)| !known.iter().any(|k| k == name)) {
            Some((_, reason)) => Err(refused(&reason)),
            None => Ok(()),
        }
    }

    /// Nodes of formats that keep the machine here, the oldest first, and why.
    fn immovable_nodes(&self) -> impl Iterator<Item = (&str, String)> {
        let nodes = self.blocks.nodes().rev();
        nodes.filter_map(|node| {
            let format = node.driver_name();
            let (_, shown) = FORMATS.iter().find(|(name, _)| *name == format)?;
            let name = node.name.as_str();
            let reason =
                format!("The {shown} format used by node '{name}' does not support live migration");
            Some((name, reason))
        })
    }

    fn shares_memory(&self, id: ObjectId) -> bool {
        let class = self.class_name(id);
        matches!(class, "ivshmem-plain" | "ivshmem-doorbell")
            && self.str_property(id, "master") != "on"
    }

    /// A reason for each device that shares memory with other machines.
    fn shared_memories(&self) -> Vec<String> {
        let devices = self.realized_devices().into_iter();
        let shared = devices.filter(|id| self.shares_memory(*id));
        shared.map(|_| PEER.to_owned()).collect()
    }

    /// The states that cannot be saved, the oldest first.
    fn unmovable_devices(&self) -> Vec<String> {
        let devices = self.realized_devices().into_iter();
        let path = |id| {
            let state = unmovable(self.class_name(id))?.state;
            let place = self.place_of(id);
            Some(place.map_or_else(|| state.to_owned(), |place| format!("{place}/{state}")))
        };
        devices.filter_map(path).collect()
    }

    /// Devices that users have plugged, the oldest first.
    fn realized_devices(&self) -> Vec<ObjectId> {
        let containers = ["peripheral", "peripheral-anon"];
        let containers = containers.map(|name| self.child(self.machine_object, name));
        let containers = containers.into_iter().flatten();
        let mut devices: Vec<_> = containers
            .flat_map(|container| self.children(container))
            .map(|(_, id)| id)
            .collect();
        devices.sort_unstable_by_key(|id| self.age(*id));
        devices
    }

    /// Where a device sits, by the addresses from the root on.
    fn place_of(&self, id: ObjectId) -> Option<String> {
        let bus = self.link(id, "parent_bus")?;
        let owner = self.parent(bus)?;
        if self.object(bus)?.class().is_a("PCI") {
            let address = pci_text(self.int_property(id, "addr"));
            let above = self
                .place_of(owner)
                .filter(|place| place.starts_with("0000:"));
            return Some(match above {
                Some(above) => format!("{above}:{address}"),
                None => format!("0000:00:{address}"),
            });
        }
        let port = self.str_property(id, "port");
        let above = self.place_of(owner)?;
        (!port.is_empty()).then(|| format!("{above}/{port}"))
    }
}

/// Slot and function as paths have them.
fn pci_text(address: i64) -> String {
    format!("{:02x}.{:x}", address / 8, address % 8)
}

const PEER: &str = "Migration is disabled when using feature 'peer mode' in device 'ivshmem'";

fn refused(reason: &str) -> Error {
    Error::new(format!(
        "disallowing migration blocker (--only-migratable) for: {reason}"
    ))
}
