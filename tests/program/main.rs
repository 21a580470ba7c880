//! The programs, seen from outside, and the pages that speak of them.

mod add_a_backend;
mod add_a_command;
mod answers;
mod book;
#[path = "../recorded_schema/canonical.rs"]
mod canonical;
mod chardev_options;
mod client;
mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod consoles;
mod disk_jobs;
mod disks;
mod dump;
mod embed;
mod facts;
mod faults;
#[path = "../common/fd_guard.rs"]
mod fd_guard;
mod fd_passing;
mod globals;
mod hmp_clients;
mod hmp_conformance;
mod hmp_editor;
mod hmp_session;
mod judge;
mod load;
mod machine_snapshots;
mod messages;
mod migration;
mod migration_settings;
mod monitor_policy;
mod monitors;
mod option_table;
mod package;
mod page_sessions;
mod page_tools;
mod pages;
mod pictures;
mod processors;
mod qapi_schema_of_qemu;
mod qmp_session;
mod qtest;
mod slow_readers;
mod socket_activation;
mod starts;
mod steps;
mod storage_daemon;
mod terminal;
#[cfg(feature = "tls")]
mod tls;
mod trace;
mod trace_out;
mod translations;
mod virsh;
mod vnc;
