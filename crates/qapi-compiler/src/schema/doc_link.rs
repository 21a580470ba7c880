//! Connects documentation with definitions: every part of a definition must be
//! described, and everything described must exist.

use super::doc_comment::{Description, Descriptions, DocBlock};
use super::enter::{Draft, DraftKind, DraftObject};
use super::model::{is_version, EntityId, Feature};
use super::pragma::Pragmas;
use super::resolve::Facts;
use super::source::{Loc, Places, SchemaError};

type Result<T> = std::result::Result<T, SchemaError>;

/// Connects an entity with the comment in front of it, if it has one.
pub(super) fn link(
    drafts: &[Draft],
    facts: &[Facts],
    id: EntityId,
    docs: &mut [DocBlock],
    pragmas: &Pragmas,
    places: &Places,
) -> Result<()> {
    let draft = &drafts[id.0];
    let (Some(doc), Some(loc)) = (draft.doc.and_then(|doc| docs.get_mut(doc.0)), draft.loc) else {
        return Ok(());
    };
    let excused = pragmas.documentation_exceptions.contains(&draft.name);
    let mut linker = Linker {
        doc,
        places,
        loc,
        excused,
    };
    linker.features(&draft.features)?;
    // Members written in the definition belong to an implicit type.
    let inline = facts[id.0].first.map(|id| &drafts[id.0].kind);
    if let Some(DraftKind::Object(object)) = inline {
        if object.implicit.is_some() {
            linker.members(object)?;
        }
    }
    match &draft.kind {
        DraftKind::Enum(def) => {
            for value in &def.values {
                linker.thing("value", &value.name)?;
                linker.features(&value.features)?;
            }
        }
        DraftKind::Object(object) => linker.members(object)?,
        DraftKind::Alternate(cases) => {
            for case in cases {
                linker.thing("branch", &case.name)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Refuses descriptions of things that do not exist.
pub(super) fn check(doc: &DocBlock, places: &Places) -> Result<()> {
    for (what, list) in [("member", &doc.args), ("feature", &doc.features)] {
        let mut bogus = list.iter().filter(|description| !description.linked);
        let Some(first) = bogus.next() else {
            continue;
        };
        let mut names = format!("'{}'", first.name);
        let mut words = ("", "does");
        for description in bogus {
            names.push_str(&format!(", '{}'", description.name));
            words = ("s", "do");
        }
        let (plural, verb) = words;
        let message = format!("documented {what}{plural} {names} {verb} not exist");
        return Err(places.error(first.loc, &message));
    }
    Ok(())
}

struct Linker<'a> {
    doc: &'a mut DocBlock,
    places: &'a Places,
    loc: Loc,
    /// Whether descriptions of members may be missing.
    excused: bool,
}

impl Linker<'_> {
    fn members(&mut self, object: &DraftObject) -> Result<()> {
        for member in &object.members {
            self.thing("member", &member.name)?;
            self.features(&member.features)?;
        }
        Ok(())
    }

    /// A member, a value or an alternative.
    fn thing(&mut self, role: &str, name: &str) -> Result<()> {
        if mark(&mut self.doc.args, name) {
            return Ok(());
        }
        if !self.excused {
            return self.lacks(role, name);
        }
        self.doc.args.push(Description {
            name: name.to_owned(),
            text: String::new(),
            loc: self.loc,
            linked: true,
        });
        Ok(())
    }

    fn features(&mut self, features: &[Feature]) -> Result<()> {
        for feature in features {
            // Their names say it all.
            if !mark(&mut self.doc.features, &feature.name) && !is_version(feature) {
                return self.lacks("feature", &feature.name);
            }
        }
        Ok(())
    }

    fn lacks(&self, role: &str, name: &str) -> Result<()> {
        let message = format!("{role} '{name}' lacks documentation");
        Err(self.places.error(self.loc, &message))
    }
}

/// Notes that the thing exists. Returns whether it is described.
fn mark(list: &mut Descriptions, name: &str) -> bool {
    match list.get_mut(name) {
        None => false,
        Some(description) => {
            description.linked = true;
            true
        }
    }
}
