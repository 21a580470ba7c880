//! Monitors: QMP and HMP sessions on character devices, and the value that
//! owns it all.
//!
//! ```text
//!   chardev ──read──▶ qmp.rs ──feed──▶ session.rs
//!      ▲                                 │ next, take
//!      │                                 ▼
//!      │                            dispatcher.rs ──▶ qapi::dispatch ──▶ cmd.func
//!      │                                 │                                  │
//!      └──── output.rs: monitor_flush ◀── reply, events.rs ◀────────────────┘
//!
//!   chardev ──read──▶ hmp/driver.rs ──feed──▶ hmp/session.rs
//!                          │ line
//!                          ▼
//!                     hmp/run.rs ──▶ the row's function
//! ```
//!
//! | file | what |
//! |---|---|
//! | `runtime`, `start` | [`Runtime`], the owner of everything; how its parts are joined |
//! | `table` | the monitors |
//! | `session` | a QMP session as a pure machine |
//! | `qmp` | QMP monitors on their chardevs |
//! | `give_up` | how a session ends that cannot be served |
//! | `dispatcher`, `dispatch`, `reply` | whose turn it is (its state is in `dispatcher_state`); carries a request out; the form of replies |
//! | `prepared` | the greeting, and replies that are kept |
//! | `deferred`, `answers` | commands that answer later |
//! | `intercept`, `for_kits` | what a test kit needs of monitors |
//! | `output`, `outbuf` | how output leaves |
//! | `removal` | how monitors go |
//! | `events`, `throttle` | events and their rate limits |
//! | [`hmp`] | the human monitor: editor, table, session |
//! | `fds` | descriptors that clients pass |
//! | `options`, `config` | `-qmp`, `-monitor`, `-mon` |
//! | `clients` | sessions and monitors that come and go with their clients |
//! | `access` | the commands that a monitor's clients may use |
//! | `terminal` | `^Z` and `fg` |
//! | `tls` | credentials by id, for sockets |
//! | `schema`, `cmds_*`, `hmp_cmds`, `hmp_qmp*` | the commands that every monitor has |
//!
//! Imports run from `start` down to `table` and the pure files. The exception is the
//! owner: `runtime` holds the state of `tls`, `deferred`, `output` and
//! the HMP tables, and their functions are given the runtime.

mod access;
mod answers;
mod clients;
mod cmds_char;
mod cmds_control;
mod cmds_fd;
mod cmds_misc;
mod cmds_trace;
mod config;
mod deferred;
mod dispatch;
mod dispatcher;
mod dispatcher_state;
mod events;
mod fds;
mod for_kits;
mod give_up;
pub mod hmp;
mod hmp_cmds;
mod hmp_qmp;
mod hmp_qmp_complete;
mod intercept;
mod loop_trace;
mod options;
mod outbuf;
mod output;
mod prepared;
mod qmp;
mod removal;
mod reply;
mod request_trace;
mod runtime;
pub mod schema;
mod session;
mod start;
mod table;
mod terminal;
mod throttle;
mod tls;
pub mod version;

pub use config::MAX_REPLY_SIZE;
pub use events::{compat_policy, qapi_event_emit};
pub use fds::{Fdset, FdsetFd, Fdsets, MonitorFds};
pub use intercept::{Intercepted, Interceptor, Later, Verdict};
pub use options::{
    monitor_parse_compat, MonitorCloseAction, MonitorMode, MonitorOptions, MonitorReadline,
    QEMU_MON_OPTS,
};
pub use removal::monitor_remove;
pub use runtime::{ExitRequest, MonitorRemovedHandler, OptionGroup, QuitHandler, Runtime};
pub use table::{Monitor, MonitorId};
pub use tls::TlsLookup;
