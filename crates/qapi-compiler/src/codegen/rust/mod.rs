//! Rust from a schema: the code of a server.
//!
//! For each schema file, in order:
//!
//! - its types: structs; enums; unions as structs with the branch in a member
//!   `u`, or as enums if there is nothing but the branch; alternates as enums;
//! - a trait with a handler `qmp_X` for each command, which the embedder implements
//!   for its state, and the `qmp_marshal_X` that calls it;
//! - for each event an `EVENT_X` and the `qapi_event_send_X` that emits it.
//!
//! At the end, for all files together: the trait `Commands`, which combines those
//! traits; `qmp_init_marshal`, which registers the commands; and `QAPI_SCHEMA`, the
//! data of `query-qmp-schema`. A client's code is emitted on demand, instead or as
//! well.
//!
//! The text is one private module whose contents are re-exported, so that the
//! few lints that generated code cannot please are switched off in one place.
//! It is meant for `include!`. Equal schemas give equal text, byte by byte, and
//! the text is laid out as rustfmt would (see `out.rs`).

mod client;
mod commands;
mod cond;
mod context;
mod cycles;
mod docs;
mod events;
mod introspect;
mod names;
mod objects;
mod order;
mod out;
// The test of the formatting needs rustfmt and the package's own schemas; build
// scripts of other packages have neither.
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeSet;

use crate::schema::model::{EntityId, ModuleItem, Schema};
use context::Context;
use out::Out;

/// What the generator does with the conditions of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditions {
    /// They become `cfg` options of the same names (`--cfg CONFIG_LINUX`), set by
    /// the embedder's build script. They are not Cargo features, because those are
    /// additive while conditions state facts, negated ones too.
    Cfg,
    /// They become Cargo features of the same names.
    Feature,
    /// They are decided now: these names are defined, all others are not. The text
    /// leaves out everything whose condition fails.
    Defined(BTreeSet<String>),
}

/// Choices for [`generate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Path of the module with the run-time support (`qapi`).
    pub qapi: String,
    /// Path of the type that handlers receive, generic over the state.
    pub context: String,
    /// Path of `fn(&mut Context<S>, &'static EventInfo, QDict)`.
    pub event_emit: String,
    /// Path of `fn(&Context<S>) -> CompatPolicy`; used only if an event has members
    /// that a policy may hide.
    pub compat_policy: String,
    /// What to do with conditions.
    pub conditions: Conditions,
    /// Emit the handlers' traits, marshalling, emitters and introspection data.
    pub server: bool,
    /// Emit the trait `QmpCommands` with the commands for a client, and the enum
    /// `Event` of the server's events.
    pub client: bool,
    /// Commands whose handlers borrow their texts: a `str` is a `&str` for them. They answer
    /// before they return, and their arguments are not boxed.
    pub borrowing: BTreeSet<String>,
    /// Schema files whose types exist already: the name of each as an include of
    /// the main file has it, and the path of the Rust module with its types. The
    /// types are re-exported.
    pub imported: Vec<(String, String)>,
}

/// A server, with paths into the library. Conditions become `cfg`, so that one text
/// serves all configurations, as QEMU's `#if` does.
impl Default for Options {
    fn default() -> Self {
        Options {
            qapi: "::qmonitor::qapi".into(),
            context: "::qmonitor::Runtime".into(),
            event_emit: "::qmonitor::monitor::qapi_event_emit".into(),
            compat_policy: "::qmonitor::monitor::compat_policy".into(),
            conditions: Conditions::Cfg,
            server: true,
            client: false,
            borrowing: BTreeSet::new(),
            imported: Vec::new(),
        }
    }
}

/// All names in conditions of the schema. Under [`Conditions::Cfg`] a build script
/// must announce them (`cargo::rustc-check-cfg=cfg(NAME)`).
pub fn condition_names(schema: &Schema) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entity in &schema.entities {
        cond::collect(entity, &mut names);
    }
    names
}

/// The Rust text of a schema.
pub fn generate(schema: &Schema, options: &Options) -> String {
    let cx = Context::new(schema, options);
    let mut out = Out::default();
    out.line("// Generated from a QAPI schema. Do not edit.");
    out.blank();
    out.open_list(
        "#[allow(",
        &[
            "dead_code",
            "deprecated",
            "unexpected_cfgs",
            "unused_imports",
            "unused_variables",
            "clippy::doc_lazy_continuation",
            "clippy::doc_overindented_list_items",
            "clippy::enum_variant_names",
            "clippy::large_enum_variant",
            "clippy::module_name_repetitions",
            "clippy::too_many_arguments",
            "clippy::type_complexity",
            "clippy::upper_case_acronyms",
        ],
        ")]",
    );
    out.begin("mod generated {");
    if options.qapi.ends_with("::qapi") {
        out.line(&format!("use {};", options.qapi));
    } else {
        out.line(&format!("use {} as qapi;", options.qapi));
    }
    out.line("use qapi::visit::OutputVisitor as _;");
    let paths: BTreeSet<&str> = options.imported.iter().map(|(_, path)| &**path).collect();
    for path in paths {
        out.line(&format!("pub use {path}::*;"));
    }
    let version = env!("CARGO_PKG_VERSION");
    out.blank();
    out.line("// Stops the build here if the library has another version.");
    out.line(&format!("const _: () = qapi::generated_by(\"{version}\");"));
    out.blank();
    for module in &schema.modules {
        let entities: Vec<EntityId> = module
            .items
            .iter()
            .filter_map(|item| match item {
                ModuleItem::Entity(id) => Some(*id),
                ModuleItem::Include(_) => None,
            })
            .filter(|id| cx.holds(&schema.entity(*id).ifcond))
            .collect();
        if !options
            .imported
            .iter()
            .any(|(file, _)| *file == module.name)
        {
            types::emit(&cx, &mut out, &entities);
        }
        if options.server {
            commands::emit_module(&cx, &mut out, &module.name, &entities);
            events::emit(&cx, &mut out, &entities);
        }
    }
    if options.server {
        commands::emit_registration(&cx, &mut out);
        introspect::emit(&cx, &mut out);
    }
    if options.client {
        client::emit(&cx, &mut out);
    }
    out.end("}");
    out.blank();
    out.line("pub use generated::*;");
    out.finish()
}
