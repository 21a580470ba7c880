//! `vc`: a text console. There is no display, so it shows its text to nobody and no key
//! ever comes from it.

use crate::schema::{VcEncoding, VcOptions};
use crate::Machine;
use qmonitor::chardev::{Backend, BackendOptions, ChardevClass, ChardevHost, ChardevId};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::{QemuOptType, QemuOpts};
use qmonitor::Runtime;

/// A text console, whose size makes no difference.
#[derive(Debug, Clone)]
pub(super) struct Vc {
    encoding: VcEncoding,
}

impl BackendOptions for Vc {
    type Arguments = VcOptions;
    const EXTENSIONS: &'static [(&'static str, QemuOptType)] = &[];

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let Some(name) = opts.get("encoding") else {
            return Ok(Vc {
                encoding: VcEncoding::Utf8,
            });
        };
        let unknown = |_| Error::new(format!("invalid parameter value: {name}"));
        let encoding = name.parse().map_err(unknown)?;
        Ok(Vc { encoding })
    }

    fn from_arguments(arguments: VcOptions) -> Result<Self, Error> {
        Ok(Vc {
            encoding: arguments.encoding.unwrap_or(VcEncoding::Utf8),
        })
    }
}

impl Backend<Runtime<Machine>> for Vc {
    fn class(&self, kind: &'static str) -> ChardevClass<Runtime<Machine>> {
        ChardevClass {
            opens_at_once: true,
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, rt: &mut Runtime<Machine>, id: ChardevId) -> Result<Option<String>, Error> {
        rt.state.add_text_console();
        rt.chardevs_mut().set_state(id, Box::new(self.encoding));
        Ok(None)
    }
}
