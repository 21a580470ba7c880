//! Authorization: `authz-list` and `authz-simple`. They decide whether a TLS peer may
//! come in, by the name in its certificate.

use crate::model::qom::{set_str, set_value, Getter, ObjectId, ObjectType, Property, OBJECT};
use crate::model::Machine;
use crate::schema::{QAuthZListFormat, QAuthZListPolicy, QAuthZListRule};
use qmonitor::chardev::no_authz;
use qmonitor::qapi::visit::{InputVisitor, QapiType};
use qmonitor::qapi::{CompatPolicy, Error, QObject};
use qmonitor::trace::glob_match;

pub(crate) static TYPES: &[&ObjectType] = &[&AUTHZ, &AUTHZ_LIST, &AUTHZ_SIMPLE];

static AUTHZ: ObjectType = ObjectType::new_abstract("authz", &OBJECT, &[]);

static AUTHZ_LIST: ObjectType = ObjectType::new_user_creatable(
    "authz-list",
    &AUTHZ,
    &[
        Property::new(
            "policy",
            "QAuthZListPolicy",
            Getter::Str("deny"),
            Some(set_value::<QAuthZListPolicy>),
        ),
        Property::new(
            "rules",
            "QAuthZListRule",
            Getter::EmptyList,
            Some(set_value::<Vec<QAuthZListRule>>),
        ),
    ],
);

static AUTHZ_SIMPLE: ObjectType = ObjectType::new_user_creatable(
    "authz-simple",
    &AUTHZ,
    &[Property::new(
        "identity",
        "string",
        Getter::Str(""),
        Some(set_str),
    )],
);

impl Machine {
    /// Whether the authorization of that id lets `identity` in
    /// (`qauthz_is_allowed_by_id`).
    ///
    /// # Errors
    ///
    /// There is no such object, or it is no authorization.
    pub fn authz_is_allowed(&self, name: &str, identity: &str) -> Result<bool, Error> {
        let id = self.user_object(name).ok_or_else(|| no_authz(name))?;
        match self.object(id).map(|o| o.class().name) {
            Some("authz-list") => self.list_allows(id, identity),
            Some("authz-simple") => Ok(self.str_property(id, "identity") == identity),
            _ => Err(Error::new(format!(
                "Object '{name}' is not a QAuthZ subclass"
            ))),
        }
    }

    /// The first rule that matches decides, and the list's policy if none does.
    fn list_allows(&self, id: ObjectId, identity: &str) -> Result<bool, Error> {
        let rules = self.property(id, "rules").unwrap_or(QObject::Null);
        let mut v = InputVisitor::new(rules, CompatPolicy::default());
        let rules = Vec::<QAuthZListRule>::visit_in(&mut v, "rules")?;
        let rule = rules.iter().find(|rule| match rule.format {
            Some(QAuthZListFormat::Glob) => glob_match(&rule.r#match, identity),
            Some(QAuthZListFormat::Exact) | None => rule.r#match == identity,
        });
        Ok(match rule {
            Some(rule) => rule.policy == QAuthZListPolicy::Allow,
            None => self.str_property(id, "policy") == QAuthZListPolicy::Allow.as_str(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::backends::tests::{add, machine};

    fn allowed(m: &Machine, identity: &str) -> Result<bool, String> {
        m.authz_is_allowed("x", identity).map_err(|e| e.to_string())
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let mut m = machine();
        let rules = r#""rules": [
            {"match": "O=A,CN=evil", "policy": "deny"},
            {"match": "O=A,CN=*", "policy": "allow", "format": "glob"},
            {"match": "O=A,CN=?", "policy": "deny", "format": "glob"},
            {"match": "CN=*", "policy": "allow", "format": "exact"}]"#;
        assert_eq!(add(&mut m, "authz-list", rules), "");
        for (identity, expected) in [
            ("O=A,CN=evil", false),
            ("O=A,CN=good", true),
            ("O=A,CN=", true),
            ("O=A,CN=x", true),
            ("O=B,CN=good", false),
            ("CN=*", true),
            ("CN=a", false),
            ("", false),
        ] {
            assert_eq!(allowed(&m, identity), Ok(expected), "{identity}");
        }
    }

    #[test]
    fn without_a_rule_the_policy_decides() {
        let mut m = machine();
        assert_eq!(add(&mut m, "authz-list", ""), "");
        assert_eq!(allowed(&m, "CN=a"), Ok(false));
        m.object_del("x").unwrap();
        assert_eq!(
            allowed(&m, "CN=a"),
            Err("Cannot find QAuthZ object ID x".into())
        );
        let deny = r#""policy": "allow", "rules": [{"match": "CN=b", "policy": "deny"}]"#;
        assert_eq!(add(&mut m, "authz-list", deny), "");
        assert_eq!(allowed(&m, "CN=a"), Ok(true));
        assert_eq!(allowed(&m, "CN=b"), Ok(false));
    }

    #[test]
    fn a_simple_one_knows_one_name() {
        let mut m = machine();
        assert_eq!(add(&mut m, "authz-simple", r#""identity": "CN=*""#), "");
        assert_eq!(allowed(&m, "CN=*"), Ok(true));
        assert_eq!(allowed(&m, "CN=a"), Ok(false));
    }

    #[test]
    fn other_objects_let_nobody_in() {
        let mut m = machine();
        assert_eq!(add(&mut m, "secret", r#""data": "CN=a""#), "");
        assert_eq!(
            allowed(&m, "CN=a"),
            Err("Object 'x' is not a QAuthZ subclass".into())
        );
    }
}
