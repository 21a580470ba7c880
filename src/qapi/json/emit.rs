//! The output of the writer: values as bytes in compact form, without layout.
//!
//! Most strings of a reply are short and need no escape. They are examined and
//! copied by the word in one go: a call of a copying routine would cost more than
//! the copy. The last word is written in full and its excess taken back.

use super::super::qobject::{MemberOrder, Name, Places, QDict, QNum, QObject, Ties};
use super::number;
use super::scan;
use super::utf8::is_noncharacter;

/// Longer strings are worth a scan of their own and a single copy.
const SHORT: usize = 48;

/// Output up to a limit.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    /// The output is not wanted if it is longer.
    pub(super) limit: usize,
    /// It was dropped because of that.
    pub(super) was_too_long: bool,
    pub(super) order: MemberOrder,
    pub(super) ties: Ties,
    places: Places,
}

impl Output {
    pub(super) fn new() -> Self {
        Output {
            bytes: Vec::new(),
            limit: usize::MAX,
            was_too_long: false,
            order: MemberOrder::Qemu,
            ties: Ties::OldestFirst,
            places: Places::default(),
        }
    }

    /// Drops the output if it is too long, or would be with `more` bytes. Returns
    /// whether that has happened.
    pub(super) fn drop_too_long(&mut self, more: usize) -> bool {
        if self.bytes.len().saturating_add(more) > self.limit {
            self.bytes = Vec::new();
            self.was_too_long = true;
        }
        self.was_too_long
    }

    /// Appends a string between quotes.
    #[inline]
    pub(super) fn string(&mut self, text: &str) {
        self.quoted(text.as_bytes(), || text, *b"\"");
    }

    /// Appends the name of a member, and the colon.
    #[inline]
    pub(super) fn name(&mut self, text: &str) {
        self.quoted(text.as_bytes(), || text, *b"\": ");
    }

