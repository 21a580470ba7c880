//! For build scripts: compiles a schema into `OUT_DIR`.

use std::path::{Path, PathBuf};

use super::codegen::rust::{generate, Options};
use super::schema::load;

/// Compiles a schema file from a build script: writes `OUT_DIR/STEM.rs`, STEM
/// being the schema's file name without its ending, and tells cargo which
/// files it depends on. Include the result with
/// `include!(concat!(env!("OUT_DIR"), "/STEM.rs"))`.
///
/// ```no_run
/// // build.rs
/// qmonitor::qapi::build::compile("schema.json");
/// ```
///
/// If the schema is wrong, its error goes to standard error and the build
/// fails: cargo shows it.
///
/// # Panics
///
/// Outside of a build script, where there is no `OUT_DIR`, or if that cannot
/// be written.
pub fn compile(file: impl AsRef<Path>) -> PathBuf {
    let file = file.as_ref();
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    compile_with(file, stem, &Options::default())
}

/// As [`compile`], with other options, into `OUT_DIR/STEM.rs` for the given
/// STEM.
///
/// # Panics
///
/// As [`compile`].
pub fn compile_with(file: impl AsRef<Path>, stem: impl AsRef<Path>, options: &Options) -> PathBuf {
    let file = file.as_ref();
    let out_dir = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    let out = Path::new(&out_dir).join(stem).with_extension("rs");
    println!("cargo::rerun-if-changed={}", file.display());
    let schema = match load(file) {
        Ok(schema) => schema,
        Err(e) => {
            eprint!("{e}");
            std::process::exit(1);
        }
    };
    for path in &schema.files {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let text = generate(&schema, options);
    if let Err(e) = std::fs::write(&out, text) {
        panic!("{}: {e}", out.display());
    }
    out
}
