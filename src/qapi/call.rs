//! One execution of a command.

use std::borrow::Cow;

use super::json::{JsonWriter, MemberName};
use super::visit::{first_argument, InputVisitor, JsonOutputVisitor, QapiType};
use super::{Arguments, CompatPolicy, Error, PlainArguments, PlainReader, QDict};

/// One execution of a command: its arguments, and where its return value goes.
pub struct Call<'a> {
    args: Arguments,
    keyval: bool,
    policy: CompatPolicy,
    out: &'a mut JsonWriter,
    enters: Option<fn(&'static str)>,
}

impl<'a> Call<'a> {
    /// A call with these arguments that writes its return value, if any, at the
    /// current position of `out`.
    pub fn new(args: impl Into<Arguments>, policy: CompatPolicy, out: &'a mut JsonWriter) -> Self {
        Call {
            args: args.into(),
            keyval: false,
            policy,
            out,
            enters: None,
        }
    }

    /// Reads the arguments as text that a person wrote as `key=value`: every scalar
    /// is text and is converted to the type that its argument declares.
    #[must_use]
    pub fn keyval(mut self) -> Self {
        self.keyval = true;
        self
    }

    /// Calls this function with the name of the command's own function, such as
    /// `qmp_query_status`, when the arguments are read and that is about to be called.
    #[inline]
    pub fn on_enter(&mut self, enters: Option<fn(&'static str)>) {
        self.enters = enters;
    }

    /// Called by generated code just before the command's own function.
    #[inline]
    pub fn enter(&self, function: &'static str) {
        if let Some(enters) = self.enters {
            enters(function);
        }
    }

    /// The raw arguments, not checked yet.
    pub fn args(&self) -> Cow<'_, QDict> {
        match &self.args {
            Arguments::Members(members) => Cow::Borrowed(members),
            Arguments::Plain(plain) => Cow::Owned(plain.to_dict()),
        }
    }

    /// Takes the raw arguments. A command with `gen: false` does, and checks them itself.
    pub fn take_args(&mut self) -> QDict {
        std::mem::take(&mut self.args).into()
    }

    /// Reads the arguments with `read` if they are plain. Where this returns `None`, generated
    /// code reads them with [`start_args`](Self::start_args).
    #[inline(always)]
    pub fn plain_args<'c, T>(
        &'c self,
        read: impl FnOnce(&mut PlainReader<'c>) -> Option<T>,
    ) -> Option<T> {
        let Arguments::Plain(args) = &self.args else {
            return None;
        };
        let mut reader = args.reader();
        let all = read(&mut reader)?;
        reader.is_done().then_some(all)
    }

    /// The memory of plain arguments that are no longer needed.
    #[inline]
    pub(crate) fn into_spare(self) -> Option<Box<PlainArguments>> {
        match self.args {
            Arguments::Plain(args) => Some(args),
            Arguments::Members(_) => None,
        }
    }

    /// Returns a visitor positioned inside the arguments. Generated code visits the
    /// members and then calls [`InputVisitor::end_struct`].
    ///
    /// # Errors
    ///
    /// It never fails, because the arguments are an object.
    pub fn start_args(&mut self) -> Result<InputVisitor, Error> {
        let args = self.take_args();
        Ok(InputVisitor::inside(args, self.keyval, self.policy))
    }

    /// Refuses any argument, for a command that takes none.
    ///
    /// # Errors
    ///
    /// Fails with `Parameter 'x' is unexpected`.
    #[inline]
    pub fn no_args(&mut self) -> Result<(), Error> {
        if self.args.is_empty() {
            return Ok(());
        }
        let args = self.take_args();
        let name = first_argument(&args).unwrap_or_default();
        Err(Error::new(format!("Parameter '{name}' is unexpected")))
    }

    /// The policy in force.
    pub fn policy(&self) -> CompatPolicy {
        self.policy
    }

    /// Writes the return value.
    pub fn ret<T: QapiType>(&mut self, value: &T) {
        self.ret_with(|v| value.visit_out(v, MemberName::NONE));
    }

    /// Writes a return value that is JSON in compact form already.
    pub fn ret_raw(&mut self, value: &[u8]) {
        self.out.raw(value);
    }

    /// Writes the return value by visiting it.
    #[inline]
    pub fn ret_with(&mut self, visit: impl FnOnce(&mut JsonOutputVisitor<'_>)) {
        visit(&mut JsonOutputVisitor::new(self.out, self.policy));
    }
}