    #[inline(always)]
    fn quoted<'t, const N: usize>(
        &mut self,
        bytes: &[u8],
        text: impl FnOnce() -> &'t str,
        end: [u8; N],
    ) {
        let is_plain = match bytes.len() {
            8..=16 if pair::<8, 24, N>(&mut self.bytes, bytes, end) => return,
            17..=32 if pair::<16, 40, N>(&mut self.bytes, bytes, end) => return,
            8..=32 => false,
            len => len <= SHORT,
        };
        self.bytes.push(b'"');
        if !is_plain || !short(&mut self.bytes, bytes) {
            self.long(text());
        }
        self.bytes.extend_from_slice(&end);
    }

    /// Makes room for so many bytes, and for the few that end a message: those shall not
    /// move what is long.
    #[inline]
    pub(super) fn reserve_for(&mut self, len: usize) {
        self.bytes.reserve(len + SHORT);
    }

    /// Appends the text between the quotes.
    fn long(&mut self, text: &str) {
        self.reserve_for(text.len());
        let plain = scan::unescaped(text.as_bytes());
        self.bytes.extend_from_slice(&text.as_bytes()[..plain]);
        if plain < text.len() {
            self.escaped(&text[plain..]);
        }
    }

    /// Appends the rest of a string, starting at the first character that needs an
    /// escape.
    fn escaped(&mut self, text: &str) {
        if self.drop_too_long(text.len()) {
            return;
        }
        self.bytes.reserve(text.len() * 3);
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if self.drop_too_long(0) {
                return;
            }
            if (' '..'\u{7f}').contains(&c) && c != '"' && c != '\\' {
                let plain = scan::unescaped(rest.as_bytes());
                self.bytes.extend_from_slice(&rest.as_bytes()[..plain]);
                rest = &rest[plain..];
            } else {
                escape(&mut self.bytes, c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }

    /// Appends `true` or `false`.
    #[inline]
    pub(super) fn bool(&mut self, value: bool) {
        // In two calls each length is known.
        if value {
            self.bytes.extend_from_slice(b"true");
        } else {
            self.bytes.extend_from_slice(b"false");
        }
    }

    /// Appends a value. Only containers recurse.
    #[inline(always)]
    pub(super) fn value(&mut self, value: &QObject) {
        match value {
            QObject::Null => self.bytes.extend_from_slice(b"null"),
            QObject::Bool(value) => self.bool(*value),
            QObject::Num(QNum::I64(value)) => number::write_i64(&mut self.bytes, *value),
            QObject::Num(QNum::U64(value)) => number::write_u64(&mut self.bytes, *value),
            QObject::Num(QNum::Double(value)) => number::write_f64(&mut self.bytes, *value),
            QObject::String(value) => self.string(value),
            QObject::List(list) => self.list(list),
            QObject::Dict(dict) => self.dict(dict),
        }
    }

    fn list(&mut self, list: &[QObject]) {
        self.bytes.push(b'[');
        for (i, value) in list.iter().enumerate() {
            if i > 0 {
                self.bytes.extend_from_slice(b", ");
            }
            self.value(value);
        }
        self.bytes.push(b']');
    }

    fn dict(&mut self, dict: &QDict) {
        let members = dict.members();
        let start = self.enter(members);
        self.bytes.push(b'{');
        for nth in 0..members.len() {
            if nth > 0 {
                self.bytes.extend_from_slice(b", ");
            }
            let (name, value) = &members[self.place(start, nth)];
            self.quoted(name.as_bytes(), || name.as_str(), *b"\": ");
            self.value(value);
        }
        self.bytes.push(b'}');
        self.leave(start);
    }

    /// Enters an object: finds the order in which members are written, unless it is the one
    /// that they are in.
    #[inline(always)]
    pub(super) fn enter(&mut self, members: &[(Name, QObject)]) -> Option<usize> {
        let sorted = members.len() > 1 && self.order == MemberOrder::Qemu;
        sorted.then(|| self.places.enter(members, self.ties))
    }

    /// The place of the `nth` member of the object.
    #[inline(always)]
    pub(super) fn place(&self, start: Option<usize>, nth: usize) -> usize {
        start.map_or(nth, |start| self.places.place(start, nth, self.ties))
    }

    #[inline(always)]
    pub(super) fn leave(&mut self, start: Option<usize>) {
        if let Some(start) = start {
            self.places.leave(start);
        }
    }
}

/// Appends a text of `N` to twice `N` bytes that needs no escape, between a quote and
/// `end`: two halves, which may overlap, put together in `B` bytes and copied at once. If it
/// needs an escape, appends nothing and returns false. It stays out of line: its bytes would
/// stand once for each level of the writer's recursion.
#[inline(never)]
fn pair<const N: usize, const B: usize, const E: usize>(
    out: &mut Vec<u8>,
    text: &[u8],
    end: [u8; E],
) -> bool {
    let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else {
        return false;
    };
    if scan::any_unescaped(first) || scan::any_unescaped(last) {
        return false;
    }
    let mut quoted = [b'"'; B];
    let behind = 1 + text.len();
    quoted[1..=N].copy_from_slice(first);
    quoted[behind - N..behind].copy_from_slice(last);
    quoted[behind..behind + E].copy_from_slice(&end);
    let start = out.len();
    out.extend_from_slice(&quoted);
    out.truncate(start + behind + E);
    true
}

/// Appends a short text that needs no escape. If it needs one, appends nothing and
/// returns false.
#[inline(always)]
fn short(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let start = out.len();
    let mut rest = text;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        if scan::unescaped_in(u64::from_le_bytes(*word)) < 8 {
            out.truncate(start);
            return false;
        }
        out.extend_from_slice(word);
        rest = behind;
    }
    let word = scan::last_word(text, rest);
    if scan::unescaped_in(word) < rest.len() {
        out.truncate(start);
        return false;
    }
    out.extend_from_slice(&word.to_le_bytes());
    out.truncate(start + text.len());
    true
}

fn escape(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        c if is_noncharacter(c) => return unicode(out, 0xfffd),
        c => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                unicode(out, *unit);
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn unicode(out: &mut Vec<u8>, unit: u16) {
    let digit = |shift: u32| b"0123456789ABCDEF"[usize::from(unit >> shift & 0xf)];
    let escape = [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)];
    out.extend_from_slice(&escape);
}
