//! Compiles the schema of the machine's commands.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let schema = qmonitor_qapi::build::announced("qmonitor-schema");
    qmonitor_qapi::build::compile(schema.join("machine/machine.json"));
}
