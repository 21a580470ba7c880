//! Where text comes from, and how messages show a place in it.
//!
//! A place ([`Loc`]) is a line of a file, never a span: QEMU reports errors of
//! meaning by line, and two definitions on one line share all facts about the
//! place. That is visible (the `In` line names the later one), so the name of a
//! definition is kept per place here and not per definition.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::dirs::SchemaDirs;

/// Number of a file in [`Places`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId(pub(super) usize);

/// A line of a file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Loc {
    pub(super) file: FileId,
    pub(super) line: usize,
}

/// The kinds of definitions, by the key that starts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meta {
    Enum,
    Struct,
    Union,
    Alternate,
    Command,
    Event,
}

impl Meta {
    /// In the order of error messages.
    pub(super) const ALL: [Meta; 6] = [
        Meta::Enum,
        Meta::Struct,
        Meta::Union,
        Meta::Alternate,
        Meta::Command,
        Meta::Event,
    ];

    /// The key.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Meta::Enum => "enum",
            Meta::Struct => "struct",
            Meta::Union => "union",
            Meta::Alternate => "alternate",
            Meta::Command => "command",
            Meta::Event => "event",
        }
    }
}

/// A schema that cannot be read or is invalid.
///
/// Only the first error is ever reported. [`Display`](fmt::Display) gives the
/// text exactly as QEMU's generator prints it, several lines where a file was
/// included or a definition can be named, without the final newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    text: String,
}

impl SchemaError {
    pub(super) fn new(text: String) -> Self {
        Self { text }
    }

    /// Two errors in one text: a redefinition, then the definition it repeats.
    pub(super) fn followed_by(mut self, other: &SchemaError) -> Self {
        self.text.push('\n');
        self.text.push_str(&other.text);
        self
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SchemaError {}

/// A file that has been opened.
#[derive(Debug)]
struct SourceFile {
    /// As shown in messages: the including file's directory and the string of
    /// the directive, joined but not normalised.
    name: String,
    /// As given to the system.
    path: PathBuf,
    /// Absolute and normalised by text alone. Two names mean the same file if this
    /// is equal.
    identity: PathBuf,
    included_from: Option<Loc>,
}

/// All files of a schema, and the definition on each line.
#[derive(Debug, Default)]
pub(super) struct Places {
    files: Vec<SourceFile>,
    definitions: HashMap<Loc, (Meta, String)>,
    dirs: SchemaDirs,
}

impl Places {
    pub(super) fn new(dirs: SchemaDirs) -> Self {
        Places {
            dirs,
            ..Self::default()
        }
    }

    /// Enters the main file.
    pub(super) fn add_main(&mut self, path: &Path) -> FileId {
        self.files.push(SourceFile {
            name: path.to_string_lossy().into_owned(),
            path: path.to_owned(),
            identity: absolute(path),
            included_from: None,
        });
        FileId(self.files.len() - 1)
    }

    /// Resolves the string of an include directive against the including file.
    pub(super) fn include_target(&self, from: FileId, what: &str) -> IncludeTarget {
        if let Some(path) = self.dirs.find(what) {
            return IncludeTarget {
                name: path.to_string_lossy().into_owned(),
                identity: absolute(&path),
                path,
            };
        }
        let including = &self.files[from.0];
        let path = match including.path.parent() {
            Some(directory) => directory.join(what),
            None => PathBuf::from(what),
        };
        IncludeTarget {
            name: join(&including.name, what),
            identity: absolute(&path),
            path,
        }
    }

    /// The name of another package's file, as an include would spell it.
    pub(super) fn announced_name(&self, identity: &Path) -> Option<String> {
        self.dirs.name_of(identity)
    }

    /// Enters an included file.
    pub(super) fn add_included(&mut self, target: IncludeTarget, at: Loc) -> FileId {
        self.files.push(SourceFile {
            name: target.name,
            path: target.path,
            identity: target.identity,
            included_from: Some(at),
        });
        FileId(self.files.len() - 1)
    }

    /// Whether `identity` is `file` or one of the files it is included from.
    pub(super) fn in_chain(&self, file: FileId, identity: &Path) -> bool {
        let mut file = Some(file);
        while let Some(FileId(index)) = file {
            let source = &self.files[index];
            if source.identity == identity {
                return true;
            }
            file = source.included_from.map(|at| at.file);
        }
        false
    }

    /// Absolute and normalised.
    pub(super) fn identity(&self, file: FileId) -> &Path {
        &self.files[file.0].identity
    }

    /// As shown in messages.
    pub(super) fn name(&self, file: FileId) -> &str {
        &self.files[file.0].name
    }

    /// Paths of all files, in order of reading.
    pub(super) fn into_paths(self) -> Vec<PathBuf> {
        self.files.into_iter().map(|file| file.path).collect()
    }

    /// Notes that a definition starts at `loc`; the last one on a line stays.
    pub(super) fn set_definition(&mut self, loc: Loc, meta: Meta, name: &str) {
        self.definitions.insert(loc, (meta, name.to_owned()));
    }

    /// The definition that starts at `loc`.
    pub(super) fn definition(&self, loc: Loc) -> Option<(Meta, &str)> {
        let (meta, name) = self.definitions.get(&loc)?;
        Some((*meta, name))
    }

    /// An error of meaning: line, and the definition if one starts there.
    pub(super) fn error(&self, loc: Loc, message: &str) -> SchemaError {
        let mut text = self.chain(loc.file);
        let name = self.name(loc.file);
        if let Some((meta, definition)) = self.definition(loc).filter(|(_, name)| !name.is_empty())
        {
            text.push_str(&format!("{name}: In {} '{definition}':\n", meta.as_str()));
        }
        text.push_str(&format!("{name}:{}: {message}", loc.line));
        SchemaError::new(text)
    }

    /// An error of form: line and column.
    pub(super) fn error_at(&self, loc: Loc, column: usize, message: &str) -> SchemaError {
        let mut text = self.chain(loc.file);
        let name = self.name(loc.file);
        text.push_str(&format!("{name}:{}:{column}: {message}", loc.line));
        SchemaError::new(text)
    }

    /// The lines that show where a file was included, outermost first.
    fn chain(&self, file: FileId) -> String {
        let mut places = Vec::new();
        let mut from = self.files[file.0].included_from;
        while let Some(loc) = from {
            places.push(loc);
            from = self.files[loc.file.0].included_from;
        }
        let mut text = String::new();
        for loc in places.iter().rev() {
            let name = self.name(loc.file);
            text.push_str(&format!("In file included from {name}:{}:\n", loc.line));
        }
        text
    }
}

/// The file of an include directive.
#[derive(Debug)]
pub(super) struct IncludeTarget {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) identity: PathBuf,
}

/// Joins a name to the directory part of another as text: users see the text of
/// their files, `..` and all.
fn join(including: &str, what: &str) -> String {
    if what.starts_with('/') {
        return what.to_owned();
    }
    match including.rfind('/') {
        None => what.to_owned(),
        Some(slash) => {
            let directory = including[..slash].trim_end_matches('/');
            format!("{directory}/{what}")
        }
    }
}

/// Makes a path absolute and normalises its text. Symbolic links are not followed;
/// QEMU does not follow them, either.
fn absolute(path: &Path) -> PathBuf {
    let mut result = if path.is_absolute() {
        PathBuf::new()
    } else {
        // Without a current directory, relative names can still be compared.
        std::env::current_dir().unwrap_or_default()
    };
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            other => result.push(other),
        }
    }
    result
}

