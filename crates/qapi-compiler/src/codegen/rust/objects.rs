//! Structs and unions.

use super::cond::Outcome;
use super::context::{Branch, Context};
use super::docs;
use super::names;
use super::order;
use super::out::{Field, Out};
use super::types::attribute;
use crate::schema::model::{EntityId, EntityKind, Member, Variants};

/// Emits an object type and its visits.
pub(super) fn emit(cx: &Context, out: &mut Out, id: EntityId) {
    let object = Object::new(cx, id);
    match &object.union {
        None => object.emit_struct(out),
        Some(union) if object.fields.is_empty() => {
            object.emit_branches(out, union, &object.rust, true);
        }
        Some(union) => {
            object.emit_struct(out);
            object.emit_branches(out, union, &union.rust, false);
        }
    }
    out.blank();
    attribute(out, object.cfg());
    out.begin(&format!(
        "impl qapi::visit::QapiObject for {} {{",
        object.rust
    ));
    object.emit_in(out);
    out.blank();
    object.emit_out(out);
    out.end("}");
    out.blank();
    attribute(out, object.cfg());
    out.line(&format!("qapi::qapi_object!({});", object.rust));
}

struct Object<'c, 's> {
    cx: &'c Context<'s>,
    id: EntityId,
    rust: String,
    /// All visited members, with the names of their fields.
    members: Vec<(&'s Member, String)>,
    /// Those that become fields: all but the tag.
    fields: Vec<(&'s Member, String)>,
    union: Option<Union<'s>>,
}

struct Union<'s> {
    /// The type of the branch.
    rust: String,
    tag: String,
    /// The field's name for the tag, which also names its accessor.
    tag_ident: String,
    /// The tag's type.
    tag_rust: String,
    branches: Vec<Branch<'s>>,
}

impl<'c, 's> Object<'c, 's> {
    fn new(cx: &'c Context<'s>, id: EntityId) -> Self {
        let rust = cx.rust_type(id);
        let members = named_members(cx, id);
        let union = match &cx.schema.entity(id).kind {
            EntityKind::Object(object) => object.variants.as_ref(),
            _ => None,
        };
        let union = union.map(|variants| Union {
            rust: cx.free_name(format!("{rust}Branch")),
            tag: variants.tag.clone(),
            tag_ident: tag_ident(&members, variants),
            tag_rust: cx.rust_type(variants.tag_type),
            branches: cx.branches(variants),
        });
        let fields = members
            .iter()
            .filter(|(m, _)| union.as_ref().is_none_or(|u| u.tag != m.name))
            .cloned()
            .collect();
        Object {
            cx,
            id,
            rust,
            members,
            fields,
            union,
        }
    }

    fn cfg(&self) -> Option<String> {
        self.cx.cfg(&self.cx.schema.entity(self.id).ifcond)
    }

    fn emit_doc(&self, out: &mut Out) {
        let entity = self.cx.schema.entity(self.id);
        out.blank();
        docs::emit_entity(self.cx, out, entity, &format!("`{}`", entity.name));
        attribute(out, self.cfg());
    }

    fn emit_struct(&self, out: &mut Out) {
        let cx = self.cx;
        self.emit_doc(out);
        let default = self.union.is_none() && self.fields.iter().all(|(m, _)| m.optional);
        out.line(if default {
            "#[derive(Debug, Clone, PartialEq, Default)]"
        } else {
            "#[derive(Debug, Clone, PartialEq)]"
        });
        if self.fields.is_empty() {
            return out.line(&format!("pub struct {} {{}}", self.rust));
        }
        out.begin(&format!("pub struct {} {{", self.rust));
        for (member, ident) in &self.fields {
            let owner = cx.declaring(self.id, member);
            let name = &member.name;
            docs::emit_member(cx, out, owner, name, &format!("`{name}`"));
            attribute(out, cx.cfg(&member.ifcond));
            if cx.deprecated(&member.features) {
                out.line("#[deprecated]");
            }
            let typ = cx.member_type(self.id, member);
            out.declaration(ident, &typ);
        }
        if let Some(union) = &self.union {
            docs::emit_plain(out, &format!("The branch, chosen by `{}`.", union.tag));
            out.line(&format!("pub u: {},", union.rust));
        }
        out.end("}");
    }

