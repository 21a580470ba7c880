//! Compiles the library's own schema, and announces its files, which other
//! schemas include as
//! `qmonitor/ROOM/schema/NAME.json`.

use qmonitor_qapi::build::{announce, compile_with};
use qmonitor_qapi::codegen::rust::Options;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    announce("src");
    // The room of chardevs has types only; the commands are the monitor's.
    let types = Options {
        server: false,
        ..Options::default()
    };
    let chardev = "src/chardev/schema/char-backend.json";
    compile_with(chardev, "chardev", &types);
    let files = ["char-backend.json", "sockets.json"];
    let imported = files.map(|file| {
        let file = format!("../../chardev/schema/{file}");
        (file, "crate::chardev::schema".to_owned())
    });
    let commands = Options {
        imported: imported.into(),
        ..Options::default()
    };
    compile_with("src/monitor/schema/monitor.json", "monitor", &commands);
}
