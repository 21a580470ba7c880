//! What the HMP commands of all subsystems share.

use std::borrow::Cow;

use crate::Machine;
use qmonitor::monitor::hmp::{Hmp, HmpArgs};
use qmonitor::qapi::Error;

pub(super) type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// Prints `Error: TEXT`.
pub(super) fn fail(hmp: Cx, text: impl Into<Cow<'static, str>>) {
    hmp.handle_error(Err::<(), _>(Error::new(text)));
}

pub(super) fn nothing(_hmp: Cx, _args: &HmpArgs) {}
