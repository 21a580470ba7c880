//! The program `qmonitor`: a small machine and its monitors, under QEMU's options.

qmonitor_machine::program!(qmonitor_machine::system::vl::main);
