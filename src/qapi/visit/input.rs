//! The input visitor: typed values out of a [`QObject`], in two flavours.
//!
//! *QMP* (`qobject_input_visitor_new`): values have JSON's types, and only a number
//! written as an integer is one. *keyval* (`qobject_input_visitor_new_keyval`): the
//! object comes from `key=value` text, so every scalar is a string and is converted
//! to the requested type.
//!
//! Error texts name the offending member by its path (`rules[1].match`, in keyval
//! `rules.1.match`), except where QEMU knows only the innermost name: ranges of
//! narrow integers, values of enumerations, alternates. The path of the current
//! container is one string that grows and shrinks, so no name is copied before an
//! error occurs.
//!
//! The visitor consumes its object. It takes out each member it visits, and members
//! left at the end of a struct are unexpected ([`unvisited`](super::unvisited)). A failed visit leaves the visitor
//! somewhere within the object; drop it then.

mod scalars;

use super::unvisited::Members;
use super::{keyval_parse, QType};
use crate::qapi::json::qobject_from_json_in;
use crate::qapi::{CompatPolicy, Error, QDict, QObject};

/// How many containers deep a visit descends.
///
/// Visits recurse, and types may contain themselves, so this bounds the stack.
/// (JSON itself may nest deeper, in members of type `any`.)
pub(crate) const MAX_DEPTH: usize = 256;

/// Walks a [`QObject`] on behalf of [`visit_in`](super::QapiType::visit_in) (QEMU's
/// `QObjectInputVisitor`).
pub struct InputVisitor {
    keyval: bool,
    unvisited: Unvisited,
    pub(super) policy: CompatPolicy,
    /// What is being visited.
    current: Frame,
    /// The containers around it, outermost first.
    outer: Vec<Frame>,
    /// How many containers are open.
    depth: usize,
    /// Path of the innermost open container.
    path: String,
}

/// What becomes of members that a struct does not have.
#[derive(PartialEq, Eq)]
enum Unvisited {
    /// They are unexpected.
    Unexpected,
    /// They are invalid parameters, each named by its whole key.
    Invalid,
    /// They are left out.
    Ignored,
}

/// An open container, or the outermost value.
struct Frame {
    kind: Container,
    /// Length of the path of the enclosing container.
    outer_path: usize,
}

enum Container {
    /// No container: the outermost value.
    Root(Option<QObject>),
    Struct(Members),
    /// The current element, its number, and those after it.
    List(Option<QObject>, usize, std::vec::IntoIter<QObject>),
}

impl Frame {
    /// The outermost container, or value.
    fn outermost(kind: Container) -> Self {
        Frame {
            kind,
            outer_path: 0,
        }
    }
}

impl InputVisitor {
    /// A visitor of a value with JSON's types.
    pub fn new(value: QObject, policy: CompatPolicy) -> Self {
        InputVisitor {
            keyval: false,
            unvisited: Unvisited::Unexpected,
            policy,
            current: Frame::outermost(Container::Root(Some(value))),
            outer: Vec::new(),
            depth: 0,
            path: String::new(),
        }
    }

    /// A visitor inside an object: its members come next, then the end of the struct.
    pub(crate) fn inside(members: QDict, keyval: bool, policy: CompatPolicy) -> Self {
        InputVisitor {
            keyval,
            unvisited: Unvisited::Unexpected,
            policy,
            current: Frame::outermost(Container::Struct(Members::of(members))),
            outer: Vec::new(),
            depth: 1,
            path: String::new(),
        }
    }

    /// A visitor of the outcome of [`keyval_parse`](super::keyval_parse).
    pub fn new_keyval(value: QDict, policy: CompatPolicy) -> Self {
        InputVisitor {
            keyval: true,
            ..Self::new(value.into(), policy)
        }
    }

