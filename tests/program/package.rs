//! A package that uses the library from outside, built by cargo.
//!
//! It lies in cargo's directory for tests and is a workspace of its own, so
//! nothing of this repository's manifest reaches it. All such packages share
//! one target directory, so shared crates are compiled once. Files that a test
//! writes as they were keep their time, so cargo builds only what has changed
//! since the last run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::places::root;

/// A package with a build script that compiles one schema.
pub struct Package {
    name: &'static str,
    dir: PathBuf,
    /// Its files. Others are what an earlier version of a test wrote.
    files: BTreeSet<PathBuf>,
}

impl Package {
    /// An otherwise empty package whose build script compiles `schema`.
    #[track_caller]
    pub fn new(name: &'static str, schema: &str) -> Package {
        let mut package = Package::empty(name);
        let manifest = format!(
            r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2021"

[dependencies]
qmonitor = {{ path = "../.." }}

[build-dependencies]
qmonitor-qapi = {{ path = "../../crates/qapi-compiler" }}
"#
        );
        package.write_manifest(&manifest);
        package.write(
            "build.rs",
            &format!("fn main() {{ qmonitor_qapi::build::compile(\"{schema}\"); }}\n"),
        );
        package
    }

    /// A copy of a package of this repository.
    #[track_caller]
    pub fn copy_of(name: &'static str, dir: &str) -> Package {
        let mut package = Package::empty(name);
        let from = root().join(dir);
        for file in files_below(&from) {
            let text = std::fs::read_to_string(&file).expect("text");
            let path = file.strip_prefix(&from).expect("below the directory");
            if path == Path::new("Cargo.toml") {
                package.write_manifest(&text);
            } else {
                package.write(path.to_str().expect("UTF-8"), &text);
            }
        }
        package
    }

    fn empty(name: &'static str) -> Package {
        Package {
            name,
            dir: scratch().join(name),
            files: BTreeSet::new(),
        }
    }

    /// Writes a manifest whose paths lead to this repository from two levels below
    /// its root, and the lock file of this repository: its versions are at hand
    /// without a network.
    #[track_caller]
    fn write_manifest(&mut self, manifest: &str) {
        let root = root();
        let up = format!("path = \"{}", root.display());
        let manifest = manifest.replace("path = \"../..", &up);
        let own = "\n[profile.dev]\ndebug = false\n\n[workspace]\n";
        self.write("Cargo.toml", &format!("{manifest}{own}"));
        let lock = std::fs::read_to_string(root.join("Cargo.lock"));
        self.write("Cargo.lock", &lock.expect("Cargo.lock is kept"));
    }

    /// Reads a file of the package.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        let path = self.dir.join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Writes a file of the package.
    #[track_caller]
    pub fn write(&mut self, path: &str, text: &str) {
        let path = self.dir.join(path);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
            let parent = path.parent().expect("a file in the package");
            std::fs::create_dir_all(parent).expect("a directory of the package");
            std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
        self.files.insert(path);
    }

    /// Builds the package; if that fails, returns the messages of cargo and the
    /// compiler.
    #[track_caller]
    pub fn build(&self) -> Result<(), String> {
        for file in files_below(&self.dir) {
            if !self.files.contains(&file) {
                std::fs::remove_file(file).expect("a file of ours");
            }
        }
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--offline", "--quiet", "--color=never"])
            .arg("--target-dir")
            .arg(target())
            .current_dir(&self.dir)
            .env_remove("CARGO_BUILD_TARGET")
            .output()
            .expect("cargo runs");
        if built.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&built.stderr).into_owned())
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

/// All files below a directory.
#[track_caller]
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let (mut files, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

fn scratch() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages")
}

fn target() -> PathBuf {
    scratch().join("target")
}
