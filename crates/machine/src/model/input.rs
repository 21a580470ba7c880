//! Who takes keys and moves of the pointer: one handler for each device that has one. The
//! first that takes a kind of input gets it, and a monitor can put another mouse first.

use super::board::Family;
use super::display::Screen;
use super::input_handlers::{InputHandler, InputHandlers, InputRole, DEVICES, PS2};
use super::qom::ObjectId;
use super::Machine;
use crate::schema::{InputEventKind, MouseInfo};
use qmonitor::qapi::{Error, ErrorClass, QObject};

impl Machine {
    /// Whether the board has a keyboard and a mouse of its own.
    pub(crate) fn has_ps2(&self) -> bool {
        let has = matches!(
            self.class.family,
            Family::Isa | Family::I440fx | Family::Q35
        );
        // A board that cannot do without has no such property.
        let i8042 = self.property(self.machine_object, "i8042");
        has && i8042 != Some(QObject::Bool(false))
    }

    /// The handlers of the devices that there are now.
    fn input_handlers(&mut self) -> &mut InputHandlers {
        let mut handlers = std::mem::take(&mut self.input);
        if handlers.seen.is_none() && self.has_ps2() {
            handlers.add(PS2, None);
        }
        let seen = handlers.seen.unwrap_or(0);
        let exists = |device: ObjectId| self.object(device).is_some();
        handlers.all.retain(|h| h.device.is_none_or(exists));
        let containers = ["peripheral", "peripheral-anon"].into_iter();
        let containers = containers.filter_map(|name| self.child(self.machine_object, name));
        let devices = containers.flat_map(|container| self.children(container));
        let mut new: Vec<_> = devices
            .map(|(_, id)| (self.age(id), id))
            .filter(|(age, id)| *age > seen && self.is_realized(*id))
            .collect();
        new.sort_unstable_by_key(|(age, _)| *age);
        for (_, id) in new {
            let class = self.class_name(id);
            if let Some((_, more)) = DEVICES.iter().find(|(name, _)| *name == class) {
                handlers.add(more, Some(id));
            }
        }
        handlers.seen = Some(self.newest_age());
        self.input = handlers;
        &mut self.input
    }

    /// The mice, the latest first; the one that gets the moves is marked.
    pub(crate) fn mice(&mut self) -> Vec<MouseInfo> {
        let handlers = &self.input_handlers().all;
        let pointers = handlers.iter().filter(|h| h.role.is_pointer());
        let info = |(at, h): (usize, &InputHandler)| MouseInfo {
            name: h.name.to_owned(),
            index: h.id,
            current: at == 0,
            absolute: h.role == InputRole::Tablet,
        };
        let mut mice: Vec<_> = pointers.enumerate().map(info).collect();
        mice.reverse();
        mice
    }

    /// Puts a mouse first.
    ///
    /// # Errors
    ///
    /// There is none of that number.
    pub(crate) fn choose_mouse(&mut self, index: i64) -> Result<(), Error> {
        let handlers = &mut self.input_handlers().all;
        let at = handlers.iter().position(|h| h.id == index);
        let at = at.ok_or_else(|| Error::new(format!("Mouse at index '{index}' not found")))?;
        if !handlers[at].role.is_pointer() {
            let name = handlers[at].name;
            let desc = format!("Input device '{name}' is not a mouse");
            return Err(Error::new(desc));
        }
        handlers[..=at].rotate_right(1);
        Ok(())
    }

    /// Whether a device takes input of a kind.
    pub(crate) fn takes_input(&mut self, kind: InputEventKind) -> bool {
        let handlers = self.input_handlers().all.iter();
        handlers.into_iter().any(|h| h.role.takes(kind))
    }

    /// Whether the keyboard of the board is the one that gets keys.
    pub(crate) fn keys_go_to_board(&mut self) -> bool {
        let handlers = &self.input_handlers().all;
        let mut keyboards = handlers.iter().filter(|h| h.role == InputRole::Keyboard);
        keyboards.next().is_some_and(|h| h.device.is_none())
    }

    /// Refuses a device that is no display.
    ///
    /// # Errors
    ///
    /// There is no such device, or it has no such screen.
    pub(crate) fn check_console(&self, device: &str, head: i64) -> Result<(), Error> {
        // It is looked for on the buses, where modules of memory are not.
        let on_bus = |id: &ObjectId| self.link(*id, "parent_bus").is_some();
        let id = self.find_device(device).filter(on_bus).ok_or_else(|| {
            let desc = format!("Device '{device}' not found");
            Error::with_class(ErrorClass::DeviceNotFound, desc)
        })?;
        if self.has_head(id, head) {
            return Ok(());
        }
        Err(Error::new(format!(
            "Device {device} (head {head}) is not bound to a QemuConsole"
        )))
    }

    /// What a display shows: only an adapter of VGA has a text screen from the start.
    pub(crate) fn screen(&self, id: ObjectId) -> Screen {
        let class = self.class_name(id);
        let has_text = class.contains("vga") && class != "secondary-vga" || class == "VGA";
        if has_text {
            Screen::TEXT
        } else {
            Screen::EMPTY
        }
    }

    /// What the first display shows.
    pub(crate) fn first_screen(&self) -> Screen {
        let first = self.displays().into_iter().next();
        first.map_or(Screen::EMPTY, |id| self.screen(id))
    }

    /// Whether a device has a screen of that number.
    pub(crate) fn has_head(&self, id: ObjectId, head: i64) -> bool {
        let heads = match self.int_property(id, "max_outputs") {
            0 => 1,
            heads => heads,
        };
        self.is_display(id) && (0..heads).contains(&head)
    }
}
