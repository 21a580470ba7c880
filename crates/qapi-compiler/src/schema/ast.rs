//! Definitions that are sound on their own: the result of `check`. Types are still
//! names here.

use super::model::{DocId, EnumValue, Feature, IfCond, ModuleId};
use super::source::Loc;

/// An include directive or a definition, in order of reading.
#[derive(Debug)]
pub(super) enum Item {
    Include { module: ModuleId, target: ModuleId },
    Definition(Definition),
}

#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) loc: Loc,
    pub(super) module: ModuleId,
    pub(super) doc: Option<DocId>,
    /// Number of documentation comments read before it.
    pub(super) docs_before: usize,
    pub(super) ifcond: IfCond,
    pub(super) features: Vec<Feature>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Enum {
        prefix: Option<String>,
        values: Vec<EnumValue>,
    },
    Struct {
        base: Option<String>,
        members: Vec<Member>,
    },
    Union {
        base: Data,
        discriminator: String,
        branches: Vec<Branch>,
    },
    Alternate {
        alternatives: Vec<Branch>,
    },
    Command(Command),
    Event {
        data: Option<Data>,
        boxed: bool,
    },
}

#[derive(Debug)]
pub(super) struct Command {
    pub(super) data: Option<Data>,
    pub(super) returns: Option<TypeRef>,
    pub(super) generated: bool,
    pub(super) success_response: bool,
    pub(super) boxed: bool,
    pub(super) allow_oob: bool,
    pub(super) allow_preconfig: bool,
    pub(super) coroutine: bool,
}

/// Arguments, event data or a union's base.
#[derive(Debug)]
pub(super) enum Data {
    Named(String),
    Inline(Vec<Member>),
}

#[derive(Debug)]
pub(super) struct Member {
    /// Without the `*`.
    pub(super) name: String,
    pub(super) optional: bool,
    pub(super) typ: TypeRef,
    pub(super) ifcond: IfCond,
    pub(super) features: Vec<Feature>,
}

#[derive(Debug)]
pub(super) struct Branch {
    pub(super) name: String,
    pub(super) typ: TypeRef,
    pub(super) ifcond: IfCond,
}

#[derive(Debug)]
pub(super) enum TypeRef {
    Named(String),
    ArrayOf(String),
}
