//! The types of objects there are, and making and deleting objects.
//!
//! `object-add` brings a dictionary whose shape the schema has checked
//! (`ObjectOptions`). It is taken apart again: the object is made, its
//! properties are set one by one through the setters that `qom-set` uses as
//! well, it is put below `/objects`, and last its `complete` function checks the
//! properties together, opens files, and so on. If a step fails, nothing is left
//! behind.
//!
//! Two things need the program around the machine: an object that uses a
//! chardev ([`Machine::chardev_wanted`]), and one that is a monitor
//! ([`Machine::monitor_wanted`]). The caller of [`Machine::object_add`] attaches
//! the one or starts the other, or deletes the object again.
//!
//! Types that only QEMU has are still in the schema, and are refused as QEMU refuses
//! a type it was built without.

pub(super) mod authz;
pub(super) mod host;
pub(super) mod iothread;
mod memdev;
pub(super) mod memory_backend;
pub(super) mod monitor;
pub(super) mod pc;
pub(super) mod rng;
pub(crate) mod secret;
pub(super) mod system;
pub(super) mod throttle;
pub(super) mod tls;

#[cfg(test)]
mod tests;

use crate::model::qom::{ObjectId, ObjectType, PropertyInput};
use crate::model::types::find_type;
use crate::model::Machine;
use qmonitor::qapi::{CompatPolicy, Error, QDict};
use qmonitor::util::qemu_opts::id_wellformed;

pub use iothread::IothreadParams;
pub use memdev::MemdevParams;
pub(crate) use pc::GENERIC_PC_MACHINE;
pub(crate) use system::{BUS, CONTAINER, MACHINE, MEMORY_REGION, SYSTEM_BUS};

impl Machine {
    /// Makes an object below `/objects` (`user_creatable_add_qapi`). `options`
    /// holds `qom-type`, `id`, and properties.
    ///
    /// # Errors
    ///
    /// The id is malformed or in use, the type does not exist here, a property
    /// is wrong, or the object cannot do its work. Nothing is left then.
    pub fn object_add(&mut self, options: QDict, policy: CompatPolicy) -> Result<ObjectId, Error> {
        let typename = options.get_str("qom-type").unwrap_or_default().to_owned();
        let name = options.get_str("id").unwrap_or_default().to_owned();
        if !id_wellformed(&name) {
            return Err(
                Error::new("Parameter 'id' expects an identifier").with_hint(
                    "Identifiers consist of letters, digits, '-', '.', '_', \
                     starting with a letter.\n",
                ),
            );
        }
        let offered = |name| self.user_types.is_none_or(|types| types.contains(&name));
        let class = find_type(&typename)
            .filter(|class| class.user_creatable && offered(class.name))
            .ok_or_else(|| Error::new(format!("invalid object type: {typename}")))?;
        let id = self.object_new(class);
        let result = self.object_setup(id, class, &name, options, policy);
        if result.is_err() {
            self.unparent(id);
        }
        result.map(|()| id)
    }

    fn object_setup(
        &mut self,
        id: ObjectId,
        class: &'static ObjectType,
        name: &str,
        options: QDict,
        policy: CompatPolicy,
    ) -> Result<(), Error> {
        for (property, value) in options {
            if property != "qom-type" && property != "id" {
                let input = PropertyInput::json(&property, value, policy);
                self.property_set(id, &property, &input)?;
            }
        }
        if !self.add_child(self.objects_container, name, id) {
            return Err(Error::new(format!(
                "attempt to add duplicate property '{name}' to object (type 'container')"
            )));
        }
        for complete in class.ancestry().filter_map(|t| t.complete) {
            complete(self, id)?;
        }
        self.set_complete(id, true);
        Ok(())
    }

    /// The id of the chardev that the object needs for itself, if it does.
    pub fn chardev_wanted(&self, id: ObjectId) -> Option<String> {
        let class = self.object(id)?.class();
        class
            .is_a("rng-egd")
            .then(|| self.str_property(id, "chardev"))
    }

    /// The object that `object-add` made with this id.
    pub fn user_object(&self, name: &str) -> Option<ObjectId> {
        self.child(self.objects_container, name)
    }

    /// The ids of the objects that `object-add` made, in order of making.
    pub fn user_objects(&self) -> impl Iterator<Item = (&str, ObjectId)> {
        self.children(self.objects_container)
    }

    /// Deletes an object that `object-add` made (`user_creatable_del`).
    ///
    /// # Errors
    ///
    /// There is no such object, or it is in use.
    pub fn object_del(&mut self, name: &str) -> Result<(), Error> {
        let id = self
            .user_object(name)
            .ok_or_else(|| Error::new(format!("object '{name}' not found")))?;
        let class = self.object(id).map(|o| o.class());
        let mut checks = class.into_iter().flat_map(|c| c.ancestry());
        let free = checks.all(|t| t.can_be_deleted.is_none_or(|check| check(self, id)));
        if !free {
            return Err(Error::new(format!(
                "object '{name}' is in use, can not be deleted"
            )));
        }
        self.unparent(id);
        Ok(())
    }
}
