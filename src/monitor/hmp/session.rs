//! The HMP session: a chardev, a line editor, a command table.
//!
//! Bytes arrive in pieces and are fed to the editor one by one. A finished line
//! is run at once and the bytes behind it wait, so that type-ahead appears in
//! perfect order: output, prompt, echo of the next line. (QEMU gets the same
//! order by reading one byte at a time between commands.)

use super::context::run_line;
use super::{find_completion, CompletionScope, Readline, ReadlineEvent};
use crate::chardev::{
    qemu_chr_fe_is_terminal, qemu_chr_fe_keeps_writes_apart, qemu_chr_fe_set_handlers,
    CharHandlers, ChrEvent,
};
use crate::monitor::clients::{
    monitor_backlog, monitor_client_left, monitor_drained, monitor_new_client, NewMonitor,
};
use crate::monitor::options::MonitorReadline;
use crate::monitor::outbuf::{clear_buffer, OutBuf};
use crate::monitor::runtime::Runtime;
use crate::monitor::table::{
    discard_output, label, mark_dirty, monitor_flush, MonitorId, MonitorKind,
};
use crate::monitor::version;
use crate::trace_event;

/// How much is read from the chardev at a time.
const READ_CHUNK: usize = 4096;

/// The longest line without the editor, which has a limit of its own.
const LINE_MAX: usize = 64 * 1024;

/// The prompt.
pub(crate) const PROMPT: &str = "(qemu) ";

/// The state of an HMP session (QEMU's `MonitorHMP`).
pub struct MonitorHmp {
    /// `None` with `readline=off`: lines are taken as they come, without echo
    /// and prompt.
    readline: Option<Readline>,
    /// The line so far where there is no editor; one byte longer than
    /// [`LINE_MAX`] it is too long.
    line: Vec<u8>,
    inbuf: Vec<u8>,
    taken: usize,
    /// A mux has given the focus to somebody else.
    mux_out: bool,
    /// Whether a client was ever there.
    reset_seen: bool,
    /// Whether the peer sees each write by itself.
    writes_apart: bool,
}

impl MonitorHmp {
    /// Whether output is kept until the mux gives the focus back.
    pub(crate) fn holds_output(&self) -> bool {
        self.mux_out
    }

    /// Whether all input was worked off.
    pub(crate) fn has_read_all(&self) -> bool {
        self.taken == self.inbuf.len()
    }

    /// The lines run so far, oldest first.
    pub(crate) fn history(&self) -> Vec<Vec<u8>> {
        let entries = self.readline.as_ref().map(|rl| rl.history().entries());
        entries.map_or(Vec::new(), |e| e.map(<[u8]>::to_vec).collect())
    }
}

/// Starts an HMP monitor on a chardev (`monitor_init_hmp`).
pub(crate) fn monitor_init_hmp<S: 'static>(rt: &mut Runtime<S>, new: NewMonitor) -> MonitorId {
    let fe = new.fe;
    let mode = new
        .config
        .readline
        .unwrap_or(match qemu_chr_fe_is_terminal(rt, fe) {
            true => MonitorReadline::Full,
            false => MonitorReadline::On,
        });
    let kind = MonitorKind::Hmp(Box::new(MonitorHmp {
        readline: (mode != MonitorReadline::Off).then(|| {
            let mut rl = Readline::new(PROMPT);
            rl.set_full(mode == MonitorReadline::Full);
            rl
        }),
        line: Vec::new(),
        inbuf: Vec::new(),
        taken: 0,
        mux_out: false,
        reset_seen: false,
        writes_apart: qemu_chr_fe_keeps_writes_apart(rt, fe),
    }));
    let id = rt.monitors.insert(new, kind);
    let handlers = CharHandlers {
        new_client: Some(monitor_new_client),
        drained: Some(monitor_drained),
        backlog: Some(monitor_backlog),
        ..CharHandlers::new(monitor_can_read, monitor_read, monitor_event)
    };
    qemu_chr_fe_set_handlers(rt, fe, Some(handlers), id.to_opaque());
    id
}

