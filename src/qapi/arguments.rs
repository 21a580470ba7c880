//! The arguments of a request, kept until its command reads them.
//!
//! Those of most requests are few and plain: strings of ASCII without escapes, numbers,
//! keywords. They stay text, with notes of where each one is, and generated code takes the
//! parameters of a command straight out of it ([`PlainReader`]). Everything else, every
//! error too, takes the way through a dictionary.

use std::borrow::Cow;

use super::qobject::{Name, QDict, QNum, QObject};

/// The arguments of a request.
#[derive(Debug, Clone)]
pub enum Arguments {
    /// Members of any kind.
    Members(QDict),
    /// Few and plain ones.
    Plain(Box<PlainArguments>),
}

impl Arguments {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            Arguments::Members(members) => members.is_empty(),
            Arguments::Plain(plain) => plain.is_empty(),
        }
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Arguments::Members(QDict::new())
    }
}

impl From<QDict> for Arguments {
    fn from(members: QDict) -> Self {
        Arguments::Members(members)
    }
}

impl From<Arguments> for QDict {
    fn from(arguments: Arguments) -> Self {
        match arguments {
            Arguments::Members(members) => members,
            Arguments::Plain(plain) => plain.to_dict(),
        }
    }
}

/// Equal if both stand for the same dictionary.
impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        QDict::from(self.clone()) == QDict::from(other.clone())
    }
}

/// More members than this are rare.
const MOST: usize = 4;

/// Longer text is not worth a copy. Places in it fit in 16 bits.
const LONGEST: usize = 4096;

/// Arguments as text, and where each is.
#[derive(Debug, Clone)]
pub struct PlainArguments {
    /// ASCII.
    text: Vec<u8>,
    members: [Member; MOST],
    count: usize,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    name: Span,
    value: Value,
}

/// Where something is in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// The place from `start` on, before `end`; none beyond [`LONGEST`].
    #[inline(always)]
    pub(super) fn new(start: usize, end: usize) -> Option<Self> {
        let end = u16::try_from(end).ok()?;
        let start = u16::try_from(start).ok()?;
        Some(Span { start, end })
    }

    #[inline(always)]
    fn of(self, text: &[u8]) -> &[u8] {
        let place = usize::from(self.start)..usize::from(self.end);
        text.get(place).unwrap_or_default()
    }
}

/// A value as it is noted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Text(Span),
    Null,
    Bool(bool),
    Num(QNum),
}

/// None of a container, nor of a string: those are somewhere in the text.
impl TryFrom<QObject> for Value {
    type Error = ();

    #[inline]
    fn try_from(value: QObject) -> Result<Self, ()> {
        match value {
            QObject::Null => Ok(Value::Null),
            QObject::Bool(value) => Ok(Value::Bool(value)),
            QObject::Num(value) => Ok(Value::Num(value)),
            QObject::String(_) | QObject::List(_) | QObject::Dict(_) => Err(()),
        }
    }
}

const NOTHING: Member = Member {
    name: Span { start: 0, end: 0 },
    value: Value::Null,
};

impl Default for PlainArguments {
    fn default() -> Self {
        PlainArguments {
            text: Vec::new(),
            members: [NOTHING; MOST],
            count: 0,
        }
    }
}

impl PlainArguments {
    /// As much of the input as arguments may take.
    #[inline(always)]
    pub(super) fn window(input: &[u8]) -> &[u8] {
        &input[..input.len().min(LONGEST)]
    }

