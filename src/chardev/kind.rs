//! The options of a kind of backend, and the kinds that a program has registered.
//!
//! The kinds of this library are listed in [`backends`](super::backends). A program adds
//! its own at run time with [`Chardevs::register`](super::Chardevs::register); they are
//! kept in the table of chardevs as [`Kind`]s, whose functions know the types.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

use super::class::{ChardevClass, ChardevId};
use crate::qapi::visit::{InputVisitor, QapiObject};
use crate::qapi::Error;
use crate::util::qemu_opts::{QemuOptType, QemuOpts};

/// The options of a kind of backend, and where they come from.
///
/// The defaults of the command line and those of QMP may differ, so they are settled here.
/// Opening does not depend on where the options came from.
pub trait BackendOptions: Clone + fmt::Debug + 'static {
    /// The type of `data` in `chardev-add`. A program compiles it from a schema of its own.
    type Arguments: QapiObject;

    /// Options of `-chardev` that QEMU does not have.
    const EXTENSIONS: &'static [(&'static str, QemuOptType)] = &[];

    /// From `-chardev KIND,...`. Options that the kind does not know are ignored, as in
    /// QEMU.
    ///
    /// # Errors
    ///
    /// An option is missing, or does not go with another.
    fn from_opts(opts: &QemuOpts) -> Result<Self, Error>;

    /// From the arguments of `chardev-add`.
    ///
    /// # Errors
    ///
    /// An argument does not go with another.
    fn from_arguments(arguments: Self::Arguments) -> Result<Self, Error>;

    /// The path of a FIFO that cannot be opened before it has a reader. `chardev-add`
    /// answers when it has one.
    fn waits_for_reader(&self) -> Option<&str> {
        None
    }
}

/// The arguments of `chardev-add` that all kinds have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) logfile: Option<String>,
    pub(crate) logappend: Option<bool>,
    pub(crate) logtimestamp: Option<bool>,
}

/// The options of a kind that the program has registered.
#[derive(Clone)]
pub struct RegisteredBackend {
    pub(super) kind: &'static str,
    options: Rc<dyn Any>,
    pub(super) waits_for_reader: Option<String>,
}

impl RegisteredBackend {
    pub(super) fn new<T: BackendOptions>(kind: &'static str, options: T) -> Self {
        RegisteredBackend {
            kind,
            waits_for_reader: options.waits_for_reader().map(str::to_owned),
            options: Rc::new(options),
        }
    }

    /// The options, if they are of this type.
    pub fn options<T: 'static>(&self) -> Option<&T> {
        self.options.downcast_ref()
    }
}

impl fmt::Debug for RegisteredBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("RegisteredBackend");
        f.field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The same options, not only equal ones.
impl PartialEq for RegisteredBackend {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.options, &other.options)
    }
}

impl Eq for RegisteredBackend {}

/// A registered kind: its functions, whose types are known here only.
pub(super) struct Kind<H> {
    pub(super) name: &'static str,
    pub(super) extensions: &'static [(&'static str, QemuOptType)],
    pub(super) from_opts: fn(&'static str, &QemuOpts) -> Result<RegisteredBackend, Error>,
    pub(super) visit: VisitFn,
    pub(super) class: fn(&RegisteredBackend) -> Option<ChardevClass<H>>,
    pub(super) open: fn(&mut H, ChardevId, &RegisteredBackend) -> Result<Option<String>, Error>,
}

/// The outer error is one of the arguments' form, the inner one of what they ask for.
pub(super) type Visited = Result<Result<(RegisteredBackend, Common), Error>, Error>;
type VisitFn = fn(&'static str, &mut InputVisitor) -> Visited;

impl<H> Clone for Kind<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Kind<H> {}
