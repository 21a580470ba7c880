//! HMP monitors on their chardevs: input, output, events.

use super::candidates::candidates;
use super::context::LineOutcome;
use super::run::{print_stdout, run_line};
use super::session::MonitorHmp;
use super::{find_completion, CompletionScope, ReadlineEvent};
use crate::chardev::{
    qemu_chr_fe_is_terminal, qemu_chr_fe_keeps_writes_apart, qemu_chr_fe_set_handlers,
    CharHandlers, ChardevId, ChrEvent,
};
use crate::monitor::clients::{monitor_backlog, monitor_client_left, monitor_drained, new_client};
use crate::monitor::output::{accept_input, discard_output, label, mark_dirty, monitor_flush};
use crate::monitor::runtime::Runtime;
use crate::monitor::schema::MonitorReadline;
use crate::monitor::table::{MonitorId, MonitorKind, NewMonitor};
use crate::sys::terminal_columns;
use crate::trace_event;

/// How much is read from the chardev at a time.
const READ_CHUNK: usize = 4096;

/// Starts an HMP monitor on a chardev (`monitor_init_hmp`).
pub(crate) fn monitor_init_hmp<S>(rt: &mut Runtime<S>, new: NewMonitor) -> MonitorId {
    let fe = new.fe;
    let default = || {
        if qemu_chr_fe_is_terminal(rt, fe) {
            MonitorReadline::Full
        } else {
            MonitorReadline::On
        }
    };
    let mode = new.config.readline.unwrap_or_else(default);
    let apart = qemu_chr_fe_keeps_writes_apart(rt, fe);
    let hmp = MonitorHmp::new(mode, &rt.identity.prompt, apart);
    let id = rt.monitors.insert(new, MonitorKind::Hmp(Box::new(hmp)));
    let handlers = CharHandlers {
        new_client: Some(monitor_hmp_new_client),
        drained: Some(monitor_drained),
        backlog: Some(monitor_backlog),
        ..CharHandlers::new(monitor_can_read, monitor_read, monitor_event)
    };
    qemu_chr_fe_set_handlers(rt, fe, Some(handlers), id.to_opaque());
    id
}

fn monitor_hmp_new_client<S>(rt: &mut Runtime<S>, opaque: u64, client: ChardevId) {
    if let Some(new) = new_client(rt, opaque, client) {
        monitor_init_hmp(rt, new);
    }
}

fn monitor_can_read<S>(rt: &Runtime<S>, opaque: u64) -> usize {
    let Some(mon) = rt.monitors.get(MonitorId::from_opaque(opaque)) else {
        return 0;
    };
    match &mon.kind {
        // One chunk is taken even while the client does not read or a command is under
        // way, and is carried out when the client leaves.
        MonitorKind::Hmp(hmp) if hmp.input_left() == 0 => READ_CHUNK,
        _ => 0,
    }
}

fn monitor_read<S>(rt: &mut Runtime<S>, opaque: u64, bytes: &[u8]) {
    let id = MonitorId::from_opaque(opaque);
    let n = bytes.len();
    trace_event!(monitor_read, [monitor: label(rt, id), bytes: n],
        "{} got {n} bytes", label(rt, id));
    look_at_terminal(rt, id);
    if let Some(hmp) = rt.monitors.hmp_mut(id) {
        hmp.feed(bytes);
        go_on(rt, id);
    }
}

/// Tells the editor how wide the terminal is, which its owner may have changed.
fn look_at_terminal<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let rl = rt.monitors.hmp_mut(id).and_then(MonitorHmp::readline_mut);
    if !rl.is_some_and(|rl| rl.is_full()) {
        return;
    }
    let fe = rt.monitors.get(id).map(|mon| mon.fe);
    let on_terminal = fe.is_some_and(|fe| qemu_chr_fe_is_terminal(rt, fe));
    let columns = on_terminal.then(terminal_columns).flatten();
    if let Some(rl) = rt.monitors.hmp_mut(id).and_then(MonitorHmp::readline_mut) {
        rl.set_columns(columns);
    }
}

/// Works off what has arrived, as long as the client takes the output and no
/// command is under way.
pub(crate) fn go_on<S>(rt: &mut Runtime<S>, id: MonitorId) {
    while rt.exit_requested().is_none() {
        let Some(mon) = rt.monitors.get_mut(id) else {
            return;
        };
        let full = mon.over_budget();
        let MonitorKind::Hmp(hmp) = &mut mon.kind else {
            return;
        };
        if full {
            break;
        }
        let Some(event) = hmp.next(mon.out.vec_mut()) else {
            break;
        };
        flush_if_apart(rt, id);
        match event {
            ReadlineEvent::None => {}
            ReadlineEvent::Complete => complete(rt, id),
            ReadlineEvent::Line(line) => handle_hmp_command(rt, id, &line),
        }
    }
    mark_dirty(rt, id);
}

/// Carries out the input of a client that left before it read all answers.
fn finish_input<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let mut left = usize::MAX;
    while let Some(hmp) = rt.monitors.hmp_mut(id) {
        let now_left = hmp.input_left();
        // Input stays when the program ends or a command is under way.
        if hmp.holds_output() || now_left == 0 || now_left == left {
            return;
        }
        left = now_left;
        discard_output(rt, id);
        go_on(rt, id);
    }
}

fn handle_hmp_command<S>(rt: &mut Runtime<S>, id: MonitorId, line: &[u8]) {
    trace_event!(
        handle_hmp_command,
        [monitor: label(rt, id)],
        "{} {}",
        label(rt, id),
        String::from_utf8_lossy(line)
    );
    let outcome = run_line(rt, Some(id), line, None);
    show_outcome(rt, id, outcome);
}

