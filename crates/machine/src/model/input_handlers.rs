//! The handlers of input: what each takes, and which devices have which.

use super::qom::ObjectId;
use crate::schema::InputEventKind;

/// What a handler takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputRole {
    Keyboard,
    Mouse,
    Tablet,
    Touch,
}

/// A device that takes input.
#[derive(Debug, Clone)]
pub(crate) struct InputHandler {
    /// Its number, which no other gets.
    pub(super) id: i64,
    pub(super) role: InputRole,
    pub(super) name: &'static str,
    /// The device; the board has its own keyboard and mouse.
    pub(super) device: Option<ObjectId>,
}

/// All handlers, in the order in which input is offered to them.
#[derive(Debug, Default)]
pub(crate) struct InputHandlers {
    pub(super) all: Vec<InputHandler>,
    last_id: i64,
    /// The age of the latest object that was looked at.
    pub(super) seen: Option<u64>,
}

pub(super) const PS2: &[(InputRole, &str)] = &[
    (InputRole::Keyboard, "QEMU PS/2 Keyboard"),
    (InputRole::Mouse, "QEMU PS/2 Mouse"),
];

/// Types of devices, and their handlers.
pub(super) const DEVICES: &[(&str, &[(InputRole, &str)])] = &[
    ("i8042", PS2),
    ("usb-kbd", &[(InputRole::Keyboard, "QEMU HID Keyboard")]),
    ("usb-mouse", &[(InputRole::Mouse, "QEMU HID Mouse")]),
    ("usb-tablet", &[(InputRole::Tablet, "QEMU HID Tablet")]),
    (
        "virtio-keyboard-pci",
        &[(InputRole::Keyboard, "QEMU Virtio Keyboard")],
    ),
    (
        "virtio-mouse-pci",
        &[(InputRole::Mouse, "QEMU Virtio Mouse")],
    ),
    (
        "virtio-tablet-pci",
        &[(InputRole::Tablet, "QEMU Virtio Tablet")],
    ),
    (
        "virtio-multitouch-pci",
        &[(InputRole::Touch, "QEMU Virtio MultiTouch")],
    ),
];

impl InputRole {
    /// Whether it takes input of a kind.
    pub(super) fn takes(self, kind: InputEventKind) -> bool {
        match kind {
            InputEventKind::Key => self == InputRole::Keyboard,
            InputEventKind::Btn => self != InputRole::Keyboard,
            InputEventKind::Rel => self == InputRole::Mouse,
            InputEventKind::Abs => self == InputRole::Tablet,
            InputEventKind::Mtt => self == InputRole::Touch,
        }
    }

    pub(super) fn is_pointer(self) -> bool {
        matches!(self, InputRole::Mouse | InputRole::Tablet)
    }
}

impl InputHandlers {
    pub(super) fn add(&mut self, handlers: &[(InputRole, &'static str)], device: Option<ObjectId>) {
        for (role, name) in handlers {
            self.last_id += 1;
            self.all.push(InputHandler {
                id: self.last_id,
                role: *role,
                name,
                device,
            });
        }
    }
}
