//! `vc`: a text console. There is no display, so it shows its text to nobody and no key
//! ever comes from it.

use crate::schema::{VcEncoding, VcOptions};
use qmonitor::chardev::{Backend, BackendOptions, ChardevClass, ChardevHost, ChardevId};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::{QemuOptType, QemuOpts};

/// A text console, whose size makes no difference.
#[derive(Debug, Clone)]
pub(super) struct Vc;

impl BackendOptions for Vc {
    type Arguments = VcOptions;
    const EXTENSIONS: &'static [(&'static str, QemuOptType)] = &[];

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        match opts
            .get("encoding")
            .map(|name| (name, name.parse::<VcEncoding>()))
        {
            Some((name, Err(_))) => Err(Error::new(format!("invalid parameter value: {name}"))),
            _ => Ok(Vc),
        }
    }

    fn from_arguments(_: VcOptions) -> Result<Self, Error> {
        Ok(Vc)
    }
}

impl<H: ChardevHost> Backend<H> for Vc {
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
