//! Compiles the schema of the thermostat's commands.

fn main() {
    qmonitor_qapi::build::compile("embed.json");
}
