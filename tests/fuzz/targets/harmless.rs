//! Keeps a fuzzer from touching the machine it runs on. It holds back requests
//! that would open files or sockets, or switch something on for the whole
//! process, by their meaning and not by their spelling.

use std::sync::OnceLock;

use qmonitor::chardev::qemu_chr_parse_opts;
use qmonitor::chardev::{ChardevConfig, QEMU_CHARDEV_OPTS};
use qmonitor::main_loop::TimeSource;
use qmonitor::monitor::hmp::{Hmp, HmpArgs, HmpCommand, HmpHandler, HmpRow, HmpTable};
use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::visit::keyval_parse;
use qmonitor::qapi::{QDict, QObject};
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::{Profile, Runtime};
use qmonitor_machine::commands;
use qmonitor_machine::model::board::find_class;
use qmonitor_machine::{Machine, MachineOptions};

/// A machine that runs in simulated time, and whose human monitor is harmless.
pub fn machine() -> Runtime<Machine> {
    let machine = Machine::new(MachineOptions::default());
    let mut rt = Runtime::with_time(machine, TimeSource::simulated()).expect("descriptors");
    rt.set_report(|_, _| {});
    commands::register(&mut rt);
    // The table is the same each time, and making it is slow.
    static TABLE: OnceLock<HmpTable<HmpHandler<Machine>>> = OnceLock::new();
    let hmp = rt.hmp_mut();
    hmp.table = TABLE.get_or_init(|| restricted(&hmp.table)).clone();
    commands::start_machine(&mut rt);
    rt
}

/// A machine of a type, with its processors and devices.
pub fn board(name: &str) -> Runtime<Machine> {
    let options = MachineOptions {
        class: find_class(Profile::V10_0, name).expect(name),
        ..MachineOptions::default()
    };
    let machine = Machine::new(options);
    let mut rt = Runtime::with_time(machine, TimeSource::simulated()).expect("descriptors");
    rt.set_report(|_, _| {});
    commands::register(&mut rt);
    rt.state.init_memory(None, None).expect("memory");
    rt.state.init_board(None, &mut Vec::new()).expect("a board");
    commands::start_machine(&mut rt);
    rt
}

/// A program without a machine.
pub fn bare() -> Runtime<()> {
    let mut rt = Runtime::with_time((), TimeSource::simulated()).expect("descriptors");
    rt.set_report(|_, _| {});
    static TABLE: OnceLock<HmpTable<HmpHandler<()>>> = OnceLock::new();
    let hmp = rt.hmp_mut();
    hmp.table = TABLE.get_or_init(|| restricted(&hmp.table)).clone();
    rt
}

/// Backends that live in memory.
fn is_backend(kind: &str) -> bool {
    matches!(
        kind,
        "null" | "ringbuf" | "memory" | "mux" | "hub" | "testdev"
    )
}

/// A chardev that touches nothing.
pub fn is_chardev(config: &ChardevConfig) -> bool {
    is_backend(config.backend.kind()) && config.logfile.is_none()
}

/// Options of an object that reads and writes no file.
pub fn is_object(options: &QDict) -> bool {
    let kind = options.get_str("qom-type").unwrap_or_default();
    let kinds = [
        "authz-list",
        "authz-simple",
        "iothread",
        "main-loop",
        "memory-backend-ram",
        "monitor-hmp",
        "monitor-qmp",
        "rng-builtin",
        "rng-egd",
        "secret",
        "throttle-group",
    ];
    kinds.contains(&kind) && !options.contains_key("file")
}

/// A QMP request.
pub fn is_request(request: &QObject) -> bool {
    let Some(request) = request.as_dict() else {
        return true;
    };
    ["execute", "exec-oob"].iter().all(|verb| {
        let Some(name) = request.get_str(verb) else {
            return true;
        };
        let arguments = request.get("arguments").and_then(QObject::as_dict);
        is_command(name, arguments.unwrap_or(&QDict::new()))
    })
}

/// The chardevs of the fuzzer's clients.
fn is_own(label: &str) -> bool {
    matches!(label, "m0" | "m1")
}

