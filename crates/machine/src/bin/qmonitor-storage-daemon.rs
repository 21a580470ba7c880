//! The program `qmonitor-storage-daemon`: monitors without a machine, under the
//! options of QEMU's storage daemon.

qmonitor_machine::program!(qmonitor_machine::system::storage_daemon::main);
