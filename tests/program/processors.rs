//! The processor that a line is about.

use serde_json::json;

use crate::common::{Client, Server};

#[test]
fn a_monitor_chooses_its_processor_and_a_command_brings_its_own() {
    let server = Server::start(&[
        "-M",
        "pc",
        "-S",
        "-smp",
        "2",
        "-monitor",
        "unix:{dir}/m,server=on,wait=off",
    ]);
    let mut client = server.qmp();
    let mut line = |text: &str, cpu: i64| {
        let arguments = json!({"command-line": text, "cpu-index": cpu});
        let reply = client.call("human-monitor-command", arguments);
        match reply["return"].as_str() {
            Some(text) => text.replace('\r', ""),
            None => reply["error"]["desc"].as_str().expect("a text").to_owned(),
        }
    };
    assert!(line("info cpus", 1).starts_with("  CPU #0: "));
    assert!(line("info registers", 1).starts_with("\nCPU#1\nEAX=00000000 "));
    assert_eq!(
        line("x /2 0", 0),
        "0000000000000000: 0x00000000 0x00000000\n"
    );
    let wrong = "Parameter 'cpu-index' expects a CPU number";
    assert_eq!(line("info status", 2), wrong);
    assert_eq!(line("info status", -1), wrong);

    let mut human = Client::connect(&server.path("m"));
    human.until("(qemu) ");
    let mut type_in = |line: &str| {
        human.send(format!("{line}\n"));
        human.until("\n");
        human.until("(qemu) ")
    };
    assert!(type_in("info cpus").starts_with("* CPU #0: "));
    assert!(type_in("cpu 2").starts_with("invalid CPU index\r\n"));
    assert_eq!(type_in("cpu 1"), "(qemu) ");
    assert!(type_in("info cpus").starts_with("  CPU #0: "));
    // Other lines keep their own.
    assert!(line("info cpus", 0).starts_with("* CPU #0: "));
}
