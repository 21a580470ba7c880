//! Dumping memory to a file: `dump-guest-memory`, and questions about it. The file is written in
//! pieces from the loop; the machine stands still meanwhile.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use super::hmp::{fail, Cx};
use super::migration_channel::named_fd;
use super::run_state::emit;
use crate::model::dump::{no_memory, notes, Elf, Format, Kdump, Output, Work, PAGE};
use crate::schema::{
    qapi_event_send_dump_completed, DumpCommands, DumpGuestMemory, DumpGuestMemoryCapability,
    DumpGuestMemoryFormat, DumpQueryResult, DumpStatus, RunState,
};
use crate::Machine;
use qmonitor::main_loop::{ClockType, Condition, Flow, Host, Watch};
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::{Error, Responder};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// Why a dump and a migration exclude each other.
pub(super) const BLOCKER: &str = "Live migration disabled: dump-guest-memory in progress";

impl DumpCommands for Machine {
    fn qmp_dump_guest_memory(rt: &mut Rt, arg: DumpGuestMemory, responder: Responder<()>) {
        let fd = match check(rt, &arg).and_then(|()| open(rt, &arg.protocol)) {
            Ok(fd) => fd,
            Err(e) => return responder.respond(Err(e)),
        };
        let detached = arg.detach == Some(true);
        if let Err((e, responder)) = start(rt, &arg, fd, responder) {
            return responder.respond(Err(e));
        }
        if detached {
            let work = rt.state.dump.work.as_mut();
            if let Some(responder) = work.and_then(|work| work.responder.take()) {
                responder.respond(Ok(()));
            }
        }
    }

    fn qmp_query_dump(rt: &mut Rt) -> Result<DumpQueryResult, Error> {
        Ok(progress(rt))
    }

    fn qmp_query_dump_guest_memory_capability(
        rt: &mut Rt,
    ) -> Result<DumpGuestMemoryCapability, Error> {
        use DumpGuestMemoryFormat as Format;
        let mut formats = vec![Format::Elf, Format::KdumpZlib, Format::KdumpRawZlib];
        if rt.profile().offers_win_dump_to_all() {
            formats.push(Format::WinDmp);
        }
        Ok(DumpGuestMemoryCapability { formats })
    }
}

fn progress(rt: &Rt) -> DumpQueryResult {
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let dump = &rt.state.dump;
    DumpQueryResult {
        status: dump.status,
        completed: int(dump.completed),
        total: int(dump.total),
    }
}

/// Checks the state and the arguments, in QEMU's order.
fn check(rt: &Rt, arg: &DumpGuestMemory) -> Result<(), Error> {
    use DumpGuestMemoryFormat as Format;
    let error = |text: String| Err(Error::new(text));
    if rt.state.run.current() == RunState::Inmigrate {
        return error("Dump not allowed during incoming migration.".to_owned());
    }
    if rt.state.dump.is_active() {
        return error("There is a dump in process, please wait.".to_owned());
    }
    let range = arg.begin.is_some() || arg.length.is_some();
    let is_kdump = !matches!(arg.format, None | Some(Format::Elf | Format::WinDmp));
    if is_kdump && (arg.paging || range) {
        let text = "kdump-compressed format doesn't support paging or filter";
        return error(text.to_owned());
    }
    for (name, given, other) in [
        ("length", arg.length, arg.begin),
        ("begin", arg.begin, arg.length),
    ] {
        if given.is_none() && other.is_some() {
            return error(format!("Parameter '{name}' is missing"));
        }
    }
    match arg.format {
        Some(Format::KdumpLzo | Format::KdumpRawLzo) => {
            error("kdump-lzo is not available now".to_owned())
        }
        Some(Format::KdumpSnappy | Format::KdumpRawSnappy) => {
            error("kdump-snappy is not available now".to_owned())
        }
        Some(Format::WinDmp) if !rt.profile().offers_win_dump_to_all() => {
            error("win-dump: no vmcoreinfo note from the guest".to_owned())
        }
        // There are no tables to follow, as nothing runs that would make some.
        _ if arg.paging => error("dump: paging is not supported by this machine".to_owned()),
        _ => Ok(()),
    }
}

