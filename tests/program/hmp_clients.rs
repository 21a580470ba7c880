//! HMP as software written for QEMU uses it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::hmp_session::{ask, human, server};
use crate::common::Server;

/// A virtual machine as GNS3 starts it, its monitor on a TCP port.
struct Gns3 {
    server: Server,
    address: String,
}

impl Gns3 {
    fn start() -> Gns3 {
        let server = Server::start(&[
            "-monitor",
            "tcp:127.0.0.1:0,server=on,wait=off",
            "-netdev",
            "hubport,id=gns3-0,hubid=0",
        ]);
        let chardevs = server.qmp().ask("query-chardev");
        let names = chardevs.as_array().into_iter().flatten();
        let address = names
            .filter_map(|chardev| chardev["filename"].as_str())
            .find_map(|name| name.strip_prefix("disconnected:tcp:"))
            .and_then(|name| name.strip_suffix(",server=on"))
            .expect("the monitor's address")
            .to_owned();
        Gns3 { server, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the monitor listens");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a timeout");
        stream
    }

    /// Sends all commands at once and leaves without reading a byte.
    fn control(&self, commands: &str) {
        let mut stream = self.connect();
        stream.write_all(commands.as_bytes()).expect("room");
    }

    /// Sends one command and reads lines until one contains one of the words.
    /// The banner and the echo are among the lines.
    fn ask(&self, command: &str, expected: &[&str]) -> String {
        let mut reader = BufReader::new(self.connect());
        let stream = reader.get_mut();
        stream.write_all(command.as_bytes()).expect("room");
        stream.write_all(b"\n").expect("room");
        for line in reader.lines() {
            let line = line.expect("a line in time");
            if expected.iter().any(|word| line.contains(word)) {
                return line;
            }
        }
        panic!("none of {expected:?}");
    }
}

/// GNS3 connects anew for each command, sends it with LF, and closes the
/// connection as soon as it sees the word it looks for, or at once if it looks
/// for none. The monitor has to carry out every command.
#[test]
fn clients_that_send_and_leave_are_served_as_gns3_needs_it() {
    let vm = Gns3::start();
    let status = ["running", "paused"];
    for _ in 0..20 {
        vm.control("stop\n");
        assert_eq!(vm.ask("info status", &status), "VM status: paused");
        vm.control("set_link gns3-0 off\nset_link gns3-0 on\ncont\n");
        assert_eq!(vm.ask("info status", &status), "VM status: running");
    }
    assert_eq!(
        vm.ask("savevm GNS3_SAVED_STATE123", &["Error: "]),
        "Error: no block device can store vmstate for snapshot"
    );
    vm.control("system_powerdown\n");
    // Its answers fit into no buffer, and the client reads none.
    vm.control(&("help\n".repeat(500) + "stop\n"));
    assert_eq!(vm.ask("info status", &status), "VM status: paused");
    vm.control("quit\n");
    assert_eq!(vm.server.finish().status.code(), Some(0));
}

/// The same over one connection: banner, then each line's answer up to the
/// prompt, also when all lines come in one burst behind the banner.
#[test]
fn a_burst_over_tcp_is_answered_line_by_line() {
    let vm = Gns3::start();
    let mut stream = vm.connect();
    stream
        .write_all(b"stop\ninfo status\nset_link gns3-1 off\ncont\ninfo network\nquit\n")
        .expect("room");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the end in time");
    let answers: Vec<&str> = text
        .split("\r\n(qemu) ")
        .map(|part| {
            part.rsplit_once("\x1b[K\r\n")
                .map_or("", |(_, answer)| answer)
        })
        .collect();
    let expected = [
        "",
        "",
        "VM status: paused",
        "Error: Device 'gns3-1' not found",
        "",
        "hub 0\r\n \\ gns3-0",
    ];
    assert_eq!(answers[..expected.len()], expected);
}

/// Proxmox runs HMP commands through QMP and looks at their output: no output
/// means success, and it knows some errors by their text.
#[test]
fn proxmox_reads_success_and_failure_from_the_output() {
    let server = server(&["-netdev", "hubport,id=net0,hubid=0"]);
    let mut qmp = server.qmp();
    let mut run = |line: &str| {
        let output = qmp.ask_with("human-monitor-command", json!({"command-line": line}));
        output.as_str().expect("text").to_owned()
    };
    assert_eq!(run("set_link net0 off"), "");
    assert_eq!(run("set_link net0 on"), "");
    assert_eq!(run("info version").lines().count(), 1);
    assert_eq!(
        run("drive_del drive-scsi1"),
        "Device 'drive-scsi1' not found\r\n"
    );
    assert_eq!(
        run("netdev_add hubport,id=net1,hubid=1\nnonsense"),
        "netdev_add: extraneous characters at the end of line\r\n\
         Try \"help netdev_add\" for more information\r\n"
    );
    assert_eq!(run("netdev_add hubport,id=net1,hubid=1"), "");
    assert_eq!(run("netdev_del net1"), "");
    assert_eq!(run("netdev_del net1"), "Error: Device 'net1' not found\r\n");
    assert_eq!(
        run("savevm before"),
        "Error: no block device can store vmstate for snapshot\r\n"
    );
    assert_eq!(
        run("info snapshots"),
        "no block device can store vmstate for snapshot\r\n"
    );
}

/// A management program keeps one connection and reads up to the prompt each
/// time.
#[test]
fn an_exchange_as_management_software_has_it() {
    let server = server(&["-netdev", "hubport,id=gns3-0,hubid=0"]);
    let mut client = human(&server);
    assert_eq!(ask(&mut client, "set_link gns3-0 off"), "");
    assert_eq!(
        ask(&mut client, "set_link gns3-1 off"),
        "Error: Device 'gns3-1' not found\n"
    );
    assert_eq!(ask(&mut client, "info network"), "hub 0\n \\ gns3-0\n");
    assert_eq!(ask(&mut client, "stop"), "");
    assert_eq!(ask(&mut client, "info status"), "VM status: paused\n");
    assert_eq!(ask(&mut client, "cont"), "");
    assert_eq!(ask(&mut client, "info status"), "VM status: running\n");
    assert_eq!(ask(&mut client, "system_reset"), "");
    assert_eq!(
        ask(&mut client, "savevm gns3"),
        "Error: no block device can store vmstate for snapshot\n"
    );
    assert_eq!(ask(&mut client, "system_powerdown"), "");
    client.send("quit\n");
    client.until("quit\x1b[K\r\n");
    assert_eq!(client.expect_close(), "");
}
