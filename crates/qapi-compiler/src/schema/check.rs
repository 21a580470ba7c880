//! Checks of one definition on its own: are the keys there, do the values have the
//! right form, are the names good? Later steps check what the names refer to.
//!
//! All definitions pass these checks, in order of reading, before the next step
//! begins. So the first bad form is reported even if an earlier definition refers
//! to something unknown. The order of checks within a definition decides which of
//! several errors comes first, and follows QEMU.

use super::ast::{Body, Command, Data, Definition, Item};
use super::check_parts::{long_form, Checker, Permit};
use super::doc_comment::{DocBlock, Tag};
use super::expr::{Expr, Object};
use super::model::EnumValue;
use super::names;
use super::parser::{self, RawDefinition};
use super::pragma::Pragmas;
use super::source::{Meta, Places, SchemaError};

type Result<T> = std::result::Result<T, SchemaError>;

/// Checks all expressions of the schema.
pub(super) fn check(
    items: Vec<parser::Item>,
    docs: &[DocBlock],
    pragmas: &Pragmas,
    places: &mut Places,
) -> Result<Vec<Item>> {
    let check = |item| match item {
        parser::Item::Include { module, target } => Ok(Item::Include { module, target }),
        parser::Item::Definition(raw) => {
            Ok(Item::Definition(definition(raw, docs, pragmas, places)?))
        }
    };
    items.into_iter().map(check).collect()
}

fn definition(
    raw: RawDefinition,
    docs: &[DocBlock],
    pragmas: &Pragmas,
    places: &mut Places,
) -> Result<Definition> {
    let RawDefinition {
        mut object, loc, ..
    } = raw;
    let mut metas = Meta::ALL
        .into_iter()
        .filter(|meta| object.has(meta.as_str()));
    let (Some(meta), None) = (metas.next(), metas.next()) else {
        let keys = Meta::ALL.map(|meta| format!("'{}'", meta.as_str()));
        let keys = keys.join(", ");
        let message = format!("expression must have exactly one key {keys}");
        return Err(places.error(loc, &message));
    };
    let kind = meta.as_str();
    let Some(Expr::Str(name)) = object.take(kind) else {
        let message = format!("'{kind}' requires a string name");
        return Err(places.error(loc, &message));
    };
    places.set_definition(loc, meta, &name);
    let checker = Checker {
        places,
        pragmas,
        loc,
    };
    checker.definition_name(meta, &name)?;
    match raw.doc.and_then(|id| docs.get(id.0)) {
        Some(doc) => checker.doc(meta, &name, object.has("returns"), doc)?,
        None if pragmas.doc_required => return checker.error("documentation comment required"),
        None => {}
    }
    // `take` has removed the name, but it counts as a key like the others.
    object.0.push((kind.to_owned(), Expr::Str(String::new())));
    let body = match meta {
        Meta::Enum => checker.enumeration(&name, &mut object)?,
        Meta::Struct => checker.structure(&name, &mut object)?,
        Meta::Union => checker.union(&name, &mut object)?,
        Meta::Alternate => checker.alternate(&mut object)?,
        Meta::Command => checker.command(&mut object)?,
        Meta::Event => checker.event(&mut object)?,
    };
    let ifcond = checker.condition(object.take("if"), kind)?;
    let features = checker.features(object.take("features"))?;
    let body = checker.flags(body, &mut object)?;
    Ok(Definition {
        name,
        loc,
        module: raw.module,
        doc: raw.doc,
        docs_before: raw.docs_before,
        ifcond,
        features,
        body,
    })
}