/// Opens the file, or takes the descriptor.
fn open(rt: &mut Rt, protocol: &str) -> Result<OwnedFd, Error> {
    let fd = if let Some(name) = protocol.strip_prefix("fd:") {
        named_fd(rt, name)?
    } else if let Some(path) = protocol.strip_prefix("file:") {
        let mut options = OpenOptions::new();
        // Only its owner may read what was in the memory of a machine.
        let options = options.write(true).create(true).truncate(true).mode(0o400);
        let opened = options.open(path);
        let file = opened.map_err(|e| Error::from_io(format!("Could not create '{path}'"), &e))?;
        file.into()
    } else {
        let text = "parameter 'protocol' must start with 'file:' or 'fd:'";
        return Err(Error::new(text));
    };
    if rt.state.migration.is_leaving() {
        return Err(Error::new(format!(
            "disallowing migration blocker (migration/snapshot in progress) for: {BLOCKER}"
        )));
    }
    Ok(fd)
}

/// Stops the machine and begins to write. The responder comes back if that fails.
fn start(
    rt: &mut Rt,
    arg: &DumpGuestMemory,
    fd: OwnedFd,
    responder: Responder<()>,
) -> Result<(), (Error, Responder<()>)> {
    let resume = rt.state.run.is_running();
    let events = rt.state.run.vm_stop(RunState::SaveVm);
    emit(rt, &events);
    rt.state.dump.completed = 0;
    let prepared = layout(rt, arg).and_then(|format| {
        let output = Output::new(fd);
        let output = output.map_err(|e| Error::from_io("dump: failed to save memory", &e))?;
        Ok((format, output))
    });
    let (format, output) = match prepared {
        Ok(prepared) => prepared,
        Err(e) => {
            rt.state.dump.status = DumpStatus::Failed;
            go_on(rt, resume);
            return Err((e, responder));
        }
    };
    let main_loop = rt.main_loop_mut();
    let timer = main_loop.timer_new(ClockType::Realtime, "dump_process", step);
    main_loop.timer_mod_in(timer, Duration::ZERO);
    rt.state.dump.status = DumpStatus::Active;
    rt.state.dump.work = Some(Work {
        format,
        output,
        timer,
        resume,
        responder: Some(responder),
    });
    Ok(())
}

/// Chooses the memory to write, and notes how much that is.
fn layout(rt: &mut Rt, arg: &DumpGuestMemory) -> Result<Format, Error> {
    use DumpGuestMemoryFormat as Kind;
    let size = rt.state.ram_size();
    let (mut begin, mut end) = (0, size);
    rt.state.dump.total = 0;
    if let (Some(from), Some(length)) = (arg.begin, arg.length) {
        if length == 0 {
            let text = "parameter 'length' expects a non-zero size";
            return Err(Error::new(text));
        }
        begin = from as u64;
        end = begin.saturating_add(length as u64).min(size);
    }
    if begin >= end {
        return Err(no_memory());
    }
    rt.state.dump.total = end - begin;
    let cpus = rt.state.cpus().len();
    let notes = notes(cpus);
    let kdump = |is_flat| {
        let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
        Format::Kdump(Kdump::new(
            size.div_ceil(PAGE),
            cpus,
            notes.clone(),
            is_flat,
        ))
    };
    Ok(match arg.format {
        Some(Kind::KdumpZlib) => kdump(true),
        Some(Kind::KdumpRawZlib) => kdump(false),
        Some(Kind::WinDmp) => Format::Windows,
        _ => Format::Elf(Elf::new(begin, end, notes)),
    })
}

/// Writes a piece.
fn step(rt: &mut Rt) {
    let Some(mut work) = rt.state.dump.work.take() else {
        return;
    };
    let written = match work.output.flush() {
        Ok(true) => write(rt, &mut work),
        Ok(false) => {
            wait(rt, &work);
            rt.state.dump.work = Some(work);
            return;
        }
        Err(e) => Err(e),
    };
    match written {
        Ok(true) => {
            rt.main_loop_mut().timer_mod_in(work.timer, Duration::ZERO);
            rt.state.dump.work = Some(work);
        }
        Ok(false) => end(rt, work, Ok(())),
        Err(e) => end(rt, work, Err(e)),
    }
}

/// Writes what comes next; false if nothing is left.
fn write(rt: &mut Rt, work: &mut Work) -> Result<bool, Error> {
    let written = match &mut work.format {
        Format::Elf(elf) => elf.step(&rt.state, &mut work.output)?,
        Format::Kdump(kdump) => kdump.step(&rt.state, &mut work.output)?,
        Format::Windows => return Err(Error::new("win-dump: invalid vmcoreinfo note size")),
        Format::Done => return Ok(false),
    };
    match written {
        Some(bytes) => rt.state.dump.completed += bytes,
        // What was written last has to leave, too.
        None => work.format = Format::Done,
    }
    rt.state.dump.completed = rt.state.dump.completed.min(rt.state.dump.total);
    Ok(true)
}

