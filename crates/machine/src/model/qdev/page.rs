//! What `info qtree` says of a device.

use crate::model::qom::ObjectId;
use crate::model::shapes::Shape;
use crate::model::Machine;
use qmonitor::qapi::QObject;

impl Machine {
    /// Whether an object is a bus.
    pub(crate) fn is_bus(&self, id: ObjectId) -> bool {
        self.object(id).is_some_and(|o| o.class().is_a("bus"))
    }

    /// The lines of a device as QEMU shows them when nothing was set.
    pub(crate) fn page_lines(&self, id: ObjectId) -> Vec<&'static str> {
        let shape = Shape::of(self.class_name(id));
        shape.map_or_else(Vec::new, |shape| shape.lines().collect())
    }

    /// The value that a property of a device was set to. That of the part behind PCI is kept in
    /// the whole.
    pub(crate) fn page_value(&self, id: ObjectId, name: &str) -> Option<QObject> {
        let class = self.object(id)?.class();
        // A port that QEMU has chosen is not told here.
        if name == "port" && class.is_a("usb-device") {
            return None;
        }
        let of = |id| {
            let link = self.link(id, name).map(|to| self.canonical_path(to).into());
            link.or_else(|| self.cell(id, name))
        };
        of(id).or_else(|| {
            let is_part = class.is_a("virtio-device");
            of(self.parent(id).filter(|_| is_part)?)
        })
    }
}