fn monitor_can_read<S: 'static>(rt: &Runtime<S>, opaque: u64) -> usize {
    let Some(mon) = rt.monitors.get(MonitorId::from_opaque(opaque)) else {
        return 0;
    };
    match &mon.kind {
        // One chunk is taken even while the client does not read, and is carried out when
        // the client leaves.
        MonitorKind::Hmp(h) if h.has_read_all() => READ_CHUNK,
        _ => 0,
    }
}

fn monitor_read<S: 'static>(rt: &mut Runtime<S>, opaque: u64, bytes: &[u8]) {
    let id = MonitorId::from_opaque(opaque);
    let n = bytes.len();
    trace_event!(monitor_read, "{} got {n} bytes", label(rt, id));
    if let Some(hmp) = rt.monitors.hmp_mut(id) {
        hmp.inbuf.extend_from_slice(bytes);
        pump(rt, id);
    }
}

/// Works off what has arrived, as long as the client takes the output.
pub(crate) fn pump<S: 'static>(rt: &mut Runtime<S>, id: MonitorId) {
    while rt.exit_requested().is_none() {
        let Some(mon) = rt.monitors.get_mut(id) else {
            return;
        };
        let full = mon.over_budget();
        let MonitorKind::Hmp(hmp) = &mut mon.kind else {
            return;
        };
        if full || hmp.taken == hmp.inbuf.len() {
            break;
        }
        let byte = hmp.inbuf[hmp.taken];
        hmp.taken += 1;
        if hmp.taken == hmp.inbuf.len() {
            clear_buffer(&mut hmp.inbuf);
            hmp.taken = 0;
        }
        let event = hmp.take_byte(byte, &mut mon.out);
        flush_if_apart(rt, id);
        match event {
            ReadlineEvent::None => {}
            ReadlineEvent::Complete => complete(rt, id),
            ReadlineEvent::Line(line) => {
                handle_hmp_command(rt, id, &line);
                if rt.exit_requested().is_none() {
                    show_prompt(rt, id);
                }
            }
        }
    }
    mark_dirty(rt, id);
}

/// Carries out what a client has sent that has gone before it read all answers.
fn finish_input<S: 'static>(rt: &mut Runtime<S>, id: MonitorId) {
    let mut left = usize::MAX;
    while let Some(hmp) = rt.monitors.hmp_mut(id) {
        let now_left = hmp.inbuf.len() - hmp.taken;
        // None is taken when the program is about to end.
        if hmp.mux_out || now_left == 0 || now_left == left {
            return;
        }
        left = now_left;
        discard_output(rt, id);
        pump(rt, id);
    }
}

fn handle_hmp_command<S: 'static>(rt: &mut Runtime<S>, id: MonitorId, line: &[u8]) {
    trace_event!(
        handle_hmp_command,
        "{} {}",
        label(rt, id),
        String::from_utf8_lossy(line)
    );
    let output = run_line(rt, Some(id), line);
    for line in output.split_inclusive(|b| *b == b'\n') {
        let Some(mon) = rt.monitors.get_mut(id) else {
            return;
        };
        mon.out.push(line);
        flush_if_apart(rt, id);
    }
}

/// Draws prompt and line of the monitors on the program's terminal again.
pub(crate) fn redraw_terminals<S: 'static>(rt: &mut Runtime<S>) {
    for id in rt.monitors.ids() {
        let Some(mon) = rt.monitors.get(id) else {
            continue;
        };
        let on_terminal = qemu_chr_fe_is_terminal(rt, mon.fe);
        let Some(mon) = rt.monitors.get_mut(id).filter(|_| on_terminal) else {
            continue;
        };
        match &mut mon.kind {
            MonitorKind::Hmp(hmp) if !hmp.mux_out => {
                if let Some(rl) = &mut hmp.readline {
                    rl.redraw(mon.out.vec_mut());
                }
            }
            _ => continue,
        }
        mark_dirty(rt, id);
    }
}

/// Writes what there is at once where the peer sees each write by itself: there
/// a line, a prompt and a keystroke's echo are one write each, as in QEMU.
/// Elsewhere writes are joined.
fn flush_if_apart<S: 'static>(rt: &mut Runtime<S>, id: MonitorId) {
    if rt.monitors.hmp_mut(id).is_some_and(|hmp| hmp.writes_apart) {
        monitor_flush(rt, id);
    }
}

