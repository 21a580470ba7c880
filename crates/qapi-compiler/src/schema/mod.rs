//! The QAPI schema compiler's front half, and the back ends that emit text.
//!
//! A schema goes through these steps, each a file of this directory:
//!
//! ```text
//! bytes        lexer         tokens, with QEMU's idea of columns
//!              expr          objects, lists, strings, booleans
//!              doc_comment   blocks between ## lines
//!              parser        files: includes, pragmas; a list of definitions
//!              check         each definition on its own (names, check_parts)
//!              enter         entities by name, implicit types among them
//!              resolve       references, clashes, containment (doc_link)
//!              finish        the model
//! model        dump, introspect, manual; and `codegen`, next door
//! ```
//!
//! The order of the steps is visible: only the first error is reported, and each
//! step processes the whole schema before the next begins. The texts of errors,
//! their places and their order are those of QEMU's generator.
//!
//! ```
//! use qmonitor_qapi::schema;
//!
//! let text = "{ 'command': 'ping', 'data': { 'host': 'string' } }";
//! let error = schema::load_text(text).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "schema.json: In command 'ping':\n\
//!      schema.json:1: parameter 'host' uses unknown type 'string'"
//! );
//! ```

use std::io;
use std::path::Path;

mod ast;
mod check;
mod check_parts;
mod dirs;
mod distinguish;
mod doc_comment;
mod doc_link;
pub mod dump;
mod enter;
mod expr;
mod finish;
pub mod introspect;
mod lexer;
pub mod manual;
pub(crate) mod markup;
pub mod model;
mod names;
mod parser;
mod pragma;
mod resolve;
mod source;

pub use dirs::SchemaDirs;
pub use model::Schema;
pub use source::SchemaError;

/// Loads and checks a schema: its main file and all files it includes.
///
/// [`Schema::files`] lists the files read.
///
/// # Errors
///
/// Returns the first error in the text or meaning of the schema, or the file that
/// cannot be read.
pub fn load(file: &Path) -> Result<Schema, SchemaError> {
    load_in(file, &SchemaDirs::default())
}

/// Loads a schema that includes files of other packages, found in `dirs`.
///
/// # Errors
///
/// As [`load`].
pub fn load_in(file: &Path, dirs: &SchemaDirs) -> Result<Schema, SchemaError> {
    load_with(file, dirs, &mut |path| std::fs::read(path))
}

/// Loads a schema through `read`, which returns the bytes of a file.
///
/// `read` is called for `file` first and then once for each included file, whose
/// path is joined to that of the including file.
///
/// # Errors
///
/// As [`load`]; errors of `read` become part of the message.
pub fn load_with(
    file: &Path,
    dirs: &SchemaDirs,
    read: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
) -> Result<Schema, SchemaError> {
    let parser::Parsed {
        items,
        mut docs,
        modules,
        pragmas,
        mut places,
    } = parser::parse(file, dirs, read)?;
    let items = check::check(items, &docs, &pragmas, &mut places)?;
    let entered = enter::enter(items, docs.len(), &places)?;
    let facts = resolve::resolve(&entered, &mut docs, &pragmas, &places)?;
    let mut schema = finish::finish(entered, facts, docs, modules);
    schema.files = places.into_paths();
    Ok(schema)
}

/// Loads a schema from a single text, called `schema.json` in messages.
///
/// # Errors
///
/// As [`load`]; any include fails.
pub fn load_text(text: &str) -> Result<Schema, SchemaError> {
    let main = Path::new("schema.json");
    load_with(main, &SchemaDirs::default(), &mut |path| {
        if path == main {
            Ok(text.as_bytes().to_vec())
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    })
}

#[cfg(test)]
mod tests;