    /// The enum of a union's branches, and the accessor of the tag.
    fn emit_branches(&self, out: &mut Out, union: &Union, rust: &str, documented: bool) {
        let cx = self.cx;
        if documented {
            self.emit_doc(out);
        } else {
            out.blank();
            let text = format!("The branches of [`{}`], by `{}`.", self.rust, union.tag);
            docs::emit_plain(out, &text);
            attribute(out, self.cfg());
        }
        out.line("#[derive(Debug, Clone, PartialEq)]");
        out.begin(&format!("pub enum {rust} {{"));
        for branch in &union.branches {
            let name = &branch.case.name;
            let mut variant = |when: &Outcome, text: String| {
                if *when != Outcome::Fails {
                    docs::emit_plain(out, &format!("`{name}`"));
                    attribute(out, when.attribute());
                    out.line(&text);
                }
            };
            let typ = cx.contained_type(self.id, name, branch.case.typ);
            variant(&branch.with, format!("{}({typ}),", branch.ident));
            variant(&branch.without, format!("{},", branch.ident));
        }
        out.end("}");

        out.blank();
        attribute(out, self.cfg());
        out.begin(&format!("impl {rust} {{"));
        docs::emit_plain(out, &format!("The value of `{}`.", union.tag));
        let (tag, tag_rust) = (&union.tag_ident, &union.tag_rust);
        out.begin(&format!("pub fn {tag}(&self) -> {tag_rust} {{"));
        out.begin("match self {");
        for branch in &union.branches {
            let value = format!("{tag_rust}::{}", branch.ident);
            for (when, pattern) in patterns("Self", branch, "_") {
                attribute(out, when.attribute());
                out.arm(&pattern, &value);
            }
        }
        out.end("}");
        out.end("}");
        out.end("}");

        if !documented {
            out.blank();
            attribute(out, self.cfg());
            out.begin(&format!("impl {} {{", self.rust));
            docs::emit_plain(out, &format!("The value of `{}`.", union.tag));
            out.begin(&format!("pub fn {tag}(&self) -> {tag_rust} {{"));
            out.line(&format!("self.u.{tag}()"));
            out.end("}");
            out.end("}");
        }
    }

    fn emit_in(&self, out: &mut Out) {
        let cx = self.cx;
        let v = if self.members.is_empty() { "_v" } else { "v" };
        let result = cx.result("Self");
        out.signature(
            "fn visit_members_in(",
            &[&format!("{v}: &mut qapi::visit::InputVisitor")],
            &format!(") -> {result} {{"),
        );
        out.indent();
        let Some(union) = &self.union else {
            let fields: Vec<Field> = self
                .fields
                .iter()
                .map(|(member, ident)| Field {
                    cfg: cx.cfg(&member.ifcond),
                    name: ident.clone(),
                    value: read(cx, member),
                })
                .collect();
            out.literal("Ok(Self", &fields, ")");
            return out.end("}");
        };
        for (member, ident) in &self.members {
            attribute(out, cx.cfg(&member.ifcond));
            out.binding(&local(ident), &read(cx, member));
        }
        let into = if self.fields.is_empty() {
            "Self"
        } else {
            &union.rust
        };
        if self.fields.is_empty() {
            out.begin(&format!("Ok(match {} {{", local(&union.tag_ident)));
        } else {
            out.begin(&format!("let u = match {} {{", local(&union.tag_ident)));
        }
        for branch in &union.branches {
            let pattern = format!("{}::{}", union.tag_rust, branch.ident);
            let ident = &branch.ident;
            for (when, value) in [
                (&branch.with, format!("{into}::{ident}(v.branch()?)")),
                (&branch.without, format!("{into}::{ident}")),
            ] {
                if *when != Outcome::Fails {
                    attribute(out, when.attribute());
                    out.arm(&pattern, &value);
                }
            }
        }
        if self.fields.is_empty() {
            out.end("})");
        } else {
            out.end("};");
            let mut fields: Vec<Field> = self
                .fields
                .iter()
                .map(|(member, ident)| {
                    let local = local(ident);
                    Field {
                        cfg: cx.cfg(&member.ifcond),
                        value: if local == *ident {
                            String::new()
                        } else {
                            local
                        },
                        name: ident.clone(),
                    }
                })
                .collect();
            fields.push(Field {
                cfg: None,
                name: "u".into(),
                value: String::new(),
            });
            out.literal("Ok(Self", &fields, ")");
        }
        out.end("}");
    }

