//! Compiles the crate's own schemas with the crate's own compiler, whose
//! source is included here because a package cannot depend on itself.

// Here stands only what compiling needs; the library uses the rest.
#![allow(dead_code, unused_imports)]

#[path = "src/qapi/build.rs"]
mod build;
#[path = "src/qapi/codegen/mod.rs"]
mod codegen;
#[path = "src/qapi/schema/mod.rs"]
mod schema;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/qapi/build.rs");
    println!("cargo::rerun-if-changed=src/qapi/codegen");
    println!("cargo::rerun-if-changed=src/qapi/schema");
    if std::env::var_os("CARGO_FEATURE_RUNTIME").is_some() {
        build::compile("src/monitor/schema/monitor.json");
        build::compile("examples/embed.json");
        compile_for_tests();
    }
    if std::env::var_os("CARGO_FEATURE_MACHINE").is_some() {
        build::compile("src/machine/schema/machine.json");
    }
    if std::env::var_os("CARGO_FEATURE_CLIENT").is_some() {
        let options = codegen::rust::Options {
            server: false,
            client: true,
            ..codegen::rust::Options::default()
        };
        build::compile_with("src/client/client.json", "client", &options);
    }
}

/// The schemas of `tests/qapi_generated.rs`, which brings its own context.
fn compile_for_tests() {
    let mut options = codegen::rust::Options {
        context: "crate::Context".into(),
        event_emit: "crate::event_emit".into(),
        compat_policy: "crate::compat_policy".into(),
        ..codegen::rust::Options::default()
    };
    build::compile_with("tests/qapi/arguments.json", "test-arguments", &options);
    options.client = true;
    build::compile_with("tests/qapi/kinds.json", "test-kinds", &options);
    let defined = ["HAVE_IT".to_owned()].into();
    options.conditions = codegen::rust::Conditions::Defined(defined);
    build::compile_with("tests/qapi/kinds.json", "test-kinds-defined", &options);
}
