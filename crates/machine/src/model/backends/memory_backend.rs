//! Memory for the machine: `memory-backend-ram`, `-file`, `-memfd`, `-shm`.
//!
//! A file is read when a command reads the memory. The others have only a size, since
//! nothing ever runs here that would write to them.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;

use super::MEMORY_REGION;
use crate::model::memory::Ram;
use crate::model::qom::{
    set_bool, set_link, set_size, set_str, set_value, Getter, ObjectId, ObjectType, Property, Set,
    OBJECT,
};
use crate::model::Machine;
use crate::schema::{HostMemPolicy, OnOffAuto};
use qmonitor::qapi::{Error, QNum, QObject};

pub(crate) static TYPES: &[&ObjectType] = &[
    &MEMORY_BACKEND,
    &MEMORY_BACKEND_RAM,
    &MEMORY_BACKEND_FILE,
    &MEMORY_BACKEND_MEMFD,
    &MEMORY_BACKEND_SHM,
];

/// Pages of the host, in bytes.
const PAGE_SIZE: u64 = 4096;
/// The address space of a process: no memory is larger.
const ADDRESS_SPACE: u64 = 1 << 47;
/// Nodes of the host there can be (`MAX_NODES`).
const MAX_NODES: u16 = 128;

static MEMORY_BACKEND: ObjectType = ObjectType {
    complete: Some(check_policy),
    can_be_deleted: Some(is_unused),
    ..ObjectType::new_abstract("memory-backend", &OBJECT, &COMMON)
};

static COMMON: [Property; 11] = [
    Property::new("share", "bool", Getter::With(share), Some(set_bool))
        .frozen_once_read(no_change)
        .describe("Mark the memory as private to QEMU or shared"),
    Property::new("size", "int", Getter::Int(0), Some(set_backend_size))
        .frozen(no_new_size)
        .describe("Size of the memory region (ex: 500M)"),
    Property::new("dump", "bool", Getter::Bool(true), Some(set_bool))
        .describe("Set to 'off' to exclude from core dump"),
    Property::new("prealloc-threads", "int", Getter::Int(1), Some(set_threads))
        .describe("Number of CPU threads to use for prealloc"),
    Property::new(
        "x-use-canonical-path-for-ramblock-id",
        "bool",
        Getter::Bool(false),
        Some(set_bool),
    ),
    Property::new(
        "policy",
        "HostMemPolicy",
        Getter::Str("default"),
        Some(set_value::<HostMemPolicy>),
    )
    .describe("Set the NUMA policy"),
    Property::new(
        "prealloc-context",
        "link<thread-context>",
        Getter::Link,
        Some(set_link),
    )
    .describe("Context to use for creating CPU threads for preallocation"),
    Property::new("prealloc", "bool", Getter::Bool(false), Some(set_prealloc))
        .describe("Preallocate memory"),
    Property::new("reserve", "bool", Getter::Bool(true), Some(set_reserve))
        .frozen_once_read(no_change)
        .describe("Reserve swap space (or huge pages) if applicable"),
    Property::new("host-nodes", "int", Getter::EmptyList, Some(set_host_nodes))
        .describe("Binds memory to the list of NUMA host nodes"),
    Property::new("merge", "bool", Getter::Bool(true), Some(set_bool))
        .describe("Mark memory as mergeable"),
];

static MEMORY_BACKEND_RAM: ObjectType = ObjectType {
    complete: Some(allocate),
    ..ObjectType::new_user_creatable("memory-backend-ram", &MEMORY_BACKEND, &[])
};

static MEMORY_BACKEND_FILE: ObjectType = ObjectType {
    complete: Some(open_file),
    ..ObjectType::new_user_creatable(
        "memory-backend-file",
        &MEMORY_BACKEND,
        &[
            Property::new("pmem", "bool", Getter::Bool(false), Some(set_bool))
                .frozen_once_read(file_is_open_stop),
            Property::new("align", "int", Getter::Int(0), Some(set_size)).frozen(file_is_open),
            Property::new("offset", "int", Getter::Int(0), Some(set_size))
                .frozen(file_is_open)
                .describe("Offset into the target file (ex: 1G)"),
            Property::new("mem-path", "string", Getter::Str(""), Some(set_str))
                .frozen_once_read(file_is_open),
            Property::new(
                "rom",
                "OnOffAuto",
                Getter::With(rom),
                Some(set_value::<OnOffAuto>),
            )
            .frozen(file_is_open_stop)
            .describe("Whether to create Read Only Memory (ROM)"),
            Property::new("discard-data", "bool", Getter::Bool(false), Some(set_bool)),
            Property::new("readonly", "bool", Getter::Bool(false), Some(set_bool))
                .frozen_once_read(file_is_open_stop),
        ],
    )
};

static MEMORY_BACKEND_MEMFD: ObjectType = ObjectType {
    complete: Some(allocate_fd),
    ..ObjectType::new_user_creatable(
        "memory-backend-memfd",
        &MEMORY_BACKEND,
        &[
            Property::new("hugetlb", "bool", Getter::Bool(false), Some(set_bool))
                .describe("Use huge pages"),
            Property::new("seal", "bool", Getter::Bool(true), Some(set_bool))
                .describe("Seal growing & shrinking"),
            Property::new("hugetlbsize", "int", Getter::Int(0), Some(set_huge_size))
                .frozen(no_change)
                .describe("Huge pages size (ex: 2M, 1G)"),
        ],
    )
};

