//! QAPI: the schema language, its compiler, and what generated code needs at
//! run time. Knows no file descriptor and no clock.

pub mod codegen;
#[cfg(feature = "runtime")]
pub mod error;
#[cfg(feature = "runtime")]
pub mod json;
#[cfg(feature = "runtime")]
pub mod qobject;
pub mod schema;

#[cfg(feature = "runtime")]
pub use error::{Error, ErrorClass};
#[cfg(feature = "runtime")]
pub use qobject::{QDict, QNum, QObject};
