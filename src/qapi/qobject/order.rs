//! The order in which QEMU goes through the members of an object: that of its hash table.
//!
//! The table has 512 buckets. The hash is that of Samba's TDB; a new member goes to the
//! front of its bucket. The order looks arbitrary, but with it replies are the same bytes
//! as QEMU's, and of several wrong members an error names the same one.
//!
//! The schema compiler has the same function: generated code writes the members of its
//! types in this order without a hash at run time.

use super::Name;

const BUCKETS: u32 = 512;

/// The order of members of run-time objects ([`QObject`](super::QObject)) in output. Types of a schema
/// are written in QEMU's order in any case: it is compiled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemberOrder {
    /// As QEMU would write them.
    #[default]
    Qemu,
    /// As they were inserted.
    Kept,
}

/// Which of two members in the same bucket comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ties {
    /// The one inserted first. So is a dictionary whose members were inserted as they are to
    /// be written, such as a recorded reply.
    OldestFirst,
    /// The one inserted last, as in a dictionary of QEMU that was filled in this order, such
    /// as what a client sent.
    NewestFirst,
}

/// The bucket of a name. Bytes are shifted by multiples of 5 modulo 24, so only some reach
/// the bits that count.
pub(super) fn bucket(name: &[u8]) -> u32 {
    let shifted = |(i, byte): (usize, &u8)| u32::from(*byte) << (i * 5 % 24);
    let bytes = name.iter().enumerate().map(shifted);
    finish(name.len(), bytes.fold(0, u32::wrapping_add))
}

/// [`bucket`] of a name of `len` bytes with zeros behind them.
#[inline(always)]
pub(super) fn short_bucket(len: u8, bytes: &[u8; 22]) -> u32 {
    let byte = |i: usize, shift: u32| u32::from(bytes[i]) << shift;
    let sum = byte(0, 0) + byte(1, 5) + byte(5, 1) + byte(6, 6) + byte(10, 2);
    let sum = sum + byte(11, 7) + byte(15, 3) + byte(16, 8) + byte(20, 4);
    finish(len.into(), sum)
}

#[inline(always)]
fn finish(len: usize, sum: u32) -> u32 {
    let sum = (len as u32).wrapping_mul(0x238f_13af).wrapping_add(sum);
    sum.wrapping_mul(1_103_515_243).wrapping_add(12345) % BUCKETS
}

/// Up to this many members are sorted by insertion: there are two or three in most objects,
/// and they are often in order.
const FEW: usize = 16;

/// Places of members in order, for one object inside another: those of the outer one wait.
/// So a writer that recurses has them neither on its stack nor in an allocation for each.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// For each member its bucket and, in the lower half, its place. The latter is flipped if
    /// equal buckets are sorted backwards.
    entries: Vec<u64>,
}

const FLIP: u64 = 0xffff_ffff;

impl Places {
    /// Enters an object. Returns what [`place`](Self::place) and [`leave`](Self::leave) want.
    #[inline]
    pub(crate) fn enter<T>(&mut self, members: &[(Name, T)], ties: Ties) -> usize {
        let start = self.entries.len();
        let flip = if ties == Ties::NewestFirst { FLIP } else { 0 };
        for (i, (name, _)) in (0u64..).zip(members) {
            let entry = u64::from(name.bucket()) << 32 | (i ^ flip);
            let mut at = self.entries.len();
            self.entries.push(entry);
            while members.len() <= FEW && at > start && self.entries[at - 1] > entry {
                self.entries.swap(at - 1, at);
                at -= 1;
            }
        }
        if members.len() > FEW {
            self.entries[start..].sort_unstable();
        }
        start
    }

    /// The place of the member that is the `nth` of the object.
    #[inline]
    pub(crate) fn place(&self, start: usize, nth: usize, ties: Ties) -> usize {
        let flip = if ties == Ties::NewestFirst { FLIP } else { 0 };
        ((self.entries[start + nth] & FLIP) ^ flip) as usize
    }

    /// Leaves the innermost object.
    #[inline]
    pub(crate) fn leave(&mut self, start: usize) {
        self.entries.truncate(start);
    }
}

