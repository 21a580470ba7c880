//! The context of an HMP command's function: the runtime, and a place to print.

use super::{HmpArgs, HmpRow};
use crate::monitor::deferred::{Answer, UnderWay};
use crate::monitor::runtime::Runtime;
use crate::monitor::table::MonitorId;
use crate::qapi::visit::{InputVisitor, QapiType};
use crate::qapi::{CompatPolicy, Error, RawResponder, Responder};

/// The function of a command.
pub type HmpHandler<S> = fn(&mut Hmp<'_, S>, &HmpArgs);

/// A command: its declaration and its function.
pub type HmpPair<S> = (HmpRow, HmpHandler<S>);

/// An HMP command at work (QEMU passes a `Monitor`).
pub struct Hmp<'a, S: 'static> {
    /// The runtime.
    pub rt: &'a mut Runtime<S>,
    /// The session that the line came from; `None` for `human-monitor-command`.
    pub monitor: Option<MonitorId>,
    /// The processor that `human-monitor-command` names for its line; it exists.
    pub cpu_index: Option<i64>,
    out: Vec<u8>,
    row: HmpRow,
    /// The command's token, if it finishes later.
    under_way: Option<u64>,
}

impl<S> Hmp<'_, S> {
    /// Prints text; each newline goes out as CR LF (`monitor_printf`).
    pub fn print(&mut self, text: impl AsRef<[u8]>) {
        push_with_cr_lf(&mut self.out, text.as_ref());
    }

    /// Prints `Error: DESCRIPTION` and the hints, if there is an error
    /// (`hmp_handle_error`). Returns the value of a success.
    pub fn handle_error<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(e) => {
                self.print(format!("Error: {}\n{}", e.desc(), e.hint()));
                None
            }
        }
    }

    /// Lets the command finish later: `then` is called with the answer given to
    /// the responder, usually by a QMP command that is deferred itself. The prompt
    /// waits meanwhile, and what is typed is kept; for `human-monitor-command` the
    /// reply waits. If the client leaves, what `then` prints is lost.
    ///
    /// ```
    /// use qmonitor::monitor::hmp::{Hmp, HmpArgs, HmpRow};
    /// use qmonitor::qapi::Responder;
    ///
    /// struct Oven {
    ///     waiting: Vec<Responder<i64>>,
    /// }
    ///
    /// // Answered once the oven is hot.
    /// const HEAT: HmpRow = HmpRow::new("heat", "", "heat the oven").coroutine();
    ///
    /// fn hmp_heat(hmp: &mut Hmp<'_, Oven>, _args: &HmpArgs) {
    ///     let responder = hmp.defer(|hmp, degrees| {
    ///         if let Some(degrees) = hmp.handle_error(degrees) {
    ///             hmp.print(format!("{degrees} degrees\n"));
    ///         }
    ///     });
    ///     hmp.rt.state.waiting.push(responder);
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// The command's row is not declared with [`HmpRow::coroutine`], or this was
    /// called before for the same line.
    pub fn defer<T: QapiType>(
        &mut self,
        then: impl FnOnce(&mut Hmp<'_, S>, Result<T, Error>) + 'static,
    ) -> Responder<T> {
        // The policy is for clients of QMP.
        let policy = CompatPolicy::default();
        let raw = self.defer_raw(move |hmp, answer| {
            let visit = |value| T::visit_in(&mut InputVisitor::new(value, policy), "");
            then(hmp, answer.and_then(visit));
        });
        Responder::new(raw, policy)
    }

    /// The same for an answer of any type.
    pub(crate) fn defer_raw(
        &mut self,
        then: impl FnOnce(&mut Hmp<'_, S>, Answer) + 'static,
    ) -> RawResponder {
        let name = self.row.name;
        assert!(self.row.coroutine, "HMP command '{name}' is no coroutine");
        assert!(
            self.under_way.is_none(),
            "HMP command '{name}' defers twice"
        );
        let line = HmpUnderWay {
            monitor: self.monitor,
            current: self.rt.dispatcher.current,
            row: self.row,
            then: Box::new(then),
            reply: None,
        };
        let (token, responder) = self.rt.deferred.begin(UnderWay::Hmp(line));
        self.under_way = Some(token);
        responder
    }

    /// Takes the rest of the command, if its answer is there already.
    fn take_answer(&mut self) -> Option<(Then<S>, Answer)> {
        let token = self.under_way?;
        let answer = self.rt.deferred.take_answer(token)?;
        self.under_way = None;
        match self.rt.deferred.finish(token)? {
            UnderWay::Hmp(line) => Some((line.then, answer)),
            UnderWay::Qmp(_) => None,
        }
    }
}

/// The rest of a command, to be run with its answer.
pub(super) type Then<S> = Box<dyn FnOnce(&mut Hmp<'_, S>, Answer)>;

/// A line whose command has not finished.
pub(crate) struct HmpUnderWay<S: 'static> {
    pub(super) monitor: Option<MonitorId>,
    pub(super) current: Option<MonitorId>,
    pub(super) row: HmpRow,
    pub(super) then: Then<S>,
    /// For `human-monitor-command`: the output so far, and the responder.
    pub(super) reply: Option<(Vec<u8>, Responder<String>)>,
}

/// Appends text whose newlines go out as CR LF.
pub(super) fn push_with_cr_lf(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 1);
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\r\n");
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
}

/// The outcome of a line.
#[derive(Default)]
pub(crate) struct LineOutcome {
    /// Its output.
    pub(crate) output: Vec<u8>,
    /// Set if its command has not finished.
    pub(crate) under_way: Option<u64>,
}

/// Runs a piece of a command, and the rest of it if its answer is there already.
pub(super) fn with_hmp<S>(
    rt: &mut Runtime<S>,
    monitor: Option<MonitorId>,
    current: Option<MonitorId>,
    row: HmpRow,
    run: impl FnOnce(&mut Hmp<'_, S>),
) -> LineOutcome {
    let outer = std::mem::replace(&mut rt.dispatcher.current, current);
    let mut hmp = Hmp {
        rt,
        monitor,
        cpu_index: None,
        out: Vec::new(),
        row,
        under_way: None,
    };
    run(&mut hmp);
    while let Some((then, answer)) = hmp.take_answer() {
        then(&mut hmp, answer);
    }
    let outcome = LineOutcome {
        output: hmp.out,
        under_way: hmp.under_way,
    };
    rt.dispatcher.current = outer;
    outcome
}
