//! Names of members that a schema declares, ready to be written.

/// The name of a member, together with its punctuation in compact JSON.
///
/// A reply consists mostly of such names, so each is prepared when the program is
/// compiled and written with a single copy. [`member_name!`](crate::member_name)
/// makes them.
///
/// ```
/// use qmonitor::qapi::{json::MemberName, member_name};
///
/// assert_eq!(member_name!("node-name").as_str(), "node-name");
/// assert_eq!(MemberName::NONE.as_str(), "");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberName {
    /// `, "name": `, or nothing.
    separated: &'static str,
}

/// `, `
const COMMA: usize = 2;
/// `, "`
const BEFORE: usize = 3;
/// `": `
const AFTER: usize = 3;

impl MemberName {
    /// Elements of lists and the outermost value have no name.
    pub const NONE: Self = MemberName { separated: "" };

    /// The name in `separated`, which must be of the form `, "name": `. Call
    /// [`member_name!`](crate::member_name) instead.
    ///
    /// # Panics
    ///
    /// Panics if the text has another form, or the name needs an escape.
    #[doc(hidden)]
    pub const fn from_separated(separated: &'static str) -> Self {
        let bytes = separated.as_bytes();
        assert!(bytes.len() > BEFORE + AFTER);
        assert!(matches!(bytes, [b',', b' ', b'"', .., b'"', b':', b' ']));
        let mut at = BEFORE;
        while at < bytes.len() - AFTER {
            let plain = matches!(bytes[at], 0x20..=0x7e) && !matches!(bytes[at], b'"' | b'\\');
            assert!(plain, "a schema's names need no escapes");
            at += 1;
        }
        MemberName { separated }
    }

    /// The name alone.
    pub fn as_str(self) -> &'static str {
        let end = self.separated.len().saturating_sub(AFTER);
        self.separated.get(BEFORE..end).unwrap_or_default()
    }

    /// Whether there is no name.
    #[inline(always)]
    pub fn is_none(self) -> bool {
        self.separated.is_empty()
    }

    /// `, "name": `
    #[inline(always)]
    pub(super) fn separated(self) -> &'static [u8] {
        self.separated.as_bytes()
    }

    /// `"name": `
    #[inline(always)]
    pub(super) fn first(self) -> &'static [u8] {
        self.separated().get(COMMA..).unwrap_or_default()
    }
}

/// The [`MemberName`](crate::qapi::json::MemberName) of a literal.
///
/// ```compile_fail,E0080
/// qmonitor::member_name!("no \" quotes");
/// ```
#[macro_export]
macro_rules! member_name {
    ($name:literal) => {
        const {
            let separated = ::std::concat!(", \"", $name, "\": ");
            $crate::qapi::json::MemberName::from_separated(separated)
        }
    };
}
