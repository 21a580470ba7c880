//! Words for two members that have one name.

use super::super::enter::{DraftMember, Implied};
use super::super::source::Loc;
use super::{MemberRef, Resolver, Result};

impl<'a> Resolver<'a> {
    pub(super) fn member(&self, member: MemberRef) -> Option<&'a DraftMember> {
        self.as_object(member.owner)?.members.get(member.index)
    }

    pub(super) fn member_name(&self, member: MemberRef) -> &'a str {
        self.member(member).map_or("", |member| &member.name)
    }

    pub(super) fn collision(&self, member: MemberRef, other: MemberRef, loc: Loc) -> Result<()> {
        let member = self.describe_member(member, loc);
        let other = self.describe_member(other, loc);
        self.error(loc, &format!("{member} collides with {other}"))
    }

    /// The member's name in messages about the definition at `loc`.
    pub(super) fn describe_member(&self, member: MemberRef, loc: Loc) -> String {
        let owner = &self.drafts[member.owner.0];
        let implied = self.as_object(member.owner).and_then(|o| o.implicit);
        let implied_name = owner.name.strip_prefix("q_obj_").unwrap_or(&owner.name);
        let (role, meta, defined_in) = match implied {
            Some(Implied::Arguments) => (
                "parameter",
                "command",
                implied_name.strip_suffix("-arg").unwrap_or(implied_name),
            ),
            Some(Implied::Base) => (
                "base member",
                "type",
                implied_name.strip_suffix("-base").unwrap_or(implied_name),
            ),
            _ => ("member", "type", owner.name.as_str()),
        };
        let name = self.member_name(member);
        format!("{role} '{name}'{}", self.place(defined_in, meta, loc))
    }

    /// ` of type 'T'` unless T is the definition at `loc`.
    pub(super) fn place(&self, defined_in: &str, meta: &str, loc: Loc) -> String {
        match self.places.definition(loc) {
            Some((_, name)) if name == defined_in => String::new(),
            _ => format!(" of {meta} '{defined_in}'"),
        }
    }
}