static MEMORY_BACKEND_SHM: ObjectType = ObjectType {
    complete: Some(allocate_shm),
    ..ObjectType::new_user_creatable("memory-backend-shm", &MEMORY_BACKEND, &[])
};

/// Anonymous files are made to be shared, all else is not.
fn share(m: &Machine, id: ObjectId) -> QObject {
    let default = matches!(
        m.class_name(id),
        "memory-backend-memfd" | "memory-backend-shm"
    );
    m.cell(id, "share").unwrap_or(default.into())
}

/// `auto` until the object is made, then on or off.
fn rom(m: &Machine, id: ObjectId) -> QObject {
    let given = m.cell(id, "rom").filter(|v| v.as_str() != Some("auto"));
    match (given, m.is_complete(id)) {
        (Some(value), _) => value,
        (None, false) => "auto".into(),
        (None, true) if m.bool_property(id, "readonly") => "on".into(),
        (None, true) => "off".into(),
    }
}

fn no_change(_: &Machine, _: ObjectId, _: &Property) -> Error {
    Error::new("cannot change property value")
}

fn no_new_size(m: &Machine, id: ObjectId, property: &Property) -> Error {
    let (name, class) = (property.name, m.class_name(id));
    // The blank at the end is QEMU's.
    Error::new(format!("cannot change property {name} of {class} "))
}

fn file_is_open(m: &Machine, id: ObjectId, property: &Property) -> Error {
    let (name, class) = (property.name, m.class_name(id));
    Error::new(format!("cannot change property '{name}' of {class}"))
}

/// Some of QEMU's texts end in a stop.
fn file_is_open_stop(m: &Machine, id: ObjectId, property: &Property) -> Error {
    Error::new(format!("{}.", file_is_open(m, id, property).desc()))
}

fn takes_no_zero(set: &Set<'_>) -> Error {
    let (name, class) = (set.property.name, set.class_name());
    Error::new(format!(
        "property '{name}' of {class} doesn't take value '0'"
    ))
}

fn set_backend_size(set: Set<'_>) -> Result<(), Error> {
    match set.input.size()? {
        0 => Err(takes_no_zero(&set)),
        size => set.store(size),
    }
}

fn set_huge_size(set: Set<'_>) -> Result<(), Error> {
    match set.input.size()? {
        0 => Err(Error::new(format!(
            "Property '{}.{}' doesn't take value '0'",
            set.class_name(),
            set.property.name
        ))),
        size => set.store(size),
    }
}

fn set_threads(set: Set<'_>) -> Result<(), Error> {
    match set.input.uint32()? {
        0 => Err(takes_no_zero(&set)),
        threads => set.store(threads),
    }
}

/// Allocated memory stays allocated: once on, it does not go off.
fn set_prealloc(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.boolean()?;
    if value && !set.machine.bool_property(set.id, "reserve") {
        return Err(incompatible());
    }
    if !value && set.is_complete() {
        return Ok(());
    }
    set.store(value)
}

fn set_reserve(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.boolean()?;
    let prealloc = set.machine.bool_property(set.id, "prealloc");
    if !value && prealloc && !set.is_complete() {
        return Err(incompatible());
    }
    set.store(value)
}

fn incompatible() -> Error {
    Error::new("'prealloc=on' and 'reserve=off' are incompatible")
}

fn set_host_nodes(set: Set<'_>) -> Result<(), Error> {
    let mut nodes = set.input.uint16_list()?;
    if let Some(node) = nodes.iter().find(|node| **node >= MAX_NODES) {
        return Err(Error::new(format!("Invalid host-nodes value: {node}")));
    }
    nodes.sort_unstable();
    nodes.dedup();
    let nodes = nodes.into_iter().map(|n| i64::from(n).into()).collect();
    set.store(QObject::List(nodes))
}

fn check_policy(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let policy = m.str_property(id, "policy");
    let nodes = m.property(id, "host-nodes");
    let any = nodes.is_some_and(|n| n.as_list().is_some_and(|l| !l.is_empty()));
    match (policy.as_str(), any) {
        ("default", true) => Err(Error::new(
            "host-nodes must be empty for policy default, or you should explicitly specify a \
             policy other than default",
        )),
        ("default", false) | (_, true) => Ok(()),
        (policy, false) => Err(Error::new(format!(
            "host-nodes must be set for policy {policy}"
        ))),
    }
}

fn object_name(m: &Machine, id: ObjectId) -> String {
    m.object(id).map_or(String::new(), |o| o.name().to_owned())
}

fn size(m: &Machine, id: ObjectId) -> u64 {
    m.backend_size(id).unwrap_or(0)
}

/// The size, rounded up to whole pages.
fn whole_pages(m: &Machine, id: ObjectId) -> Result<u64, Error> {
    let pages = size(m, id).checked_next_multiple_of(PAGE_SIZE);
    pages.ok_or_else(|| {
        Error::new(format!(
            "memory size 0x0 must be equal to or larger than page size {PAGE_SIZE:#x}"
        ))
    })
}

