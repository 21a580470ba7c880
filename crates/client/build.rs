//! Compiles a client of all commands: those of every monitor and the machine's.

use qmonitor_qapi::build::{announced, compile_with};
use qmonitor_qapi::codegen::rust::Options;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let options = Options {
        server: false,
        client: true,
        ..Options::default()
    };
    let schema = announced("qmonitor-schema").join("client.json");
    compile_with(schema, "client", &options);
}
