//! The two dialects of QEMU's JSON.

/// How errors in JSON are told, and how the stream goes on after them. What is
/// accepted is the same in both.
///
/// | | `Qemu10` | `Qemu11` |
/// |---|---|---|
/// | text | `JSON parse error, missing : in object pair` | `2:12: JSON parse error, expecting ':'` |
/// | an error is told | when its message ends | at the first token that is wrong |
/// | after a limit | a new message starts with the next token | the message is skipped to its end |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// As QEMU 10.0 and its predecessors have it.
    #[default]
    Qemu10,
    /// As QEMU 11.1 has it.
    Qemu11,
}

impl Dialect {
    /// Whether errors begin with line and column, and end the message at once.
    pub(super) fn has_places(self) -> bool {
        self == Dialect::Qemu11
    }
}
