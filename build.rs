//! Compiles the library's own schema, and announces its files, which other
//! schemas include as `qmonitor/NAME.json`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    qmonitor_qapi::build::announce("src/monitor/schema");
    qmonitor_qapi::build::compile("src/monitor/schema/monitor.json");
}
