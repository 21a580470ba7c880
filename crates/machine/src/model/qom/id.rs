//! Names of objects.

use qmonitor::slots::Key;

/// Names an object; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectId(pub(super) Key);