    /// Forgets the former members.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.count = 0;
    }

    /// Whether no member is noted.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Notes a member, whose places are those in `text`. False if it is one too many or
    /// its name is there already.
    #[inline(always)]
    pub(super) fn push(&mut self, text: &[u8], name: Span, value: Value) -> bool {
        let (known, rest) = self.members.split_at_mut(self.count.min(MOST));
        let Some(place) = rest.first_mut() else {
            return false;
        };
        if known.iter().any(|one| one.name.of(text) == name.of(text)) {
            return false;
        }
        *place = Member { name, value };
        self.count += 1;
        true
    }

    /// Takes the text that the places of the members are in, all of them ASCII.
    #[inline(always)]
    pub(super) fn end(&mut self, text: &[u8]) {
        debug_assert!(text.is_ascii());
        self.text.clear();
        self.text.extend_from_slice(text);
    }

    #[inline(always)]
    fn members(&self) -> &[Member] {
        &self.members[..self.count.min(MOST)]
    }

    #[inline(always)]
    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(span.of(&self.text)).unwrap_or_default()
    }

    pub(super) fn to_dict(&self) -> QDict {
        let mut dict = QDict::with_capacity(self.count);
        for member in self.members() {
            let value = match member.value {
                Value::Text(span) => QObject::String(self.text(span).to_owned()),
                Value::Null => QObject::Null,
                Value::Bool(value) => QObject::Bool(value),
                Value::Num(value) => QObject::Num(value),
            };
            dict.try_insert(Name::new(self.text(member.name)), value);
        }
        dict
    }

    /// Reads the members one by one.
    #[inline(always)]
    pub(super) fn reader(&self) -> PlainReader<'_> {
        PlainReader {
            args: self,
            taken: 0,
        }
    }
}

/// Reads plain arguments into a command's parameters. Where it returns `None`, the
/// arguments are read again by an [`InputVisitor`](super::visit::InputVisitor), which
/// knows the error if there is one.
#[derive(Debug)]
pub struct PlainReader<'a> {
    args: &'a PlainArguments,
    taken: usize,
}

impl<'a> PlainReader<'a> {
    /// The argument of that name.
    #[inline(always)]
    pub fn member<T: PlainArg<'a>>(&mut self, name: &str) -> Option<T> {
        T::of(self.take(name))
    }

    /// A text, not copied.
    #[inline(always)]
    pub fn text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        self.member(name)
    }

    /// A text, not copied, that may be missing.
    #[inline(always)]
    pub fn optional_text(&mut self, name: &str) -> Option<Option<Cow<'a, str>>> {
        self.member(name)
    }

    #[inline(always)]
    fn take(&mut self, name: &str) -> Option<PlainValue<'a>> {
        let (args, text) = (self.args, &self.args.text);
        let mut members = args.members().iter();
        let member = members.find(|member| member.name.of(text) == name.as_bytes())?;
        self.taken += 1;
        Some(match member.value {
            Value::Text(span) => PlainValue::Text(args.text(span)),
            Value::Null => PlainValue::Null,
            Value::Bool(value) => PlainValue::Bool(value),
            Value::Num(value) => PlainValue::Num(value),
        })
    }

    /// Whether each argument was asked for. No two parameters have the same name.
    #[inline(always)]
    pub(super) fn is_done(&self) -> bool {
        self.taken == self.args.count
    }
}

/// The value of a plain argument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PlainValue<'a> {
    /// A string.
    Text(&'a str),
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Num(QNum),
}

/// A type that a [`PlainReader`] reads: a built-in scalar of the schema language, or such a
/// one that may be missing.
pub trait PlainArg<'a>: Sized {
    /// Takes the value as [`InputVisitor`](super::visit::InputVisitor) does; `None` if the
    /// visitor reports an error.
    fn of(value: Option<PlainValue<'a>>) -> Option<Self>;
}

macro_rules! plain {
    ($($type:ty: $($pattern:pat => $value:expr),+;)*) => {$(
        impl<'a> PlainArg<'a> for $type {
            #[inline(always)]
            fn of(value: Option<PlainValue<'a>>) -> Option<Self> {
                match value? {
                    $($pattern => $value,)+
                    _ => None,
                }
            }
        }
    )*};
}

plain! {
    Cow<'a, str>: PlainValue::Text(text) => Some(Cow::Borrowed(text));
    String: PlainValue::Text(text) => Some(text.to_owned());
    bool: PlainValue::Bool(value) => Some(value);
    i64: PlainValue::Num(QNum::I64(value)) => Some(value);
    // Negative ones wrap around.
    u64: PlainValue::Num(QNum::I64(value)) => Some(value as u64),
        PlainValue::Num(QNum::U64(value)) => Some(value);
    f64: PlainValue::Num(QNum::I64(value)) => Some(value as f64),
        PlainValue::Num(QNum::U64(value)) => Some(value as f64),
        PlainValue::Num(QNum::Double(value)) => Some(value);
}

