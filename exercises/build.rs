//! Compiles the schema of each exercise that has one, or of its solution.

use qmonitor_qapi::build::compile_with;
use qmonitor_qapi::codegen::rust::Options;

fn main() {
    let solved = std::env::var_os("CARGO_FEATURE_SOLUTIONS").is_some();
    let folder = if solved { "solution/" } else { "" };
    for (dir, schema, name) in [
        ("07-command", "lamp", "command"),
        ("08-event", "lamp", "event"),
        ("09-hmp-row", "lamp", "hmp_row"),
        ("10-backend", "lines", "backend"),
        ("11-deferred", "lamp", "deferred"),
        ("12-out-of-band", "lamp", "out_of_band"),
    ] {
        let file = format!("{dir}/{folder}{schema}.json");
        compile_with(file, name, &Options::default());
    }
}
