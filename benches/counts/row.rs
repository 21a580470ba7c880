//! A row: something counted, and how often it was done.

use std::fmt;
use std::hint::black_box;

/// What was counted, for each time it was done.
pub struct Row {
    pub name: String,
    pub instructions: f64,
    pub allocations: f64,
    pub system_calls: f64,
}

impl Row {
    /// The name of the row of `serde_json` that does the same.
    pub fn of_serde_json(&self) -> String {
        format!("{}, serde_json", self.name)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<44} {:>13.2} {:>9.2} {:>7.2}",
            self.name, self.instructions, self.allocations, self.system_calls
        )
    }
}

/// Callgrind counts while this runs, and only then. It knows the function by its
/// name, so neither this nor the two below may be inlined.
#[inline(never)]
pub fn counted(work: &mut dyn FnMut()) {
    work();
}

/// Callgrind writes down here what it has counted between two rows.
#[inline(never)]
fn row_starts() {
    black_box("starts");
}

/// Callgrind writes down here what it has counted for a row. This differs from the function
/// above, or the linker would make one of both.
#[inline(never)]
fn row_ends() {
    black_box("ends");
}

/// Counts what `work` has [`counted`], and tells the process that started this
/// one the name of the row and how many times something was done.
pub fn row(name: &str, times: usize, work: impl FnOnce()) {
    row_starts();
    work();
    row_ends();
    println!("{times}\t{name}");
}