macro_rules! narrow {
    ($($type:ty: $wide:ty;)*) => {$(
        impl<'a> PlainArg<'a> for $type {
            #[inline]
            fn of(value: Option<PlainValue<'a>>) -> Option<Self> {
                <$wide>::of(value)?.try_into().ok()
            }
        }
    )*};
}

narrow! {
    i8: i64;
    i16: i64;
    i32: i64;
    u8: u64;
    u16: u64;
    u32: u64;
}

impl<'a, T: PlainArg<'a>> PlainArg<'a> for Option<T> {
    #[inline(always)]
    fn of(value: Option<PlainValue<'a>>) -> Option<Self> {
        match value {
            None => Some(None),
            value => T::of(value).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qapi::json::JsonMessageParser;
    use crate::qapi::visit::{InputVisitor, QapiType};
    use crate::qapi::CompatPolicy;
    use proptest::prelude::*;

    fn arguments(text: &str) -> Arguments {
        let request = format!("{{\"execute\": \"x\", \"arguments\": {text}}}\n");
        let plain = JsonMessageParser::default()
            .plain_request(request.as_bytes())
            .map(|request| request.arguments);
        plain.unwrap_or_default()
    }

    /// Both ways, of arguments that are plain.
    #[track_caller]
    fn both<T>(text: &str)
    where
        T: for<'a> PlainArg<'a> + QapiType + PartialEq + std::fmt::Debug,
    {
        let arguments = arguments(text);
        let Arguments::Plain(plain) = &arguments else {
            panic!("{text} is not plain");
        };
        let mut reader = plain.reader();
        let fast: Option<T> = reader.member("a");
        let fast = fast.filter(|_| reader.is_done());
        let dict = QDict::from(arguments.clone());
        let mut v = InputVisitor::inside(dict, false, CompatPolicy::default());
        let slow = v.member("a").and_then(|value: T| {
            v.end_struct()?;
            Ok(value)
        });
        assert_eq!(fast, slow.ok(), "{text}");
    }

    fn both_as_all(text: &str) {
        both::<String>(text);
        both::<Option<String>>(text);
        both::<bool>(text);
        both::<Option<bool>>(text);
        both::<i64>(text);
        both::<u64>(text);
        both::<f64>(text);
        both::<i8>(text);
        both::<i16>(text);
        both::<i32>(text);
        both::<u8>(text);
        both::<u16>(text);
        both::<Option<u32>>(text);
    }

    fn member() -> impl Strategy<Value = String> {
        let values = prop_oneof![
            "\"[a-z ]{0,9}\"",
            any::<i64>().prop_map(|n| n.to_string()),
            any::<u64>().prop_map(|n| n.to_string()),
            (-300..70_000_i32).prop_map(|n| n.to_string()),
            Just("1.5e3".to_owned()),
            Just("-0.0".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            Just("null".to_owned()),
        ];
        ("[abc]", " ?", values)
            .prop_map(|(name, blank, value)| format!("\"{name}\":{blank}{value}"))
    }

    proptest! {
        #[test]
        fn a_reader_takes_what_a_visitor_takes(members in prop::collection::vec(member(), 0..3)) {
            let text = format!("{{{}}}", members.join(", "));
            // A name that is there twice is an error of the parser's.
            if matches!(arguments(&text), Arguments::Plain(_)) {
                both_as_all(&text);
            } else {
                prop_assert!(members.len() > 1);
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_a_dictionary() {
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(LONGEST));
        for (text, plain) in [
            ("{}", true),
            (r#"{"a": 1, "b": "x", "c": null, "d": true}"#, true),
            (r#"{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}"#, false),
            (r#"{"a": "\n"}"#, false),
            (r#"{"a": "é"}"#, false),
            (&long, false),
        ] {
            let arguments = arguments(text);
            assert_eq!(matches!(arguments, Arguments::Plain(_)), plain, "{text}");
            assert_eq!(arguments.is_empty(), text == "{}", "{text}");
            let read = crate::qapi::json::qobject_from_json(text.as_bytes()).unwrap();
            assert_eq!(QObject::Dict(arguments.into()), read);
        }
    }
}
