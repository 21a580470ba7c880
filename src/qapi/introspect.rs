//! What a schema says about itself.
#![allow(missing_docs)]
pub struct SchemaTable {
    pub entities: &'static [SchemaEntity],
}
pub struct SchemaEntity {
    pub name: &'static str,
    pub present: bool,
    pub features: &'static [SchemaFeature],
    pub kind: SchemaKind,
}
pub struct SchemaFeature {
    pub name: &'static str,
    pub present: bool,
}
pub struct SchemaValue {
    pub name: &'static str,
    pub present: bool,
    pub features: &'static [SchemaFeature],
}
pub struct SchemaMember {
    pub name: &'static str,
    pub typ: &'static str,
    pub optional: bool,
    pub present: bool,
    pub features: &'static [SchemaFeature],
}
pub struct SchemaVariant {
    pub case: &'static str,
    pub typ: &'static str,
    pub present: bool,
}
pub enum SchemaKind {
    Object {
        members: &'static [SchemaMember],
        tag: Option<&'static str>,
        variants: &'static [SchemaVariant],
    },
    Enum(&'static [SchemaValue]),
    Command {
        arg: &'static str,
        ret: &'static str,
        allow_oob: bool,
    },
    Event {
        arg: &'static str,
    },
    Alternate(&'static [SchemaVariant]),
}
