//! Conditions as `cfg` predicates, or already decided.

use std::collections::BTreeSet;

use super::Conditions;
use crate::schema::model::{Entity, EntityKind, Feature, IfCond};

/// What the generator knows about a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It holds.
    Holds,
    /// It does not hold.
    Fails,
    /// It holds if this `cfg` predicate does.
    If(String),
}

impl Outcome {
    /// The attribute for an item under this condition.
    pub(super) fn attribute(&self) -> Option<String> {
        match self {
            Outcome::If(predicate) => Some(format!("#[cfg({predicate})]")),
            _ => None,
        }
    }

    /// The condition as a boolean expression.
    pub(super) fn expression(&self) -> String {
        match self {
            Outcome::Holds => "true".into(),
            Outcome::Fails => "false".into(),
            Outcome::If(predicate) => format!("cfg!({predicate})"),
        }
    }

    fn not(self) -> Self {
        match self {
            Outcome::Holds => Outcome::Fails,
            Outcome::Fails => Outcome::Holds,
            Outcome::If(predicate) => Outcome::If(format!("not({predicate})")),
        }
    }

    /// Both of them.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Outcome::Fails, _) | (_, Outcome::Fails) => Outcome::Fails,
            (Outcome::Holds, other) | (other, Outcome::Holds) => other,
            (Outcome::If(a), Outcome::If(b)) if a == b => Outcome::If(a),
            (Outcome::If(a), Outcome::If(b)) => Outcome::If(format!("all({a}, {b})")),
        }
    }

    /// This one without the other.
    pub(super) fn and_not(self, other: Self) -> Self {
        if self == other {
            Outcome::Fails
        } else {
            self.and(other.not())
        }
    }
}

/// Decides `cond` as far as possible.
pub(super) fn outcome(conditions: &Conditions, cond: &IfCond) -> Outcome {
    let any = |parts: &[IfCond]| {
        let mut predicates = Vec::new();
        for part in parts {
            match outcome(conditions, part) {
                Outcome::Holds => return Outcome::Holds,
                Outcome::Fails => {}
                Outcome::If(predicate) => predicates.push(predicate),
            }
        }
        match predicates.len() {
            0 => Outcome::Fails,
            1 => Outcome::If(predicates.remove(0)),
            _ => Outcome::If(format!("any({})", predicates.join(", "))),
        }
    };
    match cond {
        IfCond::Always => Outcome::Holds,
        IfCond::Name(name) => match conditions {
            Conditions::Cfg => Outcome::If(name.clone()),
            Conditions::Feature => Outcome::If(format!("feature = \"{name}\"")),
            Conditions::Defined(names) if names.contains(name) => Outcome::Holds,
            Conditions::Defined(_) => Outcome::Fails,
        },
        IfCond::All(parts) => {
            let mut predicates = Vec::new();
            for part in parts {
                match outcome(conditions, part) {
                    Outcome::Fails => return Outcome::Fails,
                    Outcome::Holds => {}
                    Outcome::If(predicate) => predicates.push(predicate),
                }
            }
            match predicates.len() {
                0 => Outcome::Holds,
                1 => Outcome::If(predicates.remove(0)),
                _ => Outcome::If(format!("all({})", predicates.join(", "))),
            }
        }
        IfCond::Any(parts) => any(parts),
        IfCond::Not(inner) => outcome(conditions, inner).not(),
    }
}

/// Adds the names in all conditions of an entity and of its parts.
pub(super) fn collect(entity: &Entity, names: &mut BTreeSet<String>) {
    let mut add = |cond: &IfCond| collect_one(cond, names);
    let mut features = |list: &[Feature]| list.iter().for_each(|f| add(&f.ifcond));
    features(&entity.features);
    match &entity.kind {
        EntityKind::Enum(e) => e.values.iter().for_each(|v| features(&v.features)),
        EntityKind::Object(o) => o.members.iter().for_each(|m| features(&m.features)),
        _ => {}
    }
    add(&entity.ifcond);
    match &entity.kind {
        EntityKind::Enum(e) => e.values.iter().for_each(|v| add(&v.ifcond)),
        EntityKind::Object(o) => {
            o.members.iter().for_each(|m| add(&m.ifcond));
            let cases = o.variants.iter().flat_map(|v| &v.cases);
            cases.for_each(|case| add(&case.ifcond));
        }
        EntityKind::Alternate(variants) => variants.iter().for_each(|v| add(&v.ifcond)),
        _ => {}
    }
}

fn collect_one(cond: &IfCond, names: &mut BTreeSet<String>) {
    match cond {
        IfCond::Always => {}
        IfCond::Name(name) => {
            names.insert(name.clone());
        }
        IfCond::All(parts) | IfCond::Any(parts) => {
            parts.iter().for_each(|part| collect_one(part, names));
        }
        IfCond::Not(inner) => collect_one(inner, names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: &str) -> IfCond {
        IfCond::Name(n.into())
    }

    #[test]
    fn conditions_become_predicates() {
        let cond = IfCond::All(vec![
            name("A"),
            IfCond::Any(vec![name("B"), IfCond::Not(Box::new(name("C")))]),
        ]);
        let predicate = |conditions| outcome(&conditions, &cond);
        assert_eq!(
            predicate(Conditions::Cfg),
            Outcome::If("all(A, any(B, not(C)))".into())
        );
        let defined = |names: &[&str]| {
            let names = names.iter().map(ToString::to_string).collect();
            predicate(Conditions::Defined(names))
        };
        assert_eq!(defined(&["A"]), Outcome::Holds);
        assert_eq!(defined(&["A", "C"]), Outcome::Fails);
        assert_eq!(defined(&["A", "B", "C"]), Outcome::Holds);
    }
}