fn complete<S: 'static>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(hmp) = rt.monitors.hmp_mut(id) else {
        return;
    };
    let Some(rl) = &hmp.readline else { return };
    let full = rl.is_full();
    let before = rl.before_cursor().to_vec();
    let scope = CompletionScope {
        preconfig: rt.preconfig,
        full,
    };
    let completion = find_completion(&before, &rt.hmp.table, scope);
    super::context::print_stdout(&completion.stdout);
    let candidates = super::context::candidates(rt, &completion);
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    if let MonitorKind::Hmp(hmp) = &mut mon.kind {
        if let Some(rl) = &mut hmp.readline {
            rl.complete(&completion.word, candidates, mon.out.vec_mut());
        }
    }
}

fn show_prompt<S: 'static>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    if let MonitorKind::Hmp(hmp) = &mut mon.kind {
        // A chardev that never opens has nobody who could be prompted.
        if hmp.mux_out || !hmp.reset_seen {
            return;
        }
        if let Some(rl) = &mut hmp.readline {
            rl.show_prompt(mon.out.vec_mut());
        }
    }
    flush_if_apart(rt, id);
    mark_dirty(rt, id);
}

fn monitor_event<S: 'static>(rt: &mut Runtime<S>, opaque: u64, event: ChrEvent) {
    let id = MonitorId::from_opaque(opaque);
    trace_event!(monitor_event, "{} {}", label(rt, id), event.name());
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    let full = mon.over_budget();
    let MonitorKind::Hmp(hmp) = &mut mon.kind else {
        return;
    };
    match event {
        ChrEvent::Opened => {
            // A monitor without the focus keeps one banner per client, until
            // it has enough.
            if !full {
                let version = version::QEMU_VERSION;
                let banner =
                    format!("QEMU {version} monitor - type 'help' for more information\r\n");
                mon.out.push(banner.as_bytes());
            }
            hmp.reset_seen = true;
            hmp.restart();
            flush_if_apart(rt, id);
            show_prompt(rt, id);
        }
        ChrEvent::Closed => {
            finish_input(rt, id);
            let Some(hmp) = rt.monitors.hmp_mut(id) else {
                return;
            };
            hmp.restart();
            // What waits for the focus is not for this client alone.
            if !hmp.mux_out {
                discard_output(rt, id);
            }
            monitor_client_left(rt, id);
        }
        ChrEvent::MuxIn => {
            hmp.mux_out = false;
            if hmp.reset_seen {
                hmp.drop_line();
                show_prompt(rt, id);
            }
            mark_dirty(rt, id);
        }
        ChrEvent::MuxOut => {
            if hmp.reset_seen && !hmp.mux_out {
                mon.out.push(b"\r\n");
                monitor_flush(rt, id);
            }
            if let Some(hmp) = rt.monitors.hmp_mut(id) {
                hmp.mux_out = true;
            }
        }
        ChrEvent::Break => {}
    }
}

impl MonitorHmp {
    /// Takes a byte of input.
    fn take_byte(&mut self, byte: u8, out: &mut OutBuf) -> ReadlineEvent {
        if let Some(rl) = &mut self.readline {
            return rl.handle_byte(byte, out.vec_mut());
        }
        match byte {
            b'\n' | b'\r' => {
                let line = std::mem::take(&mut self.line);
                if line.len() <= LINE_MAX {
                    return ReadlineEvent::Line(line);
                }
                out.push(format!("Error: a line has at most {LINE_MAX} bytes\r\n").as_bytes());
            }
            // Telnet has one behind CR.
            0 => {}
            _ if self.line.len() <= LINE_MAX => self.line.push(byte),
            _ => {}
        }
        ReadlineEvent::None
    }

    /// Drops what is half typed and what has not been looked at.
    fn restart(&mut self) {
        self.inbuf.clear();
        self.taken = 0;
        self.drop_line();
    }

    /// Drops what is half typed.
    fn drop_line(&mut self) {
        self.line.clear();
        if let Some(rl) = &mut self.readline {
            rl.restart();
        }
    }
}
