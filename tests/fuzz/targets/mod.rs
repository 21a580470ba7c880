//! The targets of the fuzzers: functions that take any bytes and panic if a
//! property does not hold. In the crate `fuzz/` libFuzzer calls them;
//! `tests/fuzz` calls them with the kept corpora.

mod devices;
mod harmless;
mod hmp;
mod json_stream;
mod options;
mod script;
mod session;
mod telnet;
mod websocket;

pub use devices::devices;
pub use hmp::hmp;
pub use json_stream::json_stream;
pub use options::options;
pub use session::session;
pub use telnet::telnet;
pub use websocket::websocket;

/// Cuts input into pieces of 1 to 16 bytes, the same for the same `seed`.
fn pieces(mut input: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut state = u32::from(seed);
    let mut pieces = Vec::new();
    while !input.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let len = (1 + (state >> 28) as usize).min(input.len());
        pieces.push(&input[..len]);
        input = &input[len..];
    }
    pieces
}
