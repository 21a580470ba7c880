//! What the help texts do not say: one line about each program, and sections of its
//! page.

/// A program with a page.
pub struct Program {
    pub name: &'static str,
    /// Behind its name, in lists of pages.
    pub purpose: &'static str,
    /// Sections behind the options: a line `# TITLE`, then paragraphs; lines with an
    /// indent are examples.
    pub sections: &'static str,
    /// Pages to read next.
    pub see: &'static [&'static str],
}

pub const PROGRAMS: &[Program] = &[
    Program {
        name: "qmonitor",
        purpose: "QEMU's monitors on a machine without a guest",
        sections: include_str!("../about/qmonitor.txt"),
        see: &["qmonitor-shell", "qmonitor-storage-daemon", "qmonitor-mock"],
    },
    Program {
        name: "qmonitor-storage-daemon",
        purpose: "QMP monitors under the options of QEMU's storage daemon",
        sections: include_str!("../about/qmonitor-storage-daemon.txt"),
        see: &["qmonitor", "qmonitor-shell"],
    },
    Program {
        name: "qmonitor-shell",
        purpose: "a shell for QMP and HMP in the terminal",
        sections: include_str!("../about/qmonitor-shell.txt"),
        see: &["qmonitor", "qmonitor-mock"],
    },
    Program {
        name: "qmonitor-mock",
        purpose: "a QMP server that does what the test of a client says",
        sections: include_str!("../about/qmonitor-mock.txt"),
        see: &["qmonitor", "qmonitor-shell"],
    },
    Program {
        name: "qmonitor-qapi",
        purpose: "checks and compiles QAPI schemas",
        sections: include_str!("../about/qmonitor-qapi.txt"),
        see: &["qmonitor"],
    },
];
