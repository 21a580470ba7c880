//! The writer: JSON as QEMU prints it.
//!
//! The output is pure ASCII. A character above 0x7E, DEL included, becomes `\uXXXX`
//! with upper-case digits, beyond the BMP a surrogate pair. Noncharacters, which
//! QEMU treats as bad encoding, print as `\uFFFD`. The compact form separates with
//! `", "` and `": "`. The pretty form has four spaces per level, and an empty
//! container takes two lines. On the wire every line ends in CR LF.

use super::super::qobject::{MemberOrder, QDict, QObject, Ties};
use super::emit::Output;
use super::name::MemberName;
use super::number;
use super::scan;

/// Writes JSON into a buffer and places commas, colons and line ends
/// (`JSONWriter`).
///
/// Values are written in order; inside an object each is preceded by its
/// [`key`](JsonWriter::key).
///
/// ```
/// use qmonitor::qapi::json::JsonWriter;
///
/// let mut w = JsonWriter::new(false);
/// w.begin_object();
/// w.key("return");
/// w.begin_array();
/// w.i64(-1);
/// w.string("é");
/// w.end_array();
/// w.end_object();
/// w.newline();
/// assert_eq!(w.as_bytes(), b"{\"return\": [-1, \"\\u00E9\"]}\r\n");
/// ```
#[derive(Debug)]
pub struct JsonWriter {
    out: Output,
    pretty: bool,
    /// Lines end in CR LF, not in a bare newline.
    crlf: bool,
    depth: usize,
    /// The next name or value needs a comma in front.
    comma: bool,
    /// In pretty form, the next value goes on the line of its name.
    after_key: bool,
}

/// The capacity that an empty writer may keep.
const IDLE_CAPACITY: usize = 64 * 1024;

/// Output of this many bytes is rather moved than copied.
const LARGE: usize = 4096;

impl JsonWriter {
    /// A writer with an empty buffer, for the wire: lines end in CR LF.
    pub fn new(pretty: bool) -> Self {
        Self::with_line_end(pretty, true)
    }

    fn with_line_end(pretty: bool, crlf: bool) -> Self {
        JsonWriter {
            out: Output::new(),
            pretty,
            crlf,
            depth: 0,
            comma: false,
            after_key: false,
        }
    }

    /// Chooses the form of the output that follows. Call it between values only.
    pub fn set_pretty(&mut self, pretty: bool) {
        self.pretty = pretty;
    }

    /// Chooses how long the output may become. Where it can be much longer than what
    /// is written, because of layout or escapes, output beyond the limit is dropped
    /// at once; [`is_over_limit`](Self::is_over_limit) tells in the end.
    pub fn set_limit(&mut self, limit: usize) {
        self.out.limit = limit;
    }

    /// Chooses the order in which members of the [`QObject`]s that follow are written.
    pub fn set_member_order(&mut self, order: MemberOrder) {
        self.out.order = order;
    }

    /// Whether the output is or was longer than the limit.
    pub fn is_over_limit(&self) -> bool {
        self.out.was_too_long || self.out.bytes.len() > self.out.limit
    }

