//! Compiles the schema of the machine's commands. Types that it shares with the
//! library are the library's.

use qmonitor_qapi::build::{announced, compile_with};
use qmonitor_qapi::codegen::rust::Options;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let shared = [
        ("chardev/schema/sockets.json", "::qmonitor::chardev::schema"),
        (
            "monitor/schema/sessions.json",
            "::qmonitor::monitor::schema",
        ),
    ];
    let imported = shared.map(|(file, path)| (format!("qmonitor/{file}"), path.to_owned()));
    let options = Options {
        imported: imported.into(),
        // Clients read properties more often than anything else.
        borrowing: ["qom-get", "qom-list"].map(str::to_owned).into(),
        ..Options::default()
    };
    let schema = announced("qmonitor-schema").join("machine/machine.json");
    compile_with(schema, "machine", &options);
}
