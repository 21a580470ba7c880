//! Compiles the schemas of tests/qapi: those of `generated.rs`, which has a context
//! of its own, and that of `runtime_in_process.rs`.

use qmonitor_qapi::build::{compile, compile_with};
use qmonitor_qapi::codegen::rust::{Conditions, Options};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    compile("../../examples/embed/embed.json");
    let mut options = Options {
        context: "crate::generated::Context".into(),
        event_emit: "crate::generated::event_emit".into(),
        compat_policy: "crate::generated::compat_policy".into(),
        ..Options::default()
    };
    compile_with("../qapi/arguments.json", "test-arguments", &options);
    options.client = true;
    compile_with("../qapi/kinds.json", "test-kinds", &options);
    let defined = ["HAVE_IT".to_owned()].into();
    options.conditions = Conditions::Defined(defined);
    compile_with("../qapi/kinds.json", "test-kinds-defined", &options);
}