/// The name of a file as seen from a directory, both absolute and normalised.
pub(super) fn relative(path: &Path, directory: &Path) -> String {
    let mut to = path.components().peekable();
    let mut from = directory.components().peekable();
    while to.peek().is_some() && to.peek() == from.peek() {
        to.next();
        from.next();
    }
    let mut parts: Vec<String> = from.map(|_| "..".to_owned()).collect();
    parts.extend(to.map(|part| part.as_os_str().to_string_lossy().into_owned()));
    parts.join("/")
}

/// The system's text for an error, without the number that Rust appends.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn include_names_are_joined_as_text() {
        for (including, what, joined) in [
            ("main.json", "a.json", "a.json"),
            ("main.json", "./a.json", "./a.json"),
            ("inc/b.json", "../c.json", "inc/../c.json"),
            ("./inc//b.json", "c.json", "./inc/c.json"),
            ("/b.json", "c.json", "/c.json"),
            ("inc/b.json", "/abs/c.json", "/abs/c.json"),
        ] {
            assert_eq!(join(including, what), joined, "{including} + {what}");
        }
    }

    #[test]
    fn module_names_are_relative_to_the_main_file() {
        for (path, directory, name) in [
            ("/s/main.json", "/s", "main.json"),
            ("/s/inc/a.json", "/s", "inc/a.json"),
            ("/t/a.json", "/s/deep", "../../t/a.json"),
        ] {
            assert_eq!(relative(Path::new(path), Path::new(directory)), name);
        }
    }

    #[test]
    fn paths_are_normalised_without_the_file_system() {
        assert_eq!(
            absolute(Path::new("/a/./b/../../../c")),
            PathBuf::from("/c")
        );
    }

    #[test]
    fn reasons_are_bare() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(reason(&error), "No such file or directory");
        assert_eq!(reason(&io::Error::other("gone")), "gone");
    }
}