fn too_small(name: &str, length: u64, size: u64, offset: u64) -> Error {
    Error::new(format!(
        "{name} backing store size {length:#x} is too small for 'size' option {size:#x} plus \
         'offset' option {offset:#x}"
    ))
}

fn allocate(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let name = object_name(m, id);
    let size = size(m, id);
    if size >= ADDRESS_SPACE {
        return Err(Error::new(format!(
            "cannot set up guest memory '{name}': Cannot allocate memory"
        )));
    }
    attach(m, id, &name, Ram::zero(size));
    Ok(())
}

/// Memory with a descriptor is mapped page by page, so its size must be whole pages.
fn allocate_fd(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let pages = whole_pages(m, id)?;
    let size = size(m, id);
    if pages >= ADDRESS_SPACE {
        return Err(Error::new(
            "unable to map backing store for guest RAM: Cannot allocate memory",
        ));
    }
    let name = object_name(m, id);
    if size != pages {
        return Err(too_small(&name, size, pages, 0));
    }
    attach(m, id, &name, Ram::zero(size));
    Ok(())
}

fn allocate_shm(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    if m.bool_property(id, "share") {
        allocate_fd(m, id)
    } else {
        Err(Error::new("can't create shm backend with `share=off`"))
    }
}

/// Gives the backend its memory, and the region that shows it in the tree.
fn attach(m: &mut Machine, id: ObjectId, name: &str, ram: Ram) {
    let name = if m.bool_property(id, "x-use-canonical-path-for-ramblock-id") {
        // A name cannot have slashes.
        m.canonical_path(id).replace('/', "\\x2f")
    } else {
        name.to_owned()
    };
    m.new_child(id, &format!("{name}[0]"), &MEMORY_REGION);
    m.set_payload(id, ram);
}

fn open_file(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    let path = m.str_property(id, "mem-path");
    let name = object_name(m, id);
    let readonly = m.bool_property(id, "readonly");
    if m.str_property(id, "rom") == "on" && !readonly {
        return Err(Error::new(
            "property 'rom' = 'on' is not supported with 'readonly' = 'off'",
        ));
    }
    let size = size(m, id);
    let offset = m.extent(id, "offset");
    let align = m.extent(id, "align");
    for (what, value) in [("alignment", align), ("offset", offset)] {
        if value % PAGE_SIZE != 0 {
            return Err(Error::new(format!(
                "{what} {value:#x} must be multiples of page size {PAGE_SIZE:#x}"
            )));
        }
    }
    let cannot_open = |e: &std::io::Error| {
        Error::from_io(format!("can't open backing store {path} for guest RAM"), e)
    };
    // In a directory QEMU makes a file without a name: plain memory.
    // That is impossible where nothing may be written.
    if std::fs::metadata(&path).is_ok_and(|md| md.is_dir()) {
        if readonly {
            return Err(cannot_open(&nix::errno::Errno::EISDIR.into()));
        }
        return whole_file(m, id).and_then(|()| allocate_fd(m, id));
    }
    let (file, created) = open(&path, readonly).map_err(|e| cannot_open(&e))?;
    let length = file.metadata().map_err(|e| cannot_open(&e))?.len();
    let pages = whole_pages(m, id)?;
    let needed = pages.saturating_add(offset);
    if created || length == 0 {
        file.set_len(needed).map_err(|e| cannot_open(&e))?;
    } else if length < needed {
        return Err(too_small(&name, length, pages, offset));
    }
    whole_file(m, id)?;
    attach(m, id, &name, Ram::file(file, offset, size));
    Ok(())
}

/// The memory in a file must be whole pages. That is looked at last.
fn whole_file(m: &Machine, id: ObjectId) -> Result<(), Error> {
    if whole_pages(m, id)? == size(m, id) {
        Ok(())
    } else {
        Err(Error::new(
            "backend 'memory-backend-file' memory size must be multiple of 4 KiB",
        ))
    }
}

/// Opens the file, and makes it if it is not there and may be written.
fn open(path: &str, readonly: bool) -> std::io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).write(!readonly);
    match options.open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound && !readonly => {
            Ok((options.create_new(true).open(path)?, true))
        }
        result => result.map(|file| (file, false)),
    }
}

/// The machine's own memory must stay.
fn is_unused(m: &Machine, id: ObjectId) -> bool {
    !m.is_memory_used(id)
}

impl Machine {
    /// The size in bytes of an object that is a piece of memory.
    pub(crate) fn backend_size(&self, id: ObjectId) -> Option<u64> {
        let object = self.object(id)?;
        object
            .class()
            .is_a("memory-backend")
            .then(|| self.extent(id, "size"))
    }

    fn extent(&self, id: ObjectId, name: &str) -> u64 {
        match self.property(id, name) {
            Some(QObject::Num(QNum::I64(n))) => u64::try_from(n).unwrap_or(0),
            Some(QObject::Num(QNum::U64(n))) => n,
            _ => 0,
        }
    }
}
