//! QAPI at run time: values, visitors, dispatch, introspection, a client. The
//! compiler of the schema language is the package `qmonitor-qapi`; its generated
//! code uses this module. This module knows neither file descriptors nor clocks.

mod arguments;
mod call;
pub mod client;
mod commands;
pub mod dispatch;
pub mod error;
pub mod events;
mod generated;
pub mod introspect;
pub mod json;
pub mod policy;
mod profile;
pub mod qobject;
mod request;
mod responder;
pub mod visit;

pub use arguments::{Arguments, PlainArg, PlainArguments, PlainReader, PlainValue};
pub use call::Call;
pub use commands::{QmpCommand, QmpCommandFunc, QmpCommandList, QmpCommandOptions};
pub use error::{Error, ErrorClass};
pub use events::EventInfo;
pub use generated::generated_by;
pub use policy::{
    CompatPolicy, CompatPolicyInput, CompatPolicyOutput, Life, SpecialFeatures, SpecialValue,
};
pub use profile::Profile;
pub use qobject::{MemberOrder, QDict, QNum, QObject};
pub use responder::{RawResponder, ReplyPort, Responder};
// Generated code reaches the macros through this module, like everything else.
pub use crate::{member_name, qapi_enum, qapi_object};
