//! What a test kit is asked before commands, and what it may answer.

use super::table::MonitorId;
use crate::qapi::dispatch::QmpRequest;
use crate::qapi::{Error, QObject, RawResponder};

/// What becomes of a request. `R` is the runtime.
pub enum Verdict<R> {
    /// The command's function answers it.
    Pass,
    /// This is the answer.
    Reply(Result<QObject, Error>),
    /// It is never answered.
    Silence,
    /// It is answered through the responder that the function is given.
    Later(Box<Later<R>>),
}

/// Takes on the duty to answer a request.
pub type Later<R> = dyn FnOnce(&mut R, RawResponder);

/// A well-formed request before its command is looked up.
#[derive(Debug)]
pub struct Intercepted<'a> {
    /// Where it came from.
    pub monitor: MonitorId,
    /// Command and arguments.
    pub request: &'a QmpRequest,
    /// Whether capabilities are still to be negotiated.
    pub negotiating: bool,
}

/// Is asked before each command; see
/// [`Runtime::set_interceptor`](super::Runtime::set_interceptor).
pub trait Interceptor<R> {
    /// A request is next. It is not known yet whether its command exists.
    fn request(&self, rt: &mut R, request: &Intercepted<'_>) -> Verdict<R>;

    /// A line of the human monitor is next, typed or passed by `human-monitor-command`. A text
    /// is its output.
    fn line(&self, rt: &mut R, monitor: Option<MonitorId>, line: &str) -> Option<String>;
}
