//! The objects that are in the tree from the start: containers, the machine, memory
//! regions, the main bus; and the types of chardevs.

use crate::model::qom::{
    set_bool, set_int, set_link, set_str, Getter, ObjectId, ObjectType, Property, OBJECT,
};
use crate::model::Machine;
use qmonitor::qapi::{QDict, QObject};
use qmonitor::Profile;

pub(crate) static TYPES: &[&ObjectType] = &[
    &CONTAINER,
    &MACHINE,
    &MEMORY_REGION,
    &BUS,
    &SYSTEM_BUS,
    &ACCEL,
    &TCG_ACCEL,
    &CHARDEV,
    &CHARDEV_FD,
    &CHARDEV_SOCKET,
    &CHARDEV_FILE,
    &CHARDEV_PIPE,
    &CHARDEV_STDIO,
    &CHARDEV_SERIAL,
    &CHARDEV_PARALLEL,
    &CHARDEV_NULL,
    &CHARDEV_PTY,
    &CHARDEV_UDP,
    &CHARDEV_MUX,
    &CHARDEV_HUB,
    &CHARDEV_RINGBUF,
    &CHARDEV_MEMORY,
    &CHARDEV_TESTDEV,
    &CHARDEV_MSMOUSE,
    &CHARDEV_WCTABLET,
    &CHARDEV_VC,
];

/// A console of text, of which a program has one even without a display.
static TEXT_CONSOLE: ObjectType = ObjectType::new("qemu-text-console", &OBJECT);

pub(crate) static CONTAINER: ObjectType = ObjectType::new("container", &OBJECT);

/// The type that those of all machines in `board` are derived from.
pub(crate) static MACHINE: ObjectType =
    ObjectType::new_abstract("machine", &OBJECT, &MACHINE_PROPERTIES);

static MACHINE_PROPERTIES: [Property; 24] = [
    text("kernel", "Linux kernel image file"),
    text(
        "dt-compatible",
        "Overrides the \"compatible\" property of the dt root node",
    ),
    Property::new("boot", "BootConfiguration", Getter::EmptyDict, None)
        .describe("Boot configuration"),
    Property::new(
        "memory",
        "MemorySizeConfiguration",
        Getter::With(memory_size),
        None,
    )
    .describe("Memory size configuration"),
    text("initrd", "Linux initial ramdisk file"),
    Property::new(
        "confidential-guest-support",
        "link<confidential-guest-support>",
        Getter::Link,
        Some(set_link),
    )
    .describe("Set confidential guest scheme to support"),
    flag("aux-ram-share", Getter::Bool(false), ""),
    flag(
        "graphics",
        Getter::Bool(true),
        "Set on/off to enable/disable graphics emulation",
    ),
    flag(
        "usb",
        Getter::Bool(false),
        "Set on/off to enable/disable usb",
    ),
    text("firmware", "Firmware image"),
    text("memory-encryption", "Set memory encryption object to use"),
    flag(
        "dump-guest-core",
        Getter::Bool(true),
        "Include guest memory in a core dump",
    ),
    Property::new(
        "smp",
        "SMPConfiguration",
        Getter::With(smp_configuration),
        None,
    )
    .describe("CPU topology"),
    text("shim", "shim.efi file"),
    Property::new(
        "smp-cache",
        "SmpCachePropertiesWrapper",
        Getter::With(smp_cache),
        None,
    )
    .describe("Cache properties list for SMP machine"),
    text("dumpdtb", "Dump current dtb to a file and quit"),
    Property::new("phandle-start", "int", Getter::Int(0), Some(set_int))
        .describe("The first phandle ID we may generate dynamically"),
    Property::new(
        "memory-backend",
        "link<memory-backend>",
        Getter::Link,
        Some(set_link),
    )
    .describe("Set RAM backendValid value is ID of hostmem based backend"),
    flag(
        "mem-merge",
        Getter::Bool(true),
        "Enable/disable memory merge support",
    ),
    text("dtb", "Linux kernel device tree file"),
    text("append", "Linux kernel command line"),
    flag(
        "suppress-vmdesc",
        Getter::Bool(false),
        "Set on to disable self-describing migration",
    ),
    flag(
        "spcr",
        Getter::Bool(true),
        "Set on/off to enable/disable SPCR table",
    )
    .since(Profile::V11_1),
    flag(
        "x-change-vmfd-on-reset",
        Getter::Bool(false),
        "Set on/off to enable/disable generating new KVM guest handle on guest reset. Default: off \
         (used only for testing/debugging).",
    )
    .since(Profile::V11_1),
];

pub(super) const fn text(name: &'static str, description: &'static str) -> Property {
    Property::new(name, "string", Getter::Str(""), Some(set_str)).describe(description)
}

pub(super) const fn flag(
    name: &'static str,
    default: Getter,
    description: &'static str,
) -> Property {
    Property::new(name, "bool", default, Some(set_bool)).describe(description)
}

/// Which processors share a cache is left at the default.
fn smp_cache(_: &Machine, _: ObjectId) -> QObject {
    let caches = ["l1d", "l1i", "l2", "l3"].map(|cache| {
        let members = [("cache", cache), ("topology", "default")];
        members.into_iter().collect::<QDict>().into()
    });
    QObject::List(caches.into())
}

fn memory_size(m: &Machine, _: ObjectId) -> QObject {
    let members = [("size", m.ram_size())];
    members.into_iter().collect::<QDict>().into()
}

