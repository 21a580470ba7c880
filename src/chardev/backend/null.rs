//! `null`: takes everything, gives nothing and is never open. A monitor on it
//! has no banner and no prompt.

use super::Backend;
use crate::chardev::class::{ChardevClass, ChardevId};
use crate::chardev::host::ChardevHost;
use crate::chardev::kind::BackendOptions;
use crate::chardev::schema as q;
use crate::qapi::Error;
use crate::util::qemu_opts::QemuOpts;

/// It has no options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NullConfig;

impl BackendOptions for NullConfig {
    type Arguments = q::ChardevCommon;

    fn from_opts(_opts: &QemuOpts) -> Result<Self, Error> {
        Ok(NullConfig)
    }

    fn from_arguments(_arguments: q::ChardevCommon) -> Result<Self, Error> {
        Ok(NullConfig)
    }
}

impl<H: ChardevHost> Backend<H> for NullConfig {
    /// All defaults.
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass::new(kind)
    }

    fn open(&self, _h: &mut H, _id: ChardevId) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
