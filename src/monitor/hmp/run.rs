//! Runs lines, whose commands finish at once or later.

use std::io::Write;

use super::context::{push_with_cr_lf, with_hmp, Hmp, HmpUnderWay, LineOutcome};
use super::{parse_command, FormatState, HmpEnv};
use crate::chardev::{print_stderr, ChardevHost, ChardevReport};
use crate::monitor::deferred::Answer;
use crate::monitor::runtime::Runtime;
use crate::monitor::table::MonitorId;
use crate::qapi::{QDict, Responder};
use crate::trace_event;

struct Env<'a, S: 'static> {
    rt: &'a Runtime<S>,
    format: FormatState,
}

impl<S> HmpEnv for Env<'_, S> {
    fn format(&mut self) -> &mut FormatState {
        &mut self.format
    }

    fn preconfig(&self) -> bool {
        self.rt.preconfig
    }

    fn options(&mut self, group: &'static str, text: &str) -> Result<QDict, String> {
        (self.rt.hmp.options)(self.rt, group, text).map_err(|e| match e.hint() {
            "" => e.desc().to_owned(),
            hint => format!("{}\n{}", e.desc(), hint.trim_end()),
        })
    }
}

/// Prints what QEMU prints on its standard output, where the person at the
/// monitor does not see it. A closed standard output is ignored.
pub(crate) fn print_stdout(text: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}

/// Reports an error on standard error. For a session it has the program's own
/// form; for `human-monitor-command` it has no name in front, as in QEMU.
fn report<S>(rt: &mut Runtime<S>, monitor: Option<MonitorId>, text: &str) {
    match monitor {
        Some(_) => rt.chardev_report(ChardevReport::Error, text),
        None => print_stderr(&format!("{text}\n")),
    }
}

/// Runs one line (`handle_hmp_command`).
pub(crate) fn run_line<S>(
    rt: &mut Runtime<S>,
    monitor: Option<MonitorId>,
    line: &[u8],
    cpu_index: Option<i64>,
) -> LineOutcome {
    if let Some(text) = intercepted(rt, monitor, line) {
        let mut outcome = LineOutcome::default();
        push_with_cr_lf(&mut outcome.output, text.as_bytes());
        return outcome;
    }
    let mut env = Env {
        rt,
        format: rt.hmp.format,
    };
    let parsed = parse_command(line, &rt.hmp.table, &mut env);
    rt.hmp.format = env.format;
    let current = monitor.or(rt.dispatcher.current);
    match parsed {
        Ok(None) => LineOutcome::default(),
        Ok(Some(command)) => {
            let run = |hmp: &mut Hmp<'_, S>| {
                hmp.cpu_index = cpu_index;
                let permitted = hmp.rt.check_hmp_command(command.group, command.row);
                if hmp.handle_error(permitted).is_some() {
                    trace_event!(hmp_command, "{}: cmd->cmd", command.row.main_name());
                    (command.handler)(hmp, &command.args);
                }
            };
            with_hmp(rt, monitor, current, command.row, run)
        }
        Err(e) => {
            let mut outcome = LineOutcome::default();
            push_with_cr_lf(&mut outcome.output, &e.text);
            print_stdout(&e.stdout);
            if let Some(text) = e.stderr {
                report(rt, monitor, &text);
            }
            outcome
        }
    }
}

/// The output that a test kit has for this line.
fn intercepted<S>(rt: &mut Runtime<S>, monitor: Option<MonitorId>, line: &[u8]) -> Option<String> {
    let interceptor = rt.interceptor.clone()?;
    interceptor.line(rt, monitor, &String::from_utf8_lossy(line))
}

/// Runs one line for `human-monitor-command`, which is answered when the line has
/// finished.
pub(crate) fn run_line_for<S>(
    rt: &mut Runtime<S>,
    line: &[u8],
    cpu_index: Option<i64>,
    reply: Responder<String>,
) {
    let outcome = run_line(rt, None, line, cpu_index);
    finish_reply(rt, Vec::new(), reply, outcome);
}

/// Answers `human-monitor-command`, or keeps the output until the line goes on.
fn finish_reply<S>(
    rt: &mut Runtime<S>,
    mut output: Vec<u8>,
    reply: Responder<String>,
    outcome: LineOutcome,
) {
    if output.is_empty() {
        output = outcome.output;
    } else {
        output.extend(outcome.output);
    }
    let Some(token) = outcome.under_way else {
        let text = String::from_utf8(output)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        return reply.respond(Ok(text));
    };
    if let Some(line) = rt.deferred.hmp_mut(token) {
        line.reply = Some((output, reply));
    }
}

/// Goes on with a line whose command was answered. Returns the outcome for a
/// session to show; `human-monitor-command` is answered here.
pub(crate) fn answer_line<S>(
    rt: &mut Runtime<S>,
    line: HmpUnderWay<S>,
    answer: Answer,
) -> Option<(MonitorId, LineOutcome)> {
    let then = line.then;
    let outcome = with_hmp(rt, line.monitor, line.current, line.row, |hmp| {
        then(hmp, answer);
    });
    if let Some((output, reply)) = line.reply {
        finish_reply(rt, output, reply, outcome);
        return None;
    }
    Some((line.monitor?, outcome))
}
