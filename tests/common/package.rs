//! A package that uses this crate from outside, built by cargo.
//!
//! It lies in cargo's directory for tests and is a workspace of its own, so
//! nothing of this package's manifest reaches it. All such packages share one
//! target directory, and what they share is compiled once.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A package with a build script that compiles one schema.
pub struct Package {
    name: &'static str,
    dir: PathBuf,
}

impl Package {
    /// An otherwise empty package whose build script compiles `schema`;
    /// `dependencies` are added to its own.
    #[track_caller]
    pub fn new(name: &'static str, schema: &str, dependencies: &str) -> Package {
        let dir = scratch().join(name);
        // What an earlier version of a test wrote must not matter.
        let _ = std::fs::remove_dir_all(&dir);
        let package = Package { name, dir };
        let root = env!("CARGO_MANIFEST_DIR");
        let path = toml_string(root);
        package.write(
            "Cargo.toml",
            &format!(
                r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2021"

[dependencies]
qmonitor = {{ path = {path}, default-features = false, features = ["runtime"] }}
{dependencies}
[build-dependencies]
qmonitor = {{ path = {path}, default-features = false }}

[profile.dev]
debug = false

[workspace]
"#
            ),
        );
        package.write(
            "build.rs",
            &format!("fn main() {{ qmonitor::qapi::build::compile(\"{schema}\"); }}\n"),
        );
        // The same versions as here, which are at hand without a network.
        let lock = std::fs::read_to_string(Path::new(root).join("Cargo.lock"));
        package.write("Cargo.lock", &lock.expect("Cargo.lock is kept"));
        package
    }

    /// Writes a file of the package.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        let parent = path.parent().expect("a file in the package");
        std::fs::create_dir_all(parent).expect("a directory of the package");
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Builds the package; what cargo and the compiler say if that fails.
    #[track_caller]
    pub fn build(&self) -> Result<(), String> {
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--offline", "--quiet", "--color=never"])
            .arg("--target-dir")
            .arg(target())
            .current_dir(&self.dir)
            .env_remove("CARGO_BUILD_TARGET")
            .output()
            .expect("cargo runs");
        match built.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&built.stderr).into_owned()),
        }
    }

    /// The program of the package itself.
    pub fn program(&self) -> PathBuf {
        self.program_named(self.name)
    }

    /// Another program of the package.
    pub fn program_named(&self, name: &str) -> PathBuf {
        target().join("debug").join(name)
    }
}

fn scratch() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages")
}

fn target() -> PathBuf {
    scratch().join("target")
}

fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}
