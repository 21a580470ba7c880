//! Checks of the parts that several kinds of definitions have: keys, names,
//! conditions, features, members, references to types.
//!
//! Every function takes an expression apart and returns its meaning. `source` is
//! the name of the thing in messages, such as `'data' member '*x'`.

use super::ast::{Branch, Member, TypeRef};
use super::expr::{Expr, Object};
use super::model::{Feature, IfCond};
use super::names;
use super::pragma::Pragmas;
use super::source::{Loc, Places, SchemaError};

/// The definition under check.
pub(super) struct Checker<'a> {
    pub(super) places: &'a Places,
    pub(super) pragmas: &'a Pragmas,
    pub(super) loc: Loc,
}

/// Which rules for case the name of a member or value may break.
#[derive(Clone, Copy)]
pub(super) struct Permit(pub(super) bool);

type Result<T> = std::result::Result<T, SchemaError>;

impl Checker<'_> {
    pub(super) fn error<T>(&self, message: &str) -> Result<T> {
        Err(self.places.error(self.loc, message))
    }

    /// Checks that all keys in `required` are there, and no others but those in
    /// `optional`.
    pub(super) fn keys(
        &self,
        object: &Object,
        source: &str,
        required: &[&str],
        optional: &[&str],
    ) -> Result<()> {
        let mut missing: Vec<&str> = required.to_vec();
        missing.retain(|key| !object.has(key));
        if !missing.is_empty() {
            let plural = if missing.len() > 1 { "s" } else { "" };
            let missing = quoted(missing);
            return self.error(&format!("{source} misses key{plural} {missing}"));
        }
        let valid: Vec<&str> = [required, optional].concat();
        let keys = object.0.iter().map(|(key, _)| key.as_str());
        let unknown: Vec<&str> = keys.filter(|key| !valid.contains(key)).collect();
        if !unknown.is_empty() {
            let plural = if unknown.len() > 1 { "s" } else { "" };
            let (unknown, valid) = (quoted(unknown), quoted(valid));
            return self.error(&format!(
                "{source} has unknown key{plural} {unknown}\nValid keys are {valid}."
            ));
        }
        Ok(())
    }

    pub(super) fn string_name(&self, value: Option<Expr>, source: &str) -> Result<String> {
        match value {
            Some(Expr::Str(name)) => Ok(name),
            _ => self.error(&format!("{source} requires a string name")),
        }
    }

    /// The stem of a well-formed name.
    pub(super) fn name<'n>(&self, name: &'n str, source: &str) -> Result<&'n str> {
        match names::stem(name) {
            Some(stem) => Ok(stem),
            None => self.error(&format!("{source} has an invalid name")),
        }
    }

    /// A name that is all lower case with hyphens.
    pub(super) fn lower_name(&self, name: &str, source: &str, permit: Permit) -> Result<()> {
        let stem = self.name(name, source)?;
        self.lower_stem(stem, source, permit, permit)
    }

    /// A value's name, which may start with a digit.
    pub(super) fn value_name(&self, name: &str, source: &str, permit: Permit) -> Result<()> {
        match names::value_stem(name) {
            Some(stem) => self.lower_stem(stem, source, permit, permit),
            None => self.error(&format!("{source} has an invalid name")),
        }
    }

    pub(super) fn lower_stem(
        &self,
        stem: &str,
        source: &str,
        upper: Permit,
        underscore: Permit,
    ) -> Result<()> {
        let has_upper = stem.bytes().any(|b| b.is_ascii_uppercase());
        if (has_upper && !upper.0) || (stem.contains('_') && !underscore.0) {
            return self.error(&format!("name of {source} must not use uppercase or '_'"));
        }
        Ok(())
    }

    /// The `if` key.
    pub(super) fn condition(&self, value: Option<Expr>, source: &str) -> Result<IfCond> {
        match value {
            None => Ok(IfCond::Always),
            Some(value) => self.condition_value(value, source),
        }
    }

    fn condition_value(&self, value: Expr, source: &str) -> Result<IfCond> {
        let object = match value {
            Expr::Str(name) if is_condition_name(&name) => return Ok(IfCond::Name(name)),
            Expr::Str(name) => {
                return self.error(&format!(
                    "'if' condition '{name}' of {source} is not a valid identifier"
                ))
            }
            Expr::Object(object) => object,
            _ => {
                return self.error(&format!(
                    "'if' condition of {source} must be a string or an object"
                ))
            }
        };
        let whole = format!("'if' condition of {source}");
        self.keys(&object, &whole, &[], &["all", "any", "not"])?;
        let mut members = object.0.into_iter();
        let (Some((key, value)), None) = (members.next(), members.next()) else {
            return self.error(&format!("{whole} has conflicting keys"));
        };
        if key == "not" {
            let inner = self.condition_value(value, source)?;
            return Ok(IfCond::Not(Box::new(inner)));
        }
        let Expr::List(list) = value else {
            return self.error(&format!("'{key}' condition of {source} must be an array"));
        };
        if list.is_empty() {
            return self.error(&format!("'if' condition [] of {source} is useless"));
        }
        let conditions = list
            .into_iter()
            .map(|value| self.condition_value(value, source))
            .collect::<Result<_>>()?;
        Ok(match key.as_str() {
            "all" => IfCond::All(conditions),
            _ => IfCond::Any(conditions),
        })
    }

    /// The `features` key.
    pub(super) fn features(&self, value: Option<Expr>) -> Result<Vec<Feature>> {
        let list = match value {
            None => return Ok(Vec::new()),
            Some(Expr::List(list)) => list,
            Some(_) => return self.error("'features' must be an array"),
        };
        let feature = |value| {
            let mut object = long_form(value, "name");
            let source = "'features' member";
            self.keys(&object, source, &["name"], &["if"])?;
            let name = self.string_name(object.take("name"), source)?;
            let source = format!("{source} '{name}'");
            self.lower_name(&name, &source, Permit(false))?;
            let ifcond = self.condition(object.take("if"), &source)?;
            Ok(Feature { name, ifcond })
        };
        list.into_iter().map(feature).collect()
    }

    /// Members in braces; `source` is the quoted key they are the value of.
    pub(super) fn members(&self, value: Expr, source: &str, permit: Permit) -> Result<Vec<Member>> {
        let Expr::Object(object) = value else {
            return self.error(&format!("{source} should be an object or type name"));
        };
        let member = |(key, value): (String, Expr)| {
            let source = format!("{source} member '{key}'");
            let (name, optional) = match key.strip_prefix('*') {
                Some(name) => (name.to_owned(), true),
                None => (key, false),
            };
            self.lower_name(&name, &source, permit)?;
            if names::is_reserved_member(&name) {
                return self.error(&format!("{source} uses reserved name"));
            }
            let mut object = long_form(value, "type");
            self.keys(&object, &source, &["type"], &["if", "features"])?;
            let ifcond = self.condition(object.take("if"), &source)?;
            let features = self.features(object.take("features"))?;
            let typ = self.type_name_or_array(object.take("type"), &source)?;
            Ok(Member {
                name,
                optional,
                typ,
                ifcond,
                features,
            })
        };
        object.0.into_iter().map(member).collect()
    }

    /// A branch of a union or an alternative.
    pub(super) fn branch(&self, name: String, value: Expr, arrays: bool) -> Result<Branch> {
        let source = format!("'data' member '{name}'");
        let mut object = long_form(value, "type");
        self.keys(&object, &source, &["type"], &["if"])?;
        let ifcond = self.condition(object.take("if"), &source)?;
        let typ = object.take("type");
        let typ = if arrays {
            self.type_name_or_array(typ, &source)?
        } else {
            TypeRef::Named(self.type_name(typ, &source)?)
        };
        Ok(Branch { name, typ, ifcond })
    }

    pub(super) fn type_name(&self, value: Option<Expr>, source: &str) -> Result<String> {
        match value {
            Some(Expr::Str(name)) => Ok(name),
            _ => self.error(&format!("{source} should be a type name")),
        }
    }

    pub(super) fn type_name_or_array(&self, value: Option<Expr>, source: &str) -> Result<TypeRef> {
        match value {
            Some(Expr::Str(name)) => Ok(TypeRef::Named(name)),
            Some(Expr::List(mut list)) => match (list.pop(), list.is_empty()) {
                (Some(Expr::Str(element)), true) => Ok(TypeRef::ArrayOf(element)),
                _ => self.error(&format!(
                    "{source}: array type must contain single type name"
                )),
            },
            _ => self.error(&format!("{source} should be a type name or array")),
        }
    }
}

/// The object for which a short form stands.
pub(super) fn long_form(value: Expr, key: &str) -> Object {
    match value {
        Expr::Object(object) => object,
        short => Object(vec![(key.to_owned(), short)]),
    }
}

fn is_condition_name(name: &str) -> bool {
    name.starts_with(|ch: char| ch.is_ascii_uppercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Sorted, quoted, with commas between.
fn quoted(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    names.join(", ")
}
