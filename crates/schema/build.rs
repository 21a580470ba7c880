//! Tells the build scripts of dependents where the schema files are (`DEP_QMONITOR_SCHEMA_QAPI_SCHEMA`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let dir = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::metadata=qapi_schema={dir}");
}