fn smp_configuration(m: &Machine, _: ObjectId) -> QObject {
    let t = m.topology();
    let members = [
        ("cpus", t.cpus),
        ("drawers", 1),
        ("books", 1),
        ("sockets", t.sockets),
        ("dies", t.dies),
        ("clusters", 1),
        ("modules", t.modules),
        ("cores", t.cores),
        ("threads", t.threads),
        ("maxcpus", t.max_cpus),
    ];
    members.into_iter().collect::<QDict>().into()
}

pub(crate) static MEMORY_REGION: ObjectType = ObjectType {
    properties: &[
        Property::new("container", "link<memory-region>", Getter::Link, None),
        Property::new("addr", "uint64", Getter::Int(0), None),
        Property::new("size", "uint64", Getter::With(region_size), None),
        Property::new("priority", "uint32", Getter::Int(0), None),
    ],
    ..ObjectType::new("memory-region", &OBJECT)
};

/// Regions of memory backends are as large as these; of the two others, one
/// holds all addresses and one all ports.
fn region_size(m: &Machine, id: ObjectId) -> QObject {
    let name = m.object(id).map_or("", |o| o.name());
    let backend = m.parent(id).filter(|p| m.backend_size(*p).is_some());
    match (backend.and_then(|b| m.backend_size(b)), name) {
        (Some(size), _) => size.into(),
        (None, "io[0]") => 65536u64.into(),
        (None, _) => u64::MAX.into(),
    }
}

pub(crate) static BUS: ObjectType = ObjectType::new_abstract(
    "bus",
    &OBJECT,
    &[
        Property::new("realized", "bool", Getter::Bool(false), None),
        Property::new(
            "hotplug-handler",
            "link<hotplug-handler>",
            Getter::Link,
            None,
        ),
    ],
);
pub(crate) static SYSTEM_BUS: ObjectType = ObjectType::new("System", &BUS);

// Management software looks for this type to learn whether it can do without
// hardware support.
static ACCEL: ObjectType = ObjectType::new_abstract("accel", &OBJECT, &[]);
static TCG_ACCEL: ObjectType = ObjectType {
    properties: &[
        Property::new("one-insn-per-tb", "bool", Getter::Bool(false), None)
            .describe("Only put one guest insn in each translation block"),
        Property::new("thread", "string", Getter::Str("multi"), None),
        Property::new("tb-size", "int", Getter::Int(0), None)
            .describe("TCG translation block cache size"),
        Property::new("split-wx", "bool", Getter::Bool(false), None)
            .describe("Map jit pages into separate RW and RX regions"),
    ],
    ..ObjectType::new("tcg-accel", &ACCEL)
};

// Objects of these types are the monitor's chardevs; see `ChardevNode`.
static CHARDEV: ObjectType = ObjectType::new_abstract("chardev", &OBJECT, &[]);
static CHARDEV_FD: ObjectType = ObjectType::new_abstract("chardev-fd", &CHARDEV, &[]);
static CHARDEV_SOCKET: ObjectType = ObjectType {
    properties: &[
        Property::new("addr", "SocketAddress", Getter::EmptyDict, None),
        Property::new("connected", "bool", Getter::Bool(false), None),
    ],
    ..ObjectType::new("chardev-socket", &CHARDEV)
};
static CHARDEV_FILE: ObjectType = ObjectType::new("chardev-file", &CHARDEV_FD);
static CHARDEV_PIPE: ObjectType = ObjectType::new("chardev-pipe", &CHARDEV_FD);
static CHARDEV_STDIO: ObjectType = ObjectType::new("chardev-stdio", &CHARDEV_FD);
static CHARDEV_SERIAL: ObjectType = ObjectType::new("chardev-serial", &CHARDEV_FD);
static CHARDEV_PARALLEL: ObjectType = ObjectType::new("chardev-parallel", &CHARDEV);
static CHARDEV_NULL: ObjectType = ObjectType::new("chardev-null", &CHARDEV);
static CHARDEV_PTY: ObjectType = ObjectType::new("chardev-pty", &CHARDEV);
static CHARDEV_UDP: ObjectType = ObjectType::new("chardev-udp", &CHARDEV);
static CHARDEV_MUX: ObjectType = ObjectType::new("chardev-mux", &CHARDEV);
static CHARDEV_HUB: ObjectType = ObjectType::new("chardev-hub", &CHARDEV);
static CHARDEV_RINGBUF: ObjectType = ObjectType::new("chardev-ringbuf", &CHARDEV);
static CHARDEV_MEMORY: ObjectType = ObjectType::new("chardev-memory", &CHARDEV_RINGBUF);
static CHARDEV_TESTDEV: ObjectType = ObjectType::new("chardev-testdev", &CHARDEV);
static CHARDEV_MSMOUSE: ObjectType = ObjectType::new("chardev-msmouse", &CHARDEV);
static CHARDEV_WCTABLET: ObjectType = ObjectType::new("chardev-wctablet", &CHARDEV);
static CHARDEV_VC: ObjectType = ObjectType {
    properties: &[
        Property::new("encoding", "ChardevVCEncoding", Getter::Str("utf8"), None)
            .since(Profile::V11_1),
    ],
    ..ObjectType::new("chardev-vc", &CHARDEV)
};

impl Machine {
    /// Makes the object of a console, which stays when its chardev goes.
    pub(crate) fn add_text_console(&mut self) {
        if !self.profile.has_console_objects() {
            return;
        }
        if let Some(backend) = self.child(self.root, "backend") {
            let name = format!("console[{}]", self.children(backend).count());
            self.new_child(backend, &name, &TEXT_CONSOLE);
        }
    }
}
