//! For build scripts: compiles a schema into `OUT_DIR`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::codegen::rust::{generate, Options};
use crate::schema::{load_in, SchemaDirs};

/// Announces a directory of schema files to the build scripts of dependent
/// packages: in those, [`compile`] reads an include of `LINKS/NAME.json` from this
/// directory as `NAME.json`. LINKS is the key `links` of this package's manifest.
/// The dependents name this package under `[dependencies]`, not only under
/// `[build-dependencies]`.
///
/// # Panics
///
/// Panics outside of a build script.
pub fn announce(dir: impl AsRef<Path>) {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this build script");
    let dir = Path::new(&root).join(dir);
    println!("cargo::metadata=qapi_schema={}", dir.display());
}

/// The directory that a package among the `[dependencies]` has [announced](announce).
///
/// # Panics
///
/// Panics if it has announced none.
pub fn announced(links: &str) -> PathBuf {
    match announced_dirs().get(links) {
        Some(dir) => dir.to_owned(),
        None => panic!("no package with links = \"{links}\" announces schema files to this one"),
    }
}

/// All announced directories: cargo passes each as `DEP_LINKS_QAPI_SCHEMA`.
fn announced_dirs() -> SchemaDirs {
    let mut dirs = SchemaDirs::default();
    for (key, dir) in std::env::vars_os() {
        let links = links_of(&key);
        if let Some(links) = links {
            println!("cargo::rerun-if-env-changed={}", key.to_string_lossy());
            dirs.add(&links, dir);
        }
    }
    dirs
}

/// `qmonitor-schema` for `DEP_QMONITOR_SCHEMA_QAPI_SCHEMA`.
fn links_of(key: &OsString) -> Option<String> {
    let key = key.to_str()?.strip_prefix("DEP_")?;
    let links = key.strip_suffix("_QAPI_SCHEMA")?;
    Some(links.to_ascii_lowercase().replace('_', "-"))
}

/// Compiles a schema file from a build script: writes `OUT_DIR/STEM.rs`, where STEM
/// is the schema's file name without its ending, and tells cargo which files it
/// depends on. Include the result with `include!(concat!(env!("OUT_DIR"),
/// "/STEM.rs"))`.
///
/// ```no_run
/// // build.rs
/// qmonitor_qapi::build::compile("schema.json");
/// ```
///
/// If the schema is wrong, its error goes to standard error and the build fails;
/// cargo shows the error.
///
/// # Panics
///
/// Panics outside of a build script, where there is no `OUT_DIR`, or if that cannot
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
    let schema = match load_in(file, &announced_dirs()) {
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
