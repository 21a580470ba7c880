//! `qemu-vdagent`: the agent that shares a clipboard and a pointer with a guest. There is no
//! display, so it has nothing to say and reads what comes.

use crate::schema::VdagentOptions;
use qmonitor::chardev::{Backend, BackendOptions, ChardevClass, ChardevHost, ChardevId};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::{QemuOptType, QemuOpts};

/// The agent; what it would share makes no difference.
#[derive(Debug, Clone)]
pub(super) struct Vdagent;

impl BackendOptions for Vdagent {
    type Arguments = VdagentOptions;
    const EXTENSIONS: &'static [(&'static str, QemuOptType)] = &[];

    fn from_opts(_: &QemuOpts) -> Result<Self, Error> {
        Ok(Vdagent)
    }

    fn from_arguments(_: VdagentOptions) -> Result<Self, Error> {
        Ok(Vdagent)
    }
}

impl<H: ChardevHost> Backend<H> for Vdagent {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            opens_at_once: true,
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, _: &mut H, _: ChardevId) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