impl Checker<'_> {
    fn definition_name(&self, meta: Meta, name: &str) -> Result<()> {
        let kind = meta.as_str();
        let stem = self.name(name, kind)?;
        match meta {
            Meta::Event => {
                if stem.bytes().any(|b| b.is_ascii_lowercase() || b == b'-') {
                    return self.error(&format!("name of {kind} must not use lowercase or '-'"));
                }
            }
            Meta::Command => {
                let underscore = self.pragmas.command_name_exceptions.contains(name);
                self.lower_stem(stem, kind, Permit(false), Permit(underscore))?;
            }
            _ => {
                if !names::is_camel_case(stem) {
                    return self.error(&format!("name of {kind} must use CamelCase"));
                }
                if name.ends_with("List") {
                    return self.error(&format!("{kind} name should not end in 'List'"));
                }
            }
        }
        Ok(())
    }

    fn doc(&self, meta: Meta, name: &str, returns: bool, doc: &DocBlock) -> Result<()> {
        let symbol = doc.symbol.as_deref().unwrap_or_default();
        if symbol != name {
            return self.error(&format!("documentation comment is for '{symbol}'"));
        }
        for tag in [Tag::Returns, Tag::Errors] {
            let Some(section) = doc.sections.iter().find(|s| s.tag == tag) else {
                continue;
            };
            let tag_name = tag.as_written();
            let message = if meta != Meta::Command {
                format!("'{tag_name}' section is only valid for commands")
            } else if tag == Tag::Returns && !returns {
                format!("'{tag_name}' section, but command doesn't return anything")
            } else {
                continue;
            };
            return Err(self.places.error(section.loc, &message));
        }
        Ok(())
    }

    fn member_permit(&self, name: &str) -> Permit {
        Permit(self.pragmas.member_name_exceptions.contains(name))
    }

    fn enumeration(&self, name: &str, object: &mut Object) -> Result<Body> {
        let optional = ["if", "features", "prefix"];
        self.keys(object, "enum", &["enum", "data"], &optional)?;
        let Some(Expr::List(list)) = object.take("data") else {
            return self.error("'data' must be an array");
        };
        let prefix = match object.take("prefix") {
            None => None,
            Some(Expr::Str(prefix)) => Some(prefix),
            Some(_) => return self.error("'prefix' must be a string"),
        };
        let permit = self.member_permit(name);
        let value = |value| {
            let mut object = long_form(value, "name");
            let source = "'data' member";
            self.keys(&object, source, &["name"], &["if", "features"])?;
            let name = self.string_name(object.take("name"), source)?;
            let source = format!("{source} '{name}'");
            self.value_name(&name, &source, permit)?;
            let ifcond = self.condition(object.take("if"), &source)?;
            let features = self.features(object.take("features"))?;
            Ok(EnumValue {
                name,
                ifcond,
                features,
            })
        };
        let values = list.into_iter().map(value).collect::<Result<_>>()?;
        Ok(Body::Enum { prefix, values })
    }

    fn structure(&self, name: &str, object: &mut Object) -> Result<Body> {
        let optional = ["base", "if", "features"];
        self.keys(object, "struct", &["struct", "data"], &optional)?;
        let members = self.data_members(object, name)?;
        let base = match object.take("base") {
            None => None,
            base => Some(self.type_name(base, "'base'")?),
        };
        Ok(Body::Struct { base, members })
    }

    fn data_members(&self, object: &mut Object, name: &str) -> Result<Vec<super::ast::Member>> {
        let data = object.take("data").unwrap_or(Expr::Bool(false));
        self.members(data, "'data'", self.member_permit(name))
    }

    fn union(&self, name: &str, object: &mut Object) -> Result<Body> {
        let required = ["union", "base", "discriminator", "data"];
        self.keys(object, "union", &required, &["if", "features"])?;
        let base = match object.take("base") {
            Some(Expr::Str(base)) => Data::Named(base),
            base => {
                let base = base.unwrap_or(Expr::Bool(false));
                Data::Inline(self.members(base, "'base'", self.member_permit(name))?)
            }
        };
        let discriminator = object.take("discriminator");
        let discriminator = self.string_name(discriminator, "'discriminator'")?;
        let Some(Expr::Object(data)) = object.take("data") else {
            return self.error("'data' must be an object");
        };
        let branch = |(name, value)| self.branch(name, value, false);
        let branches = data.0.into_iter().map(branch).collect::<Result<_>>()?;
        Ok(Body::Union {
            base,
            discriminator,
            branches,
        })
    }

    fn alternate(&self, object: &mut Object) -> Result<Body> {
        let optional = ["if", "features"];
        self.keys(object, "alternate", &["alternate", "data"], &optional)?;
        let data = object.take("data").filter(Expr::is_truthy);
        let data = match data {
            Some(Expr::Object(data)) => data,
            Some(_) => return self.error("'data' must be an object"),
            None => return self.error("'data' must not be empty"),
        };
        let alternative = |(name, value): (String, Expr)| {
            self.lower_name(&name, &format!("'data' member '{name}'"), Permit(false))?;
            self.branch(name, value, true)
        };
        let alternatives = data.0.into_iter().map(alternative).collect::<Result<_>>()?;
        Ok(Body::Alternate { alternatives })
    }

    fn command(&self, object: &mut Object) -> Result<Body> {
        let optional = [
            "allow-oob",
            "allow-preconfig",
            "boxed",
            "coroutine",
            "data",
            "features",
            "gen",
            "if",
            "returns",
            "success-response",
        ];
        self.keys(object, "command", &["command"], &optional)?;
        let data = self.arguments(object)?;
        let returns = match object.take("returns") {
            None => None,
            returns => Some(self.type_name_or_array(returns, "'returns'")?),
        };
        Ok(Body::Command(Command {
            data,
            returns,
            generated: true,
            success_response: true,
            boxed: false,
            allow_oob: false,
            allow_preconfig: false,
            coroutine: false,
        }))
    }

    fn event(&self, object: &mut Object) -> Result<Body> {
        let optional = ["boxed", "data", "features", "if"];
        self.keys(object, "event", &["event"], &optional)?;
        let data = self.arguments(object)?;
        Ok(Body::Event { data, boxed: false })
    }

    /// The `data` of a command or an event.
    fn arguments(&self, object: &mut Object) -> Result<Option<Data>> {
        // QEMU uses the value as a Python condition; only the last check asks for a
        // boolean.
        let boxed = object
            .0
            .iter()
            .any(|(key, value)| key == "boxed" && value.is_truthy());
        match object.take("data") {
            None if boxed => self.error("'boxed': true requires 'data'"),
            None => Ok(None),
            data if boxed => Ok(Some(Data::Named(self.type_name(data, "'data'")?))),
            Some(Expr::Str(name)) => Ok(Some(Data::Named(name))),
            Some(data) => {
                let members = self.members(data, "'data'", Permit(false))?;
                Ok(Some(Data::Inline(members)))
            }
        }
    }

    /// Flags are checked last, after the rest of the definition.
    fn flags(&self, mut body: Body, object: &mut Object) -> Result<Body> {
        let mut flag = |key: &str, value: bool| match object.take(key) {
            None => Ok(false),
            Some(Expr::Bool(given)) if given == value => Ok(true),
            Some(_) => self.error(&format!("flag '{key}' may only use {value} value")),
        };
        match &mut body {
            Body::Command(command) => {
                command.generated = !flag("gen", false)?;
                command.success_response = !flag("success-response", false)?;
                command.boxed = flag("boxed", true)?;
                command.allow_oob = flag("allow-oob", true)?;
                command.allow_preconfig = flag("allow-preconfig", true)?;
                command.coroutine = flag("coroutine", true)?;
                if command.allow_oob && command.coroutine {
                    // Coroutines run only in the main loop's context.
                    return self.error("flags 'allow-oob' and 'coroutine' are incompatible");
                }
            }
            Body::Event { boxed, .. } => *boxed = flag("boxed", true)?,
            _ => {}
        }
        Ok(body)
    }
}
