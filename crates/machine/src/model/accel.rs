//! What would run the processors.

/// An accelerator. Neither runs anything here; they differ in the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accel {
    /// QEMU's translator.
    #[default]
    Tcg,
    /// A test that moves the virtual clock from outside.
    Qtest,
}

impl Accel {
    /// The accelerator of that name.
    pub fn of_name(name: &str) -> Option<Accel> {
        [Accel::Tcg, Accel::Qtest]
            .into_iter()
            .find(|accel| accel.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Accel::Tcg => "tcg",
            Accel::Qtest => "qtest",
        }
    }
}