    /// The output so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out.bytes
    }

    /// Takes the output and starts anew.
    pub fn take(&mut self) -> Vec<u8> {
        let out = std::mem::take(&mut self.out.bytes);
        self.clear();
        out
    }

    /// Moves the output to the end of `buffer` and starts anew. A large output is not
    /// copied if the buffer is empty.
    #[inline]
    pub fn append_to(&mut self, buffer: &mut Vec<u8>) {
        if buffer.is_empty() && self.out.bytes.len() > LARGE {
            std::mem::swap(buffer, &mut self.out.bytes);
        } else {
            buffer.extend_from_slice(&self.out.bytes);
        }
        self.clear();
    }

    /// Drops the output and starts anew. The buffer is kept, unless it has become
    /// large.
    #[inline]
    pub fn clear(&mut self) {
        self.out.bytes.clear();
        if self.out.bytes.capacity() > IDLE_CAPACITY {
            self.out.bytes = Vec::new();
        }
        self.out.was_too_long = false;
        self.depth = 0;
        self.comma = false;
        self.after_key = false;
    }

    /// Ends the line after a complete value.
    #[inline]
    pub fn newline(&mut self) {
        if self.crlf {
            self.out.bytes.extend_from_slice(b"\r\n");
        } else {
            self.out.bytes.push(b'\n');
        }
    }

    fn break_line(&mut self) {
        if self.out.drop_too_long(4 * self.depth) {
            return;
        }
        self.newline();
        self.out
            .bytes
            .resize(self.out.bytes.len() + 4 * self.depth, b' ');
    }

    /// Writes the separator and layout in front of a name or value, and its first
    /// byte.
    #[inline(always)]
    fn start(&mut self, byte: u8) {
        if self.pretty {
            self.start_line();
            self.out.bytes.push(byte);
        } else if self.comma {
            self.out.bytes.extend_from_slice(&[b',', b' ', byte]);
        } else {
            self.out.bytes.push(byte);
        }
        self.comma = self.depth > 0;
    }

    /// Writes the separator and layout in front of a value.
    #[inline(always)]
    fn separate(&mut self) {
        if self.pretty {
            self.start_line();
        } else if self.comma {
            self.out.bytes.extend_from_slice(b", ");
        }
        self.comma = self.depth > 0;
    }

    fn start_line(&mut self) {
        if std::mem::take(&mut self.after_key) || self.depth == 0 {
            return;
        }
        if self.comma {
            self.out.bytes.push(b',');
        }
        self.break_line();
    }

    #[inline(always)]
    fn begin(&mut self, bracket: u8) {
        self.start(bracket);
        self.depth += 1;
        self.comma = false;
    }

    #[inline(always)]
    fn end(&mut self, bracket: u8) {
        self.depth = self.depth.saturating_sub(1);
        self.comma = self.depth > 0;
        if self.pretty {
            self.break_line();
        }
        self.out.bytes.push(bracket);
    }

    /// Opens an object.
    #[inline]
    pub fn begin_object(&mut self) {
        self.begin(b'{');
    }

    /// Closes the innermost container, which must be an object.
    #[inline]
    pub fn end_object(&mut self) {
        self.end(b'}');
    }

    /// Opens an array.
    #[inline]
    pub fn begin_array(&mut self) {
        self.begin(b'[');
    }

    /// Closes the innermost container, which must be an array.
    #[inline]
    pub fn end_array(&mut self) {
        self.end(b']');
    }

    /// Writes the name of the member whose value comes next.
    pub fn key(&mut self, name: &str) {
        self.separate();
        self.out.name(name);
        self.comma = false;
        self.after_key = self.pretty;
    }

    /// Writes a name that was prepared for it; [`MemberName::NONE`] writes nothing.
    #[inline(always)]
    pub fn member_name(&mut self, name: MemberName) {
        if name.is_none() {
            return;
        }
        if self.pretty {
            return self.key(name.as_str());
        }
        // In two calls each length is known where the name is.
        if self.comma {
            self.out.bytes.extend_from_slice(name.separated());
        } else {
            self.out.bytes.extend_from_slice(name.first());
        }
        self.comma = false;
    }

    /// Writes a string.
    pub fn string(&mut self, value: &str) {
        self.separate();
        self.out.string(value);
    }

    /// Writes a signed integer.
    #[inline(always)]
    pub fn i64(&mut self, value: i64) {
        self.separate();
        match value {
            0..=9 => self.out.bytes.push(b'0' + value as u8),
            _ => self.large_i64(value),
        }
    }

    #[inline(never)]
    fn large_i64(&mut self, value: i64) {
        number::write_i64(&mut self.out.bytes, value);
    }

    /// Writes an unsigned integer.
    pub fn u64(&mut self, value: u64) {
        self.separate();
        number::write_u64(&mut self.out.bytes, value);
    }

    /// Writes a double, as `%.17g` prints it; infinities are not JSON but are sent.
    pub fn f64(&mut self, value: f64) {
        self.separate();
        number::write_f64(&mut self.out.bytes, value);
    }

    /// Writes `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.separate();
        self.out.bool(value);
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.separate();
        self.out.bytes.extend_from_slice(b"null");
    }

    /// Writes any value. Members are in QEMU's order unless
    /// [`set_member_order`](Self::set_member_order) says otherwise.
    pub fn qobject(&mut self, value: &QObject) {
        if !self.pretty {
            self.separate();
            return self.out.value(value);
        }
        match value {
            QObject::List(list) => {
                self.begin_array();
                for value in list {
                    self.qobject(value);
                }
                self.end_array();
            }
            QObject::Dict(dict) => self.qdict(dict),
            scalar => {
                self.separate();
                self.out.value(scalar);
            }
        }
    }

    /// Writes an object.
    pub(crate) fn qdict(&mut self, dict: &QDict) {
        let members = dict.members();
        let start = self.out.enter(members);
        self.begin_object();
        for nth in 0..members.len() {
            let (name, value) = &members[self.out.place(start, nth)];
            self.key(name.as_str());
            self.qobject(value);
        }
        self.end_object();
        self.out.leave(start);
    }

    /// Writes a value that a client has sent, as a dictionary of QEMU gives it back: of two
    /// members in the same bucket of the hash table, the one that came last is first.
    #[inline]
    pub(crate) fn echo(&mut self, value: &QObject) {
        if !matches!(value, QObject::List(_) | QObject::Dict(_)) {
            return self.qobject(value);
        }
        self.out.ties = Ties::NewestFirst;
        self.qobject(value);
        self.out.ties = Ties::OldestFirst;
    }

    /// Writes a value that another writer produced in compact form. It is copied,
    /// or laid out anew if this writer is pretty.
    pub fn raw(&mut self, value: &[u8]) {
        if !self.pretty {
            self.separate();
            self.out.reserve_for(value.len());
            self.out.bytes.extend_from_slice(value);
            return;
        }
        let mut at = 0;
        while let Some(&byte) = value.get(at) {
            at += 1;
            match byte {
                b'{' | b'[' => self.begin(byte),
                b'}' | b']' => self.end(byte),
                b':' => {
                    self.out.bytes.extend_from_slice(b": ");
                    self.comma = false;
                    self.after_key = true;
                }
                b',' | b' ' => {}
                _ => {
                    let len = 1 + scalar_len(byte, &value[at..]);
                    self.separate();
                    self.out
                        .bytes
                        .extend_from_slice(&value[at - 1..at - 1 + len]);
                    at += len - 1;
                }
            }
        }
    }
}