    fn emit_out(&self, out: &mut Out) {
        if self.members.is_empty() {
            return out
                .line("fn visit_members_out<V: qapi::visit::OutputVisitor>(&self, _v: &mut V) {}");
        }
        out.line("#[inline]");
        out.begin("fn visit_members_out<V: qapi::visit::OutputVisitor>(&self, v: &mut V) {");
        self.emit_writes(out, &Place::outermost(), Vec::new());
        out.end("}");
    }

    /// The statements that write these members, which stand around the object's own, and
    /// the object's, all of them in one order.
    fn emit_writes(&self, out: &mut Out, place: &Place, around: Vec<Written<'s>>) {
        let at = &place.object;
        let mut written = around;
        written.extend(self.members.iter().map(|(member, ident)| {
            let is_tag = self.union.as_ref().is_some_and(|u| u.tag == member.name);
            let call = if is_tag { "()" } else { "" };
            (*member, format!("&{at}.{ident}{call}"))
        }));
        let union = self.union.as_ref();
        let with_members = |b: &Branch| b.with != Outcome::Fails;
        match union.filter(|union| union.branches.iter().any(with_members)) {
            None => emit_in_order(self.cx, out, written),
            Some(union) => self.emit_branch_writes(out, place, union, &written),
        }
    }

    /// The statements that write a union's members and those of its branch.
    fn emit_branch_writes(
        &self,
        out: &mut Out,
        place: &Place,
        union: &Union,
        members: &[Written<'s>],
    ) {
        let cx = self.cx;
        let (value, prefix) = if self.fields.is_empty() {
            (place.value.clone(), place.prefix(&self.rust))
        } else {
            (format!("&{}.u", place.object), union.rust.as_str())
        };
        // Branches without members write the same, so one arm does for them.
        let bare = |branch: &&Branch| branch.without == Outcome::Holds;
        let share = union.branches.iter().filter(bare).count() > 1;
        out.begin(&format!("match {value} {{"));
        for branch in &union.branches {
            if share && bare(&branch) {
                continue;
            }
            let case = branch.case;
            for (when, pattern) in patterns(prefix, branch, &place.binding()) {
                attribute(out, when.attribute());
                if pattern.ends_with(')') {
                    out.begin(&format!("{pattern} => {{"));
                    let boxed =
                        cx.contained_type(self.id, &case.name, case.typ) != cx.rust_type(case.typ);
                    let inner = Object::new(cx, case.typ);
                    inner.emit_writes(out, &place.inside(boxed), members.to_vec());
                    out.end("}");
                } else {
                    emit_bare_arm(cx, out, &pattern, members);
                }
            }
        }
        if share {
            emit_bare_arm(cx, out, "_", members);
        }
        out.end("}");
    }
}

/// A member, and the expression for its value.
type Written<'s> = (&'s Member, String);

/// The arm of a branch without members.
fn emit_bare_arm(cx: &Context, out: &mut Out, pattern: &str, members: &[Written]) {
    if members.is_empty() {
        return out.line(&format!("{pattern} => {{}}"));
    }
    out.begin(&format!("{pattern} => {{"));
    emit_in_order(cx, out, members.to_vec());
    out.end("}");
}

fn emit_in_order(cx: &Context, out: &mut Out, members: Vec<Written>) {
    for (member, value) in order::written(members, |(member, _)| &member.name) {
        attribute(out, cx.cfg(&member.ifcond));
        write(cx, out, member, &value);
    }
}

/// Where generated code finds an object: `self`, or a branch in an arm of a match.
struct Place {
    /// Its members are behind this and a dot.
    object: String,
    /// A match looks at this.
    value: String,
    depth: usize,
}

impl Place {
    fn outermost() -> Self {
        Place {
            object: "self".into(),
            value: "self".into(),
            depth: 0,
        }
    }

