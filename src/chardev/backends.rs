//! The kinds of backends: the one list from which their names, their options and their
//! opening come.
//!
//! A line names a kind, the variant of [`ChardevBackend`] (which is that of QMP's union as
//! well), and the type of its options, which implements [`Backend`] in the file of the
//! backend. How to add one is told in `docs/add-a-backend.md`.

use super::backend::{self, Backend};
use super::class::{ChardevClass, ChardevId};
use super::config::SocketConfig;
use super::host::ChardevHost;
use super::kind::{BackendOptions, Common, Kind, RegisteredBackend};
use super::schema as q;
use super::table::Chardevs;
use crate::qapi::visit::InputVisitor;
use crate::qapi::Error;
use crate::util::qemu_opts::{QemuOptType, QemuOpts};

/// A backend and what all backends have in common (QEMU's `ChardevBackend`
/// plus `ChardevCommon`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChardevConfig {
    /// Which backend, and its own options.
    pub backend: ChardevBackend,
    /// A file that gets a copy of everything the front end writes.
    pub logfile: Option<String>,
    /// Whether the log file is kept and written on, not truncated.
    pub logappend: bool,
    /// Whether each line of the log file begins with its time.
    pub logtimestamp: bool,
    /// Whether a mux is put in front: the device is then called `ID-base` and
    /// `ID` is the mux. Only the command line has this; `chardev-add` makes
    /// a mux as a chardev of its own.
    pub mux: bool,
}

impl ChardevConfig {
    /// A backend without log file and without mux.
    ///
    /// ```
    /// use qmonitor::chardev::{ChardevBackend, ChardevConfig};
    /// let config = ChardevConfig::new(ChardevBackend::Null);
    /// assert_eq!(config.backend.kind(), "null");
    /// assert!(!config.mux);
    /// ```
    pub fn new(backend: ChardevBackend) -> Self {
        ChardevConfig {
            backend,
            logfile: None,
            logappend: false,
            logtimestamp: false,
            mux: false,
        }
    }
}

impl From<ChardevBackend> for ChardevConfig {
    fn from(backend: ChardevBackend) -> Self {
        Self::new(backend)
    }
}

