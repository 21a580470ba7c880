//! What a watch waits for, and what it is told.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

/// A set of fd conditions, QEMU's `GIOCondition`: what a watch asks for and
/// what its callback is given.
///
/// `HUP` and `ERR` are always reported, asked for or not, as poll(2) does.
///
/// ```
/// use qmonitor::main_loop::Condition;
/// let both = Condition::IN | Condition::HUP;
/// assert!(both.contains(Condition::IN));
/// assert_eq!(both - Condition::HUP, Condition::IN);
/// assert_eq!(format!("{both:?}"), "IN|HUP");
/// assert!(Condition::empty().is_empty());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Condition(u8);

impl Condition {
    /// There is something to read, or the end of the stream.
    pub const IN: Self = Self(1);
    /// There is urgent data (TCP out-of-band, pty packet mode).
    pub const PRI: Self = Self(2);
    /// A write would not block.
    pub const OUT: Self = Self(4);
    /// The fd is in error, or the reader of a pipe is gone.
    pub const ERR: Self = Self(8);
    /// The peer hung up. Given only once there is nothing left to read; see
    /// the [module page](crate::main_loop#hang-up-after-the-last-data).
    pub const HUP: Self = Self(16);

    /// The set with nothing in it.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// True if nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if any of `other` is in the set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Condition {
    const ALL: u8 = 31;

    /// The set as poll(2) and epoll(7) number its members: a wait converts that of each fd.
    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    /// The members among bits of poll(2) or epoll(7).
    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL)
    }

    /// `|` for constants.
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Condition {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl BitOrAssign for Condition {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Condition {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// The set without the other's members.
impl Sub for Condition {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Condition, &str); 5] = [
            (Condition::IN, "IN"),
            (Condition::PRI, "PRI"),
            (Condition::OUT, "OUT"),
            (Condition::ERR, "ERR"),
            (Condition::HUP, "HUP"),
        ];
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut separator = "";
        for (condition, name) in NAMES {
            if self.contains(condition) {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        Ok(())
    }
}
