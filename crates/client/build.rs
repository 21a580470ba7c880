//! Compiles a client of all commands: those of every monitor and the machine's. The
//! library provides the types of the former.

use qmonitor_qapi::build::{announced, compile_with};
use qmonitor_qapi::codegen::rust::Options;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut options = Options {
        server: false,
        client: true,
        ..Options::default()
    };
    for room in ["chardev", "monitor"] {
        let dir = announced("qmonitor").join(room).join("schema");
        for file in std::fs::read_dir(dir).expect("the library's schema directory can be read") {
            let file = file.expect("its entries can be read").file_name();
            let name = format!("qmonitor/{room}/schema/{}", file.to_string_lossy());
            let path = format!("::qmonitor::{room}::schema");
            options.imported.push((name, path));
        }
    }
    let schema = announced("qmonitor-schema").join("client.json");
    compile_with(schema, "client", &options);
}