/// How many more bytes the string, number or keyword has that begins with `first`.
fn scalar_len(first: u8, rest: &[u8]) -> usize {
    let mut at = 0;
    if first != b'"' {
        return rest
            .iter()
            .position(|b| matches!(b, b',' | b':' | b']' | b'}' | b' '))
            .unwrap_or(rest.len());
    }
    loop {
        at += scan::unescaped(&rest[at..]);
        match rest.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at = rest.len().min(at + 2),
            Some(_) => at += 1,
            None => return at,
        }
    }
}

/// A value as text (`qobject_to_json`, `qobject_to_json_pretty`), members as they were
/// inserted. Unlike on the wire, lines of the pretty form end in a bare newline.
///
/// ```
/// use qmonitor::qapi::json::{qobject_from_json, qobject_to_json};
///
/// let value = qobject_from_json(b"{'a': [1, 0.1]}").unwrap();
/// assert_eq!(qobject_to_json(&value, false), r#"{"a": [1, 0.10000000000000001]}"#);
/// assert_eq!(
///     qobject_to_json(&value, true),
///     "{\n    \"a\": [\n        1,\n        0.10000000000000001\n    ]\n}"
/// );
/// ```
pub fn qobject_to_json(value: &QObject, pretty: bool) -> String {
    let mut writer = JsonWriter::with_line_end(pretty, false);
    writer.set_member_order(MemberOrder::Kept);
    writer.qobject(value);
    // The writer emits only ASCII.
    String::from_utf8_lossy(&writer.out.bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::qobject_from_json;
    use super::*;

    fn wire(pretty: bool, value: &str) -> String {
        let mut writer = JsonWriter::new(pretty);
        writer.qobject(&qobject_from_json(value.as_bytes()).unwrap());
        writer.newline();
        String::from_utf8(writer.take()).unwrap()
    }

    #[test]
    fn compact_form_is_qemus() {
        // Input, and the id echoed by qemu-storage-daemon 10.0.2.
        let rows = [
            ("[1,2,[],{},[3]]", "[1, 2, [], {}, [3]]"),
            (
                "{'a':1,'b':[true,false,null]}",
                r#"{"a": 1, "b": [true, false, null]}"#,
            ),
            (
                "[0,-0,1.0,1e2,1.5,-1e-7,1e400]",
                "[0, 0, 1, 100, 1.5, -9.9999999999999995e-08, inf]",
            ),
            (
                r#""\u0000\b\f\n\r\t\u001f\u007f""#,
                r#""\u0000\b\f\n\r\t\u001F\u007F""#,
            ),
            (r#""a/b'c\"d\\e""#, r#""a/b'c\"d\\e""#),
            ("'\u{ab}\u{cd}\u{abcd}'", r#""\u00AB\u00CD\uABCD""#),
            ("'\u{1f600}\u{10fffd}'", r#""\uD83D\uDE00\uDBFF\uDFFD""#),
            ("{'\u{e9}\\n\u{e8}a':0}", r#"{"\u00E9\n\u00E8a": 0}"#),
        ];
        for (value, expected) in rows {
            assert_eq!(wire(false, value), format!("{expected}\r\n"));
        }
    }

    #[test]
    fn pretty_form_is_qemus() {
        let expected = "{\n    \"return\": {\n    },\n    \"id\": [\n        {\n        },\n        [\n        ],\n        \
            [\n            1,\n            {\n            }\n        ],\n        {\n            \"a\": {\n                \
            \"b\": [\n                ]\n            }\n        }\n    ]\n}\n";
        let value = "{'return':{},'id':[{},[],[1,{}],{'a':{'b':[]}}]}";
        assert_eq!(wire(true, value), expected.replace('\n', "\r\n"));
    }

    #[test]
    fn output_beyond_the_limit_is_dropped_on_the_way() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        let deep = qobject_from_json(deep.as_bytes()).unwrap();
        let escaped = QObject::from("\u{7f}".repeat(20_000));
        for (value, pretty) in [(deep, true), (escaped, false)] {
            let mut writer = JsonWriter::new(pretty);
            writer.set_limit(100_000);
            writer.qobject(&value);
            assert!(writer.is_over_limit());
            assert!(writer.as_bytes().len() < 100_000);
            writer.clear();
            assert!(!writer.is_over_limit());
            writer.set_limit(usize::MAX);
            writer.qobject(&value);
            assert!(!writer.is_over_limit() && writer.as_bytes().len() > 100_000);
            writer.set_limit(writer.as_bytes().len());
            assert!(!writer.is_over_limit());
            writer.bool(true);
            assert!(writer.is_over_limit());
        }
    }

    #[test]
    fn noncharacters_are_replaced() {
        let mut writer = JsonWriter::new(false);
        writer.string("a\u{ffff}\u{fdd0}\u{1fffe}z");
        assert_eq!(writer.as_bytes(), br#""a\uFFFD\uFFFD\uFFFDz""#);
    }

    #[test]
    fn values_side_by_side_need_no_comma() {
        for pretty in [false, true] {
            let mut writer = JsonWriter::new(pretty);
            writer.i64(i64::MIN);
            writer.newline();
            writer.u64(u64::MAX);
            writer.newline();
            writer.null();
            writer.newline();
            let expected = b"-9223372036854775808\r\n18446744073709551615\r\nnull\r\n";
            assert_eq!(writer.as_bytes(), expected);
            writer.clear();
            writer.begin_array();
            writer.clear();
            writer.set_pretty(false);
            writer.bool(true);
            assert_eq!(writer.take(), b"true");
            assert_eq!(writer.take(), b"");
        }
    }
}
