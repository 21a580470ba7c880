//! A chardev backend that counts lines. Nobody reads them.

use qmonitor::chardev::{Backend, BackendOptions, ChardevClass, ChardevHost, ChardevId};
use qmonitor::main_loop::TimeSource;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::QemuOpts;
use qmonitor::Runtime;

/// What the compiler made of lines.json.
#[allow(missing_docs, dead_code)]
mod schema {
    include!(concat!(env!("OUT_DIR"), "/backend.rs"));
}

/// The options of the backend, and its state.
#[derive(Debug, Clone)]
pub struct Lines {
    count: u64,
}

impl BackendOptions for Lines {
    type Arguments = schema::LinesOptions;

    fn from_opts(_: &QemuOpts) -> Result<Self, Error> {
        Ok(Lines { count: 0 })
    }

    fn from_arguments(_: schema::LinesOptions) -> Result<Self, Error> {
        Ok(Lines { count: 0 })
    }
}

impl<H: ChardevHost> Backend<H> for Lines {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            opens_at_once: true,
            // Your turn: chr_write counts the lines, chr_filename shows "lines:COUNT".
            chr_write: |h, id, bytes| {
                if let Some(lines) = h.chardevs_mut().state_mut::<Lines>(id) {
                    lines.count += 1;
                }
                Ok(bytes.len())
            },
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        h.chardevs_mut().set_state(id, Box::new(self.clone()));
        Ok(None)
    }
}

/// A program whose chardevs can be of the kind `lines`.
pub fn program() -> Runtime<()> {
    let mut rt = Runtime::with_time((), TimeSource::simulated()).expect("a loop");
    rt.chardevs_mut().register::<Lines>("lines");
    rt
}
