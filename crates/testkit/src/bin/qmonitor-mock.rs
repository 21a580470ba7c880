//! The program `qmonitor-mock`: a QMP server that does what a scenario says.

qmonitor_machine::program!(qmonitor_testkit::program::main);
