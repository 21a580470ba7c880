//! The order in which generated code writes members: that in which QEMU goes through an
//! object, so that replies are the same bytes.
//!
//! QEMU keeps members in a hash table of 512 buckets, with the newest first in each. The
//! library has the same function for objects made at run time (`qapi::qobject::order`); a
//! test of the generated code compares the two.

/// The bucket of a member: the hash of Samba's TDB.
fn bucket(name: &str) -> u32 {
    let shifted = |(i, byte)| u32::from(byte) << (i * 5 % 24);
    let bytes = name.bytes().enumerate().map(shifted);
    let sum = bytes.fold(
        (name.len() as u32).wrapping_mul(0x238f_13af),
        u32::wrapping_add,
    );
    sum.wrapping_mul(1_103_515_243).wrapping_add(12345) % 512
}

/// Puts members, given in the order of the schema, into the order in which they are written.
pub(super) fn written<T>(mut members: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    members.reverse();
    members.sort_by_key(|member| bucket(name(member)));
    members
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn members_are_in_the_order_of_recorded_replies() {
        for (visited, recorded) in [
            ("return id error", "return id error"),
            ("major minor micro", "micro minor major"),
            (
                "label filename frontend-open",
                "frontend-open filename label",
            ),
            ("event data timestamp", "timestamp event data"),
        ] {
            let names = visited.split(' ').collect();
            assert_eq!(written(names, |name| name).join(" "), recorded);
        }
    }
}