    /// A visitor of an option's text: JSON if it begins with `{`, else
    /// `key=value,...` (`qobject_input_visitor_new_str`).
    ///
    /// ```
    /// use qmonitor::qapi::{visit::InputVisitor, CompatPolicy};
    ///
    /// let visitor = |text| InputVisitor::new_str(text, Some("type"), CompatPolicy::default());
    /// assert!(visitor("null,id=a").is_ok());
    /// assert!(visitor(r#"{"type": "null", "id": "a"}"#).is_ok());
    /// let e = visitor("null,a").err().unwrap();
    /// assert_eq!(e.desc(), "Expected '=' after parameter 'a'");
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the text does not parse.
    pub fn new_str(
        text: &str,
        implied_key: Option<&str>,
        policy: CompatPolicy,
    ) -> Result<Self, Error> {
        Ok(if text.starts_with('{') {
            let dialect = policy.profile.dialect();
            Self::new(qobject_from_json_in(dialect, text.as_bytes())?, policy)
        } else {
            Self::new_keyval(keyval_parse(text, implied_key)?, policy)
        })
    }

    /// Ignores unexpected members: a client's server may be newer.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.unvisited = Unvisited::Ignored;
        self
    }

    /// Calls an unexpected member an invalid parameter, as QEMU does where an option of
    /// the command line is not read as keyval or JSON (`opts_visitor_new`).
    #[must_use]
    pub fn of_option(mut self) -> Self {
        self.unvisited = Unvisited::Invalid;
        self
    }

    /// The value that `name` stands for, if there is one.
    fn peek(&self, name: &str) -> Option<&QObject> {
        match &self.current.kind {
            Container::Root(value) | Container::List(value, ..) => value.as_ref(),
            Container::Struct(members) => members.get(name),
        }
    }

    #[inline(always)]
    fn try_take(&mut self, name: &str) -> Option<QObject> {
        match &mut self.current.kind {
            Container::Root(value) | Container::List(value, ..) => value.take(),
            Container::Struct(members) => members.take(name),
        }
    }

    fn take(&mut self, name: &str) -> Result<QObject, Error> {
        self.try_take(name).ok_or_else(|| self.missing(name))
    }

    /// The path of the member, or of the current element (`full_name`).
    fn full_name(&self, name: &str) -> String {
        let path = &self.path;
        match &self.current.kind {
            Container::List(_, i, _) if self.keyval => format!("{path}.{i}"),
            Container::List(_, i, _) => format!("{path}[{i}]"),
            _ if path.is_empty() => short_name(name).to_owned(),
            _ => format!("{path}.{name}"),
        }
    }

    #[cold]
    fn missing(&self, name: &str) -> Error {
        Error::new(format!("Parameter '{}' is missing", self.full_name(name)))
    }

    fn wrong_type(&self, name: &str, expected: &str) -> Error {
        invalid_type(&self.full_name(name), expected)
    }

    /// `Parameter 'NAME' expects WHAT`, with the innermost name only.
    pub fn expects(&self, name: &str, what: &str) -> Error {
        Error::new(format!("Parameter '{}' expects {what}", short_name(name)))
    }

    /// Options of the command line call the types of numbers otherwise.
    fn in_words_of(&self, keyval: &'static str, option: &'static str) -> &'static str {
        if matches!(self.unvisited, Unvisited::Invalid) {
            option
        } else {
            keyval
        }
    }

    fn full_name_expects(&self, name: &str, what: &str) -> Error {
        let name = self.full_name(name);
        Error::new(format!("Parameter '{name}' expects {what}"))
    }

    fn enter(&mut self, name: &str, kind: Container) -> Result<(), Error> {
        if self.depth >= MAX_DEPTH {
            let name = self.full_name(name);
            return Err(Error::new(format!("Parameter '{name}' is nested too deep")));
        }
        let outer_path = self.path.len();
        match &self.current.kind {
            Container::Root(_) => {}
            Container::Struct(_) => {
                if outer_path != 0 {
                    self.path.push('.');
                }
                self.path.push_str(name);
            }
            Container::List(..) => {
                self.path = self.full_name(name);
            }
        }
        let inner = Frame { kind, outer_path };
        self.outer.push(std::mem::replace(&mut self.current, inner));
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.path.truncate(self.current.outer_path);
        let outer = self.outer.pop();
        self.current = outer.unwrap_or(Frame::outermost(Container::Root(None)));
        self.depth = self.depth.saturating_sub(1);
    }

    /// Enters an object (`visit_start_struct`).
    ///
    /// # Errors
    ///
    /// Fails if the member is missing or not an object.
    pub fn start_struct(&mut self, name: &str) -> Result<(), Error> {
        match self.take(name)? {
            QObject::Dict(dict) => self.enter(name, Container::Struct(Members::of(dict))),
            _ => Err(self.wrong_type(name, "object")),
        }
    }

    /// Leaves the object (`visit_check_struct` and `visit_end_struct`).
    ///
    /// # Errors
    ///
    /// Fails if a member was not visited: it is unexpected.
    pub fn end_struct(&mut self) -> Result<(), Error> {
        if let Container::Struct(members) = &self.current.kind {
            if members.has_left() && self.unvisited != Unvisited::Ignored {
                return Err(self.left_over(members));
            }
        }
        self.leave();
        Ok(())
    }

    /// The error of members that the struct does not have.
    #[cold]
    fn left_over(&self, members: &Members) -> Error {
        if self.unvisited == Unvisited::Invalid {
            return self.invalid(&members.first_invalid().unwrap_or_default());
        }
        let name = self.full_name(&members.first_unexpected().unwrap_or_default());
        Error::new(format!("Parameter '{name}' is unexpected"))
    }

    /// The error of a key that the struct does not have.
    fn invalid(&self, key: &str) -> Error {
        Error::new(format!("Invalid parameter '{}'", self.full_name(key)))
    }

    /// Enters an array, before its first element (`visit_start_list`).
    ///
    /// # Errors
    ///
    /// Fails if the member is missing or not an array.
    pub fn start_list(&mut self, name: &str) -> Result<(), Error> {
        match self.take(name)? {
            QObject::List(list) => {
                // The first `next_list` wraps this to 0.
                let before_first = Container::List(None, usize::MAX, list.into_iter());
                self.enter(name, before_first)
            }
            _ => Err(self.wrong_type(name, "array")),
        }
    }

    /// Advances to the next element; false if there is none (`visit_next_list`).
    pub fn next_list(&mut self) -> bool {
        let Container::List(current, number, rest) = &mut self.current.kind else {
            return false;
        };
        *current = rest.next();
        *number = number.wrapping_add(1);
        current.is_some()
    }

    /// Leaves the array (`visit_end_list`).
    pub fn end_list(&mut self) {
        self.leave();
    }

    /// The type of the member's value. An alternate chooses its branch by it
    /// (`visit_start_alternate`).
    ///
    /// # Errors
    ///
    /// Fails if the member is missing.
    pub fn start_alternate(&mut self, name: &str) -> Result<QType, Error> {
        match self.peek(name) {
            Some(value) => Ok(match value {
                QObject::Null => QType::Qnull,
                QObject::Bool(_) => QType::Qbool,
                QObject::Num(_) => QType::Qnum,
                QObject::String(_) => QType::Qstring,
                QObject::List(_) => QType::Qlist,
                QObject::Dict(_) => QType::Qdict,
            }),
            None => Err(self.missing(name)),
        }
    }

    /// The error of an alternate that has no branch for the value's type.
    pub fn wrong_alternate(&self, name: &str, type_name: &str) -> Error {
        invalid_type(short_name(name), type_name)
    }

    /// Whether the member is there (`visit_optional`).
    pub fn optional(&mut self, name: &str) -> bool {
        self.peek(name).is_some()
    }
}

/// The name as error texts show it.
fn short_name(name: &str) -> &str {
    match name {
        "" => "null",
        name => name,
    }
}

fn invalid_type(name: &str, expected: &str) -> Error {
    Error::new(format!(
        "Invalid parameter type for '{name}', expected: {expected}"
    ))
}
