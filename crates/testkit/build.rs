//! Compiles the schema of the control channel.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    qmonitor_qapi::build::compile("schema/control.json");
}
