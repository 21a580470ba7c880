//! The last step: turns drafts and the facts about them into the model.

use super::doc_comment::{Description, Descriptions, DocBlock, Section, Tag};
use super::enter::{Draft, DraftCase, DraftKind, DraftObject, Entered, Entry, EMPTY};
use super::model::{
    Doc, DocSection, Entity, EntityId, EntityKind, EnumType, Member, Module, ModuleId, ModuleItem,
    ObjectType, Schema, Variant, Variants,
};
use super::resolve::Facts;

/// Makes the model of a schema that has passed all checks.
pub(super) fn finish(
    entered: Entered,
    facts: Vec<Facts>,
    docs: Vec<DocBlock>,
    modules: Vec<String>,
) -> Schema {
    let mut schema = Schema {
        names: entered.names,
        ..Schema::default()
    };
    let empty = schema.names.get(EMPTY).copied().unwrap_or(EntityId(0));
    for (draft, facts) in entered.drafts.into_iter().zip(facts) {
        schema.entities.push(entity(draft, facts, empty));
    }
    add_implied_branches(&mut schema, empty);
    place_arrays(&mut schema);
    let module = |name| Module {
        name,
        items: Vec::new(),
    };
    schema.modules = modules.into_iter().map(module).collect();
    for entry in entered.entries {
        let (ModuleId(module), item) = match entry {
            Entry::Entity(id) => (schema.entity(id).module, ModuleItem::Entity(id)),
            Entry::Include { module, target } => (module, ModuleItem::Include(target)),
        };
        schema.modules[module].items.push(item);
    }
    let doc = |(block, position)| doc(block, position);
    schema.docs = docs
        .into_iter()
        .zip(entered.doc_positions)
        .map(doc)
        .collect();
    schema
}

fn entity(draft: Draft, facts: Facts, empty: EntityId) -> Entity {
    let kind = match draft.kind {
        DraftKind::Builtin => EntityKind::Builtin,
        DraftKind::Enum(def) => EntityKind::Enum(def),
        DraftKind::Array(_) => EntityKind::Array(facts.first.unwrap_or(empty)),
        DraftKind::Object(object) => EntityKind::Object(object_type(object, facts)),
        DraftKind::Alternate(list) => EntityKind::Alternate(cases(list, facts.cases)),
        DraftKind::Command { mut def, .. } => {
            def.args = facts.first;
            def.ret = facts.second;
            EntityKind::Command(def)
        }
        DraftKind::Event { mut def, .. } => {
            def.data = facts.first;
            EntityKind::Event(def)
        }
    };
    Entity {
        name: draft.name,
        module: draft.module,
        doc: draft.doc,
        ifcond: draft.ifcond,
        features: draft.features,
        kind,
    }
}

fn object_type(object: DraftObject, facts: Facts) -> ObjectType {
    let member = |(member, typ): (super::enter::DraftMember, _)| Member {
        name: member.name,
        typ,
        optional: member.optional,
        ifcond: member.ifcond,
        features: member.features,
    };
    let variants = match (object.union, facts.tag) {
        (Some((tag, list)), Some(tag_type)) => Some(Variants {
            tag,
            tag_type,
            cases: cases(list, facts.cases),
        }),
        _ => None,
    };
    ObjectType {
        base: facts.first,
        members: object
            .members
            .into_iter()
            .zip(facts.members)
            .map(member)
            .collect(),
        variants,
        implicit: object.implicit.is_some(),
    }
}

fn cases(list: Vec<DraftCase>, types: Vec<EntityId>) -> Vec<Variant> {
    let case = |(case, typ): (DraftCase, _)| Variant {
        name: case.name,
        typ,
        ifcond: case.ifcond,
    };
    list.into_iter().zip(types).map(case).collect()
}

/// A value of the discriminator without a branch gets an empty one, under the
/// value's condition.
fn add_implied_branches(schema: &mut Schema, empty: EntityId) {
    for index in 0..schema.entities.len() {
        let EntityKind::Object(ObjectType {
            variants: Some(variants),
            ..
        }) = &schema.entities[index].kind
        else {
            continue;
        };
        let EntityKind::Enum(EnumType { values, .. }) = &schema.entity(variants.tag_type).kind
        else {
            continue;
        };
        let explicit: std::collections::HashSet<&str> =
            variants.cases.iter().map(|case| &*case.name).collect();
        let implied: Vec<Variant> = values
            .iter()
            .filter(|value| !explicit.contains(&*value.name))
            .map(|value| Variant {
                name: value.name.clone(),
                typ: empty,
                ifcond: value.ifcond.clone(),
            })
            .collect();
        if let EntityKind::Object(ObjectType {
            variants: Some(variants),
            ..
        }) = &mut schema.entities[index].kind
        {
            variants.cases.extend(implied);
        }
    }
}

/// An array type belongs to its element: same module, same condition.
fn place_arrays(schema: &mut Schema) {
    for index in 0..schema.entities.len() {
        if let EntityKind::Array(element) = schema.entities[index].kind {
            let element = schema.entity(element);
            let (module, ifcond) = (element.module, element.ifcond.clone());
            let array = &mut schema.entities[index];
            (array.module, array.ifcond) = (module, ifcond);
        }
    }
}

fn doc(block: DocBlock, position: usize) -> Doc {
    let section = |section: Section| DocSection {
        name: match section.tag {
            Tag::Plain => "Plain",
            Tag::Todo => "Todo",
            tag => tag.as_written(),
        }
        .to_owned(),
        text: section.text,
    };
    Doc {
        symbol: block.symbol,
        module: block.module,
        position,
        body: block.body,
        args: descriptions(block.args),
        features: descriptions(block.features),
        sections: block.sections.into_iter().map(section).collect(),
    }
}

fn descriptions(list: Descriptions) -> Vec<DocSection> {
    let section = |description: Description| DocSection {
        name: description.name,
        text: description.text,
    };
    list.into_vec().into_iter().map(section).collect()
}