    /// The name of a branch of the union there.
    fn binding(&self) -> String {
        match self.depth {
            0 => "branch".into(),
            depth => format!("branch{}", depth + 1),
        }
    }

    /// The branch of the union there.
    fn inside(&self, boxed: bool) -> Self {
        let binding = self.binding();
        Place {
            value: if boxed {
                format!("&**{binding}")
            } else {
                binding.clone()
            },
            object: binding,
            depth: self.depth + 1,
        }
    }

    /// The path of an enum of that name there.
    fn prefix<'n>(&self, rust: &'n str) -> &'n str {
        if self.depth == 0 {
            "Self"
        } else {
            rust
        }
    }
}

/// Members of an object with distinct names in Rust's style.
pub(super) fn named_members<'s>(cx: &Context<'s>, id: EntityId) -> Vec<(&'s Member, String)> {
    let members = cx.members(id);
    let idents = names::distinct(members.iter().map(|m| names::snake(&m.name)));
    members.into_iter().zip(idents).collect()
}

fn tag_ident(members: &[(&Member, String)], variants: &Variants) -> String {
    let tag = members.iter().find(|(m, _)| m.name == variants.tag);
    tag.map_or_else(|| names::snake(&variants.tag), |(_, ident)| ident.clone())
}

/// The patterns of a union's branch, and when each exists.
fn patterns<'b>(
    prefix: &str,
    branch: &'b Branch,
    binding: &str,
) -> impl Iterator<Item = (&'b Outcome, String)> {
    let ident = &branch.ident;
    [
        (&branch.with, format!("{prefix}::{ident}({binding})")),
        (&branch.without, format!("{prefix}::{ident}")),
    ]
    .into_iter()
    .filter(|(when, _)| **when != Outcome::Fails)
}

/// A variable for the member or parameter. It avoids the names that generated
/// functions use themselves.
pub(super) fn local(ident: &str) -> String {
    match ident {
        "v" | "rt" | "call" | "responder" | "u" | "policy" | "data" => format!("{ident}_"),
        _ => ident.to_owned(),
    }
}

/// The expression that reads a member.
pub(super) fn read(cx: &Context, member: &Member) -> String {
    let name = &member.name;
    let size = cx.is_size(member.typ);
    let Some(features) = cx.special(&member.features) else {
        let method = if size { "size" } else { "member" };
        return format!("v.{method}(\"{name}\")?");
    };
    let method = match (size, member.optional) {
        (false, false) => "special_member",
        (false, true) => "special_optional",
        (true, false) => "special_size",
        (true, true) => "special_optional_size",
    };
    format!("v.{method}(\"{name}\", qapi::SpecialFeatures::{features})?")
}

/// The statement that writes a member.
pub(super) fn write(cx: &Context, out: &mut Out, member: &Member, value: &str) {
    let name = format!("qapi::member_name!(\"{}\")", member.name);
    match cx.special(&member.features) {
        None => out.call("v.member(", &[&name, value], ");"),
        Some(features) => {
            let features = format!("qapi::SpecialFeatures::{features}");
            out.call("v.special_member(", &[&name, value, &features], ");");
        }
    }
}