/// The places of members in order.
pub(crate) fn order<T>(
    members: &[(Name, T)],
    ties: Ties,
) -> impl ExactSizeIterator<Item = usize> + use<T> {
    let mut places = Places::default();
    let start = places.enter(members, ties);
    (0..members.len()).map(move |nth| places.place(start, nth, ties))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qapi::QDict;

    /// Members of an `id`, and the order in which 10.0.2, 11.1.3 and the storage daemon
    /// give them back.
    const ECHOED: [(&str, &str); 6] = [
        (
            "execute arguments id exec-oob control",
            "exec-oob control execute arguments id",
        ),
        (
            "major minor micro qemu package",
            "micro minor qemu package major",
        ),
        (
            "b a d c f e",
            "d e a f b c",
        ),
        (
            "7 VI rxaR. 7kQfWv52uvEg oq.iXnLAC1lIAYJRfza0h W-rdE2oapzzQbkrc.k_z1i YylswfgItIepZEu.fUlSoU5 AZzcWQa3oBC4IPlNKnhdW2_S Fi2DmZVVrLvHdgwHvpsbgh5AX LbTKs9JrlLpi15sXvJ_SmgJqwk uCbzw86Xkw9Hid3NiMiCrnm-6h-gdVF6DV_Fekg0 0ikyexkidT88djQkPb75tX9rnSD5qyCnogpjkVnd7zVkEaGzb4Gcn1hG8OCh JqM exT",
            "uCbzw86Xkw9Hid3NiMiCrnm-6h-gdVF6DV_Fekg0 7kQfWv52uvEg LbTKs9JrlLpi15sXvJ_SmgJqwk YylswfgItIepZEu.fUlSoU5 AZzcWQa3oBC4IPlNKnhdW2_S Fi2DmZVVrLvHdgwHvpsbgh5AX VI W-rdE2oapzzQbkrc.k_z1i JqM 0ikyexkidT88djQkPb75tX9rnSD5qyCnogpjkVnd7zVkEaGzb4Gcn1hG8OCh 7 rxaR. oq.iXnLAC1lIAYJRfza0h exT",
        ),
        (
            "é ä ö€ 日本 𝒳 ßßßßßßßßßßßß éééééééééééé x",
            "ßßßßßßßßßßßß é x 日本 ö€ éééééééééééé 𝒳 ä",
        ),
        (
            "abxx abyx abxy abzz cd",
            "abzz abxy abyx abxx cd",
        ),
    ];

    fn hashed(names: &str) -> String {
        let dict: QDict = names.split(' ').map(|name| (name, 1)).collect();
        let names: Vec<&str> = dict.hashed().map(|(name, _)| name).collect();
        names.join(" ")
    }

    #[test]
    fn members_are_in_qemus_order() {
        for (sent, echoed) in ECHOED {
            assert_eq!(hashed(sent), echoed);
        }
    }

    #[test]
    fn ties_are_as_asked() {
        let dict: QDict = ["major", "minor", "micro"]
            .map(|n| (n, 1))
            .into_iter()
            .collect();
        let places = |ties| order(dict.members(), ties).collect::<Vec<_>>();
        assert_eq!(places(Ties::NewestFirst), [2, 1, 0]);
        assert_eq!(places(Ties::OldestFirst), [1, 2, 0]);
    }

    #[test]
    fn both_ways_to_a_bucket_agree() {
        for len in 0..60 {
            let name: String = (0..len)
                .map(|i| char::from(b' ' + (i * 37 % 90) as u8))
                .collect();
            assert_eq!(Name::new(&name).bucket(), bucket(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn many_members_are_sorted_as_few_are() {
        let few: Vec<String> = (0..16).map(|i| format!("k{i}")).collect();
        let many: Vec<String> = (0..5000).map(|i| format!("k{i}")).collect();
        let few = hashed(&few.join(" "));
        let many = hashed(&many.join(" "));
        let of_few = many
            .split(' ')
            .filter(|name| few.split(' ').any(|n| n == *name));
        assert_eq!(of_few.collect::<Vec<_>>().join(" "), few);
        assert_eq!(many.split(' ').count(), 5000);
    }
}