/// Waits until the output takes more.
fn wait(rt: &mut Rt, work: &Work) {
    if let Some(fd) = work.output.fd() {
        let ready = |rt: &mut Rt, _| {
            step(rt);
            Flow::Remove
        };
        let watch = Watch::new("dump_output", fd, Condition::OUT, ready);
        rt.main_loop_mut().add_watch(watch);
    }
}

fn end(rt: &mut Rt, work: Work, result: Result<(), Error>) {
    rt.main_loop_mut().timer_free(work.timer);
    rt.state.dump.status = if result.is_ok() {
        DumpStatus::Completed
    } else {
        DumpStatus::Failed
    };
    let error = result.as_ref().err().map(|e| e.desc().to_owned());
    let progress = progress(rt);
    qapi_event_send_dump_completed(rt, progress, error);
    go_on(rt, work.resume);
    if let Some(responder) = work.responder {
        responder.respond(result);
    }
}

fn go_on(rt: &mut Rt, resume: bool) {
    if resume {
        let events = rt.state.run.vm_start();
        emit(rt, &events);
    }
}

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[(
    HmpRow::new(
        "dump-guest-memory",
        "[-p] [-d] [-z|-l|-s|-w] [-R] filename [begin length]",
        "dump guest memory into file 'filename'.\n\t\t\t\
         -p: do paging to get guest's memory mapping.\n\t\t\t\
         -d: return immediately (do not wait for completion).\n\t\t\t\
         -z: dump in kdump-compressed format, with zlib compression.\n\t\t\t\
         -l: dump in kdump-compressed format, with lzo compression.\n\t\t\t\
         -s: dump in kdump-compressed format, with snappy compression.\n\t\t\t\
         -R: when using kdump (-z, -l, -s), use raw rather than \
         makedumpfile-flattened\n\t\t\t    \
         format\n\t\t\t\
         -w: dump in Windows crashdump format (can be used instead of ELF-dump \
         converting),\n\t\t\t    \
         for Windows x86 and x64 guests with vmcoreinfo driver only.\n\t\t\t\
         begin: the starting physical address.\n\t\t\t\
         length: the memory size, in bytes.",
    )
    .args(&[
        HmpArg::new("paging", Flag('p')),
        HmpArg::new("detach", Flag('d')),
        HmpArg::new("windmp", Flag('w')),
        HmpArg::new("zlib", Flag('z')),
        HmpArg::new("lzo", Flag('l')),
        HmpArg::new("snappy", Flag('s')),
        HmpArg::new("raw", Flag('R')),
        HmpArg::new("filename", File),
        HmpArg::new("begin", Int).optional(),
        HmpArg::new("length", Int).optional(),
    ])
    .coroutine(),
    hmp_dump_guest_memory,
)];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new("dump", "", "Display the latest dump status"),
    hmp_info_dump,
)];

fn hmp_dump_guest_memory(hmp: Cx, args: &HmpArgs) {
    use DumpGuestMemoryFormat as Format;
    let raw = args.flag("raw");
    let formats = [
        ("zlib", Format::KdumpZlib, Format::KdumpRawZlib),
        ("lzo", Format::KdumpLzo, Format::KdumpRawLzo),
        ("snappy", Format::KdumpSnappy, Format::KdumpRawSnappy),
        ("windmp", Format::WinDmp, Format::WinDmp),
    ];
    let mut chosen = formats.into_iter().filter(|(name, ..)| args.flag(name));
    let format = chosen.next();
    if chosen.next().is_some() {
        return fail(hmp, "only one of '-z|-l|-s|-w' can be set");
    }
    let format = format.map(|(_, flat, plain)| if raw { plain } else { flat });
    let responder = hmp.defer(|hmp, result: Result<(), Error>| {
        hmp.handle_error(result);
    });
    let arg = DumpGuestMemory {
        paging: args.flag("paging"),
        protocol: format!("file:{}", args.str("filename")),
        detach: Some(args.flag("detach")),
        begin: args.try_int("begin"),
        length: args.try_int("length"),
        format,
    };
    Machine::qmp_dump_guest_memory(hmp.rt, arg, responder);
}

/// The state, and how much is done of a dump under way.
fn hmp_info_dump(hmp: Cx, _: &HmpArgs) {
    let DumpQueryResult {
        status,
        completed,
        total,
    } = progress(hmp.rt);
    hmp.print(format!("Status: {}\n", status.as_str()));
    if status == DumpStatus::Active {
        let percent = completed as f64 * 100.0 / total as f64;
        hmp.print(format!("Finished: {percent:.2} %\n"));
    }
}
