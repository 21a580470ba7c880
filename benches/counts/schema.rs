//! The schema compiler. Without QEMU's recorded schema there are no rows.

use std::hint::black_box;

use qmonitor_qapi::{codegen, schema};

use super::large_schema;
use super::row::{counted, row};

pub fn rows() {
    let Some(text) = large_schema::recorded() else {
        return;
    };
    let mut loaded = None;
    row("load a schema of 26 000 lines", 1, || {
        counted(&mut || loaded = schema::load_text(&text).ok());
    });
    let loaded = loaded.expect("a schema");
    let both = codegen::rust::Options {
        client: true,
        ..codegen::rust::Options::default()
    };
    row("Rust of a schema of 26 000 lines", 1, || {
        counted(&mut || drop(black_box(codegen::rust::generate(&loaded, &both))));
    });
}
