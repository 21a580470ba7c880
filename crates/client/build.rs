//! Compiles a client of all commands: those of every monitor and the machine's. The
//! types of the former are the library's.

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
        for file in std::fs::read_dir(dir).expect("the library's schema") {
            let file = file.expect("a file of it").file_name();
            let name = format!("qmonitor/{room}/schema/{}", file.to_string_lossy());
            let path = format!("::qmonitor::{room}::schema");
            options.imported.push((name, path));
        }
    }
    let schema = announced("qmonitor-schema").join("client.json");
    compile_with(schema, "client", &options);
}
