//! The parts of the host that options name.

/// What the options tell of the host.
#[derive(Debug, Default)]
pub(crate) struct HostParts {
    /// The ids of `-tpmdev`.
    pub(crate) tpms: Vec<String>,
    /// Ids and directories of `-fsdev` and `-virtfs`.
    pub(crate) directories: Vec<(String, String)>,
    /// Whether sound goes to the host's own output by default.
    pub(crate) plays_by_default: bool,
}
