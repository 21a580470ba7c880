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

/// A command that has nothing to do or to say.
pub(super) fn nothing(_hmp: Cx, _args: &HmpArgs) {}