macro_rules! backends {
    // A kind without options is a variant without fields; behind the colon is its type.
    (@type $type:path) => { $type };
    (@pattern $variant:ident $options:ident) => { ChardevBackend::$variant };
    (@pattern $variant:ident $options:ident $type:path) => { ChardevBackend::$variant($options) };
    (@value $variant:ident $options:ident) => {{
        let _ = $options;
        ChardevBackend::$variant
    }};
    (@value $variant:ident $options:ident $type:path) => { ChardevBackend::$variant($options) };
    (@options $options:ident, $($type:path)?, $unit:path) => { &$unit };
    (@options $options:ident, $type:path,) => { $options };

    ($( $(#[$doc:meta])* $name:literal $variant:ident $(($type:path))? $(: $unit:path)?; )*) => {
        /// The backends, each with its options (QEMU's `ChardevBackendKind`).
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum ChardevBackend {
            $( $(#[$doc])* $variant $(($type))?, )*
            /// A kind that the program has [registered](Chardevs::register).
            Registered(RegisteredBackend),
        }

        /// The names of this library's backends, for `query-chardev-backends` and
        /// `-chardev help`.
        pub const CHARDEV_BACKENDS: &[&str] = &[$($name),*];

        impl ChardevBackend {
            /// The backend's name, as in `-chardev NAME,...` and, where a backend has
            /// nothing better, in `filename` of `query-chardev`.
            pub fn kind(&self) -> &'static str {
                match self {
                    $( ChardevBackend::$variant { .. } => $name, )*
                    ChardevBackend::Registered(backend) => backend.kind,
                }
            }

            /// The path of a FIFO that cannot be opened before it has a reader.
            pub(crate) fn waits_for_reader(&self) -> Option<&str> {
                match self {
                    $( backends!(@pattern $variant options $($type)?) => {
                        backends!(@options options, $($type)?, $($unit)?).waits_for_reader()
                    } )*
                    ChardevBackend::Registered(backend) => backend.waits_for_reader.as_deref(),
                }
            }

            /// From `-chardev NAME,...`; `None` if there is no such kind.
            pub(super) fn from_opts(name: &str, opts: &QemuOpts) -> Result<Option<Self>, Error> {
                Ok(Some(match name {
                    $( $name => {
                        let options = <backends!(@type $($type)? $($unit)?) as BackendOptions>::from_opts(opts)?;
                        backends!(@value $variant options $($type)?)
                    } )*
                    _ => return Ok(None),
                }))
            }

            /// From the arguments of `chardev-add`; `None` if there is no such kind.
            fn from_arguments(arguments: q::ChardevBackend) -> Result<Option<(Self, Common)>, Error> {
                Ok(Some(match arguments {
                    $( q::ChardevBackend::$variant(wrapper) => {
                        let data = wrapper.data;
                        let common = Common {
                            logfile: data.logfile.clone(),
                            logappend: data.logappend,
                            logtimestamp: data.logtimestamp,
                        };
                        let options = <backends!(@type $($type)? $($unit)?) as BackendOptions>::from_arguments(data)?;
                        (backends!(@value $variant options $($type)?), common)
                    } )*
                    _ => return Ok(None),
                }))
            }

            /// The functions of a chardev with this backend.
            pub(super) fn class<H: ChardevHost>(&self, h: &H) -> Option<ChardevClass<H>> {
                Some(match self {
                    $( backends!(@pattern $variant options $($type)?) => {
                        backends!(@options options, $($type)?, $($unit)?).class($name)
                    } )*
                    ChardevBackend::Registered(backend) => {
                        (h.chardevs().kind(backend.kind)?.class)(backend)?
                    }
                })
            }

            /// Opens the backend; a pty tells its name.
            pub(super) fn open<H: ChardevHost>(
                &self,
                h: &mut H,
                id: ChardevId,
            ) -> Result<Option<String>, Error> {
                match self {
                    $( backends!(@pattern $variant options $($type)?) => {
                        backends!(@options options, $($type)?, $($unit)?).open(h, id)
                    } )*
                    ChardevBackend::Registered(backend) => match h.chardevs().kind(backend.kind) {
                        Some(kind) => (kind.open)(h, id, backend),
                        None => Err(not_a_driver(backend.kind)),
                    },
                }
            }
        }
    };
}

backends! {
    /// Standard input and output of the process.
    "stdio" Stdio(backend::stdio::StdioConfig);
    /// A buffer in memory that keeps the last bytes written.
    "ringbuf" Ringbuf(backend::ringbuf::RingbufConfig);
    /// Several front ends on one chardev.
    "mux" Mux(backend::mux::MuxConfig);
    /// A pair of fifos, `PATH.in` and `PATH.out`, or one file for both.
    "pipe" Pipe(backend::file::PipeConfig);
    /// A new pseudo terminal.
    "pty" Pty(backend::pty::PtyConfig);
    /// Several chardevs behind one front end.
    "hub" Hub(backend::hub::HubConfig);
    /// Swallows output, has no input, is never open.
    "null" Null: backend::null::NullConfig;
    /// A stream socket, as server or client.
    "socket" Socket(SocketConfig);
    /// A parallel port of the host.
    "parallel" Parallel(backend::file::ParallelConfig);
    /// The older name of the ring buffer; only the name differs.
    "memory" Memory(backend::ringbuf::RingbufConfig);
    /// Datagrams.
    "udp" Udp(backend::udp::UdpConfig);
    /// A regular file for output, perhaps another one for input.
    "file" File(backend::file::FileConfig);
    /// A serial line of the host.
    "serial" Serial(backend::file::SerialConfig);
    /// Output that ends the program with a chosen status.
    "testdev" Testdev: backend::testdev::TestdevConfig;
}

/// `'NAME' is not a valid char driver name`.
pub(super) fn not_a_driver(name: &str) -> Error {
    Error::new(format!("'{name}' is not a valid char driver name"))
}

impl<H> Chardevs<H> {
    /// The kinds of backends that can be made: [`CHARDEV_BACKENDS`], unless
    /// [`set_backends`](Self::set_backends) chose some, and those
    /// [registered](Self::register).
    pub fn backends(&self) -> Vec<&'static str> {
        let own = self.chosen_backends().unwrap_or(CHARDEV_BACKENDS);
        let registered = self.kinds().iter().map(|kind| kind.name);
        own.iter().copied().chain(registered).collect()
    }

    /// Whether the program has registered a kind of backend of this name.
    pub(crate) fn is_registered(&self, name: &str) -> bool {
        self.kind(name).is_some()
    }

    /// A registered kind of backend.
    pub(super) fn kind(&self, name: &str) -> Option<Kind<H>> {
        self.kinds().iter().find(|kind| kind.name == name).copied()
    }

    /// The options of `-chardev` that registered kinds have and QEMU has not.
    pub(super) fn option_extensions(
        &self,
    ) -> impl Iterator<Item = (&'static str, QemuOptType)> + '_ {
        self.kinds()
            .iter()
            .flat_map(|kind| kind.extensions.iter().copied())
    }
}

impl<H: ChardevHost> Chardevs<H> {
    /// Adds a kind of backend to those that `-chardev`, `chardev-add` and
    /// `query-chardev-backends` know. The schema, and so `query-qmp-schema`, does not tell
    /// of it.
    ///
    /// # Panics
    ///
    /// There is a kind of that name already.
    pub fn register<T: Backend<H>>(&mut self, name: &'static str) {
        let taken = CHARDEV_BACKENDS.contains(&name) || self.kind(name).is_some();
        assert!(!taken, "backend '{name}' is registered twice");
        self.push_kind(Kind::new::<T>(name));
    }
}

fn with_common(backend: ChardevBackend, common: Common) -> ChardevConfig {
    ChardevConfig {
        logfile: common.logfile,
        logappend: common.logappend.unwrap_or(false),
        logtimestamp: common.logtimestamp.unwrap_or(false),
        ..ChardevConfig::new(backend)
    }
}

/// The configuration that the arguments of `chardev-add` describe, with QMP's defaults.
///
/// # Errors
///
/// A backend that this program does not have, or options that do not go together.
pub(crate) fn chardev_config(arguments: q::ChardevBackend) -> Result<ChardevConfig, Error> {
    let kind = arguments.r#type().as_str();
    match ChardevBackend::from_arguments(arguments)? {
        Some((backend, common)) => Ok(with_common(backend, common)),
        None => Err(not_a_driver(kind)),
    }
}

/// The same for a registered kind, out of a visitor that stands within `backend` behind
/// `type`.
///
/// # Errors
///
/// The outer one is of the arguments' form, the inner one of what they ask for.
pub(crate) fn visit_registered<H: ChardevHost>(
    h: &H,
    kind: &str,
    v: &mut InputVisitor,
) -> Result<Result<ChardevConfig, Error>, Error> {
    let kind = h.chardevs().kind(kind).ok_or_else(|| not_a_driver(kind))?;
    let read = (kind.visit)(kind.name, v)?;
    Ok(read.map(|(backend, common)| with_common(ChardevBackend::Registered(backend), common)))
}