fn is_command(name: &str, arguments: &QDict) -> bool {
    match name {
        "chardev-change" if is_own(arguments.get_str("id").unwrap_or_default()) => false,
        "chardev-add" | "chardev-change" => {
            let backend = arguments.get("backend").and_then(QObject::as_dict);
            backend.is_none_or(|backend| {
                let kind = backend.get_str("type").unwrap_or("null");
                let data = backend.get("data").and_then(QObject::as_dict);
                is_backend(kind) && data.is_none_or(|data| !data.contains_key("logfile"))
            })
        }
        "object-add" => !arguments.contains_key("qom-type") || is_object(arguments),
        // They open files; the last prints at once and from then on.
        "blockdev-add" | "dump-guest-memory" | "memsave" | "pmemsave" | "screendump" => false,
        "trace-event-set-state" => false,
        _ => true,
    }
}

const CHARDEV_ADD: &str = "chardev-add unchecked";
const CHARDEV_CHANGE: &str = "chardev-change unchecked";
const OBJECT_ADD: &str = "object_add unchecked";
const QMP: &str = "qmp unchecked";

/// The harmless commands of the human monitor. Some are checked at each call.
pub fn restricted<S: 'static>(all: &HmpTable<HmpHandler<S>>) -> HmpTable<HmpHandler<S>> {
    let mut table: HmpTable<HmpHandler<S>> = HmpTable::new();
    for HmpCommand { row, handler, sub } in all.commands() {
        // The original gets a name with a blank, which cannot be typed: only
        // its check calls it.
        let (checked, name): (HmpHandler<S>, _) = match row.main_name() {
            "log" | "logfile" | "trace-event" | "trace-file" => continue,
            "memsave" | "pmemsave" | "screendump" | "dump-guest-memory" | "dumpdtb" => continue,
            "chardev-add" => (chardev_add, CHARDEV_ADD),
            "chardev-change" => (chardev_change, CHARDEV_CHANGE),
            "object_add" => (object_add, OBJECT_ADD),
            "qmp" => (qmp, QMP),
            _ => {
                match sub {
                    Some(sub) => table.add_group(*row, *handler, sub.clone()),
                    None => table.add(*row, *handler),
                }
                continue;
            }
        };
        table.add(*row, checked);
        table.add(HmpRow { name, ..*row }, *handler);
    }
    table
}

fn run<S: 'static>(hmp: &mut Hmp<'_, S>, name: &str, args: &HmpArgs, is_harmless: bool) {
    let table = &hmp.rt.hmp_mut().table;
    let original = table.find(name.as_bytes()).map(|command| command.handler);
    if let (Some(original), true) = (original, is_harmless) {
        original(hmp, args);
    }
}

fn is_chardev_text(text: &str) -> bool {
    let opts = QemuOpts::parse(&QEMU_CHARDEV_OPTS, text, &mut Vec::new());
    let parsed = opts.and_then(|opts| qemu_chr_parse_opts(&opts.under_id("id")));
    parsed.is_ok_and(|(_, config)| is_chardev(&config))
}

fn chardev_add<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let is_harmless = is_chardev_text(args.str("args"));
    run(hmp, CHARDEV_ADD, args, is_harmless);
}

fn chardev_change<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    let is_harmless = is_chardev_text(args.str("args")) && !is_own(args.str("id"));
    run(hmp, CHARDEV_CHANGE, args, is_harmless);
}

fn object_add<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    // Numbers of threads differ from run to run.
    let text = args.str("object");
    let is_harmless = is_object_text(text) && !text.contains("iothread");
    run(hmp, OBJECT_ADD, args, is_harmless);
}

/// Options of an object as typed. Text that cannot be read makes no object.
pub fn is_object_text(text: &str) -> bool {
    let options = if text.starts_with('{') {
        qobject_from_json(text.as_bytes())
    } else {
        keyval_parse(text, Some("qom-type")).map(QObject::Dict)
    };
    let options = options.as_ref().map(QObject::as_dict);
    options.map_or(true, |dict| dict.is_none_or(is_object))
}

fn qmp<S: 'static>(hmp: &mut Hmp<'_, S>, args: &HmpArgs) {
    // Its arguments are only known later.
    let name = args.str("command");
    let is_harmless = !matches!(name, "chardev-add" | "chardev-change" | "object-add");
    let is_harmless = is_harmless && is_command(name, &QDict::new());
    run(hmp, QMP, args, is_harmless);
}
