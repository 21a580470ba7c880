//! The backends, one file each. Sockets, which are larger, have a room of their own.

mod fd;
pub(super) mod file;
pub(super) mod hub;
pub(super) mod mux;
mod mux_input;
pub(super) mod null;
pub(super) mod peer;
pub(super) mod pty;
pub(super) mod ringbuf;
mod stamp;
pub mod stdio;
pub(super) mod testdev;
pub(super) mod udp;

use super::class::{ChardevClass, ChardevId};
use super::host::ChardevHost;
use super::kind::{BackendOptions, Common, Kind, RegisteredBackend, Visited};
use crate::qapi::visit::InputVisitor;
use crate::qapi::{Error, SpecialFeatures};

/// A kind of backend, for a host: how a chardev is made from its options.
pub trait Backend<H: ChardevHost>: BackendOptions {
    /// The functions of a chardev of this kind; `kind` is the name that it was asked for
    /// by.
    fn class(&self, kind: &'static str) -> ChardevClass<H>;

    /// Opens the backend of a chardev that is in the table by now: sets its state with
    /// [`Chardevs::set_state`](super::Chardevs::set_state). A pseudo terminal returns its
    /// name.
    ///
    /// # Errors
    ///
    /// The reason in QEMU's words. The chardev is removed then.
    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error>;
}

impl<H: ChardevHost> Kind<H> {
    pub(in crate::chardev) fn new<T: Backend<H>>(name: &'static str) -> Self {
        Kind {
            name,
            extensions: T::EXTENSIONS,
            from_opts: |kind, opts| Ok(RegisteredBackend::new(kind, T::from_opts(opts)?)),
            visit: visit::<T>,
            class: |backend| Some(backend.options::<T>()?.class(backend.kind)),
            open: |h, id, backend| match backend.options::<T>() {
                Some(options) => options.open(h, id),
                None => Ok(None),
            },
        }
    }
}

/// Reads `data`, whose members all kinds have first.
fn visit<T: BackendOptions>(kind: &'static str, v: &mut InputVisitor) -> Visited {
    v.start_struct("data")?;
    let common = Common {
        logfile: v.member("logfile")?,
        logappend: v.member("logappend")?,
        logtimestamp: v.special_optional("logtimestamp", SpecialFeatures::SINCE_11_1)?,
    };
    let arguments = v.branch()?;
    v.end_struct()?;
    let options = T::from_arguments(arguments);
    Ok(options.map(|options| (RegisteredBackend::new(kind, options), common)))
}
