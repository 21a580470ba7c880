//! QAPI: the schema language, its compiler, and what generated code needs at
//! run time. Knows no file descriptor and no clock.

pub mod build;
#[cfg(feature = "runtime")]
pub mod client;
pub mod codegen;
#[cfg(feature = "runtime")]
pub mod dispatch;
#[cfg(feature = "runtime")]
pub mod error;
#[cfg(feature = "runtime")]
pub mod events;
#[cfg(feature = "runtime")]
pub mod introspect;
#[cfg(feature = "runtime")]
pub mod json;
#[cfg(feature = "runtime")]
pub mod policy;
#[cfg(feature = "runtime")]
pub mod qobject;
#[cfg(feature = "runtime")]
mod request;
#[cfg(feature = "runtime")]
mod responder;
pub mod schema;
#[cfg(feature = "runtime")]
pub mod visit;

#[cfg(feature = "runtime")]
pub use dispatch::{Call, QmpCommand, QmpCommandFunc, QmpCommandList, QmpCommandOptions};
#[cfg(feature = "runtime")]
pub use error::{Error, ErrorClass};
#[cfg(feature = "runtime")]
pub use events::EventInfo;
#[cfg(feature = "runtime")]
pub use policy::{CompatPolicy, CompatPolicyInput, CompatPolicyOutput, SpecialFeatures};
#[cfg(feature = "runtime")]
pub use qobject::{QDict, QNum, QObject};
#[cfg(feature = "runtime")]
pub use responder::{RawResponder, ReplyPort, Responder};
// Generated code reaches the macros through this module, as everything else.
#[cfg(feature = "runtime")]
pub use crate::{qapi_enum, qapi_object};
