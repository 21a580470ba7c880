//! What a monitor allows and what it refuses, by all ways that lead there.
