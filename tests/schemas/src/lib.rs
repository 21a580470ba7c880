//! The examples of a page, which are tests; the other tests of this package stand
//! in the directory above.

#[doc = include_str!("../../../docs/schema-compiler.md")]
pub mod schema_compiler_page {}
