//! A row: something counted, and how often it was done.

use std::cell::Cell;
use std::fmt;
use std::hint::black_box;

use super::counting::allocations;

/// What was counted, for each time it was done.
pub struct Row {
    pub name: String,
    pub instructions: f64,
    /// Not known of a whole program.
    pub allocations: Option<f64>,
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
        let allocations = self
            .allocations
            .map_or(String::new(), |n| format!("{n:.2}"));
        write!(
            f,
            "{:<46} {:>12.2} {allocations:>9} {:>7.2}",
            self.name, self.instructions, self.system_calls
        )
    }
}

thread_local! {
    /// How many allocations were counted.
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

/// Callgrind counts while this runs, and only then; so do allocations. It knows the function by its
/// name, so neither this nor the two below may be inlined.
#[inline(never)]
pub fn counted(work: &mut dyn FnMut()) {
    let before = allocations();
    work();
    ALLOCATED.set(ALLOCATED.get() + allocations() - before);
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

/// Counts what `work` has [`counted`]. Tells the process that started this one how
/// many times something was done, how many allocations there were, and the name of
/// the row.
pub fn row(name: &str, times: usize, work: impl FnOnce()) {
    row_starts();
    ALLOCATED.set(0);
    work();
    row_ends();
    println!("{times}\t{}\t{name}", ALLOCATED.get());
}
