//! Schema files of other packages, by package name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Directories of schema files, each under a name. An include that begins with such
/// a name is read from its directory: `qmonitor/sockets.json` is `sockets.json` in
/// the directory `qmonitor`. All other includes are relative to the including file,
/// as in QEMU.
///
/// ```
/// use qmonitor_qapi::schema::SchemaDirs;
///
/// let mut dirs = SchemaDirs::default();
/// dirs.add("qmonitor", "/usr/share/qmonitor");
/// let file = dirs.find("qmonitor/sockets.json");
/// assert_eq!(file.unwrap().to_str(), Some("/usr/share/qmonitor/sockets.json"));
/// assert_eq!(dirs.find("sockets.json"), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaDirs {
    by_name: BTreeMap<String, PathBuf>,
}

impl SchemaDirs {
    /// Adds a directory, or replaces the one with that name.
    pub fn add(&mut self, name: &str, dir: impl Into<PathBuf>) {
        self.by_name.insert(name.to_owned(), dir.into());
    }

    /// The directory with that name.
    pub fn get(&self, name: &str) -> Option<&Path> {
        self.by_name.get(name).map(PathBuf::as_path)
    }

    /// The file of an include, unless the include is relative.
    pub fn find(&self, include: &str) -> Option<PathBuf> {
        let (name, rest) = include.split_once('/')?;
        Some(self.get(name)?.join(rest))
    }

    /// An include's name for this file: the reverse of [`find`](Self::find).
    pub(super) fn name_of(&self, file: &Path) -> Option<String> {
        self.by_name.iter().find_map(|(name, dir)| {
            let rest = file.strip_prefix(dir).ok()?;
            Some(format!("{name}/{}", rest.display()))
        })
    }
}
