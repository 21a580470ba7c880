//! The helpers of HMP commands.

use std::borrow::Cow;

use crate::Machine;
use qmonitor::monitor::hmp::{Hmp, HmpArgs};
use qmonitor::qapi::Error;

pub(super) type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// Prints `Error: TEXT`.
pub(super) fn fail(hmp: Cx, text: impl Into<Cow<'static, str>>) {
    hmp.handle_error(Err::<(), _>(Error::new(text)));
}

/// Prints why a command for disks failed; older QEMUs print it as it is.
pub(super) fn disk_failure(hmp: Cx, e: &Error) {
    let mark = if hmp.rt.profile().marks_disk_errors() {
        "Error: "
    } else {
        ""
    };
    hmp.print(format!("{mark}{}\n{}", e.desc(), e.hint()));
}

/// A command that has nothing to do or to say.
pub(super) fn nothing(_hmp: Cx, _args: &HmpArgs) {}