/// Shows the output of a line, and the prompt unless its command goes on.
fn show_outcome<S>(rt: &mut Runtime<S>, id: MonitorId, outcome: LineOutcome) {
    if let (Some(token), Some(hmp)) = (outcome.under_way, rt.monitors.hmp_mut(id)) {
        hmp.begin(token);
    }
    for line in outcome.output.split_inclusive(|b| *b == b'\n') {
        let Some(mon) = rt.monitors.get_mut(id) else {
            return;
        };
        mon.out.push(line);
        flush_if_apart(rt, id);
    }
    if rt.exit_requested().is_none() {
        show_prompt(rt, id);
    }
}

/// Shows the further output of the command with this token, and takes further
/// input once it has finished. Output for a client that has left is dropped.
pub(crate) fn line_goes_on<S>(
    rt: &mut Runtime<S>,
    id: MonitorId,
    token: u64,
    outcome: LineOutcome,
) {
    let hmp = rt.monitors.hmp_mut(id);
    if !hmp.is_some_and(|hmp| hmp.finish(token)) {
        return;
    }
    show_outcome(rt, id, outcome);
    go_on(rt, id);
    let hmp = rt.monitors.hmp_mut(id);
    if hmp.is_some_and(|hmp| hmp.input_left() == 0) {
        accept_input(rt, id);
    }
}

/// Draws prompt and line of the monitors on the program's terminal again.
pub(crate) fn redraw_terminals<S>(rt: &mut Runtime<S>) {
    for id in rt.monitors.ids() {
        let Some(mon) = rt.monitors.get(id) else {
            continue;
        };
        let on_terminal = qemu_chr_fe_is_terminal(rt, mon.fe);
        let Some(mon) = rt.monitors.get_mut(id).filter(|_| on_terminal) else {
            continue;
        };
        match &mut mon.kind {
            MonitorKind::Hmp(hmp) if hmp.prompts() => hmp.redraw(mon.out.vec_mut()),
            _ => continue,
        }
        mark_dirty(rt, id);
    }
}

/// Writes what there is at once where the peer sees each write by itself: there
/// a line, a prompt and a keystroke's echo are one write each, as in QEMU.
/// Elsewhere writes are joined.
fn flush_if_apart<S>(rt: &mut Runtime<S>, id: MonitorId) {
    if rt
        .monitors
        .hmp_mut(id)
        .is_some_and(|hmp| hmp.writes_apart())
    {
        monitor_flush(rt, id);
    }
}

fn complete<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let hmp = rt.monitors.hmp_mut(id);
    let Some(rl) = hmp.and_then(|hmp| hmp.readline_mut()) else {
        return;
    };
    let full = rl.is_full();
    let before = rl.before_cursor().to_vec();
    let scope = CompletionScope {
        preconfig: rt.preconfig,
        full,
    };
    let completion = find_completion(&before, &rt.hmp.table, scope);
    print_stdout(&completion.stdout);
    let candidates = candidates(rt, &completion);
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    if let MonitorKind::Hmp(hmp) = &mut mon.kind {
        if let Some(rl) = hmp.readline_mut() {
            rl.complete(&completion.word, candidates, mon.out.vec_mut());
        }
    }
}

fn show_prompt<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    match &mut mon.kind {
        MonitorKind::Hmp(hmp) if hmp.prompts() => hmp.show_prompt(mon.out.vec_mut()),
        _ => return,
    }
    flush_if_apart(rt, id);
    mark_dirty(rt, id);
}

fn monitor_event<S>(rt: &mut Runtime<S>, opaque: u64, event: ChrEvent) {
    let id = MonitorId::from_opaque(opaque);
    trace_event!(monitor_event, [monitor: label(rt, id), event: event.name()],
        "{} {}", label(rt, id), event.name());
    match event {
        ChrEvent::Opened => opened(rt, id),
        ChrEvent::Closed => closed(rt, id),
        // At the end of the program, the focus passes through those that are left.
        ChrEvent::MuxIn if rt.dispatcher.stopped => {}
        ChrEvent::MuxIn => {
            if let Some(hmp) = rt.monitors.hmp_mut(id) {
                hmp.mux_in();
                show_prompt(rt, id);
                mark_dirty(rt, id);
            }
        }
        ChrEvent::MuxOut => mux_out(rt, id),
        ChrEvent::Break => {}
    }
}

fn opened<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    // A monitor without the focus keeps one banner per client, until it has enough.
    if !mon.over_budget() {
        mon.out.push(rt.identity.banner.as_bytes());
        mon.out.push(b"\r\n");
    }
    if let MonitorKind::Hmp(hmp) = &mut mon.kind {
        hmp.opened();
    }
    flush_if_apart(rt, id);
    show_prompt(rt, id);
}

fn closed<S>(rt: &mut Runtime<S>, id: MonitorId) {
    finish_input(rt, id);
    let Some(hmp) = rt.monitors.hmp_mut(id) else {
        return;
    };
    hmp.closed();
    // Output that waits for the focus is not for this client alone.
    if !hmp.holds_output() {
        discard_output(rt, id);
    }
    monitor_client_left(rt, id);
}

fn mux_out<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    let MonitorKind::Hmp(hmp) = &mut mon.kind else {
        return;
    };
    // Flushed before the monitor starts to hold its output.
    if hmp.starts_new_line() {
        mon.out.push(b"\r\n");
        monitor_flush(rt, id);
    }
    if let Some(hmp) = rt.monitors.hmp_mut(id) {
        hmp.mux_out();
    }
}
