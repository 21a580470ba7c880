//! HMP over a unix socket, as a person at a terminal or a script sees it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::{Client, Server};
use serde_json::json;

const BANNER: &str = "QEMU 10.0.2 monitor - type 'help' for more information\r\n";
const PROMPT: &str = "(qemu) ";

/// A server with a human monitor on the socket `h`, and a QMP monitor.
fn server(args: &[&str]) -> Server {
    let mut all = vec!["-monitor", "unix:{dir}/h,server=on,wait=off"];
    all.extend_from_slice(args);
    Server::start(&all)
}

/// A client of the human monitor, past the banner.
fn human(server: &Server) -> Client {
    let mut client = Client::connect(&server.path("h"));
    assert_eq!(client.until(PROMPT), format!("{BANNER}{PROMPT}"));
    client
}

/// The text that the terminal's user reads: without the echo and its redrawing.
fn ask(client: &mut Client, line: &str) -> String {
    client.send(format!("{line}\n"));
    output_of(client, line)
}

/// The output of a line that was sent.
fn output_of(client: &mut Client, line: &str) -> String {
    let end = format!("{line}\x1b[K\r\n");
    client.until(&end);
    let output = client.until(PROMPT);
    output[..output.len() - PROMPT.len()].replace("\r\n", "\n")
}

#[test]
fn help_and_info_tell_what_there_is() {
    let server = server(&["-name", "box"]);
    let mut client = human(&server);
    assert_eq!(ask(&mut client, "help stop"), "stop|s  -- stop emulation\n");
    assert_eq!(ask(&mut client, "info name"), "box\n");
    assert_eq!(ask(&mut client, "info status"), "VM status: running\n");
    let all = ask(&mut client, "help");
    for name in [
        "chardev-add args",
        "info [subcommand]",
        "quit|q ",
        "sendkey keys",
    ] {
        assert!(all.lines().any(|l| l.starts_with(name)), "{name} in {all}");
    }
    // The arguments of `drive_add` take several lines, as in QEMU.
    let continues = |line: &&str| line.starts_with(['\t', '[', ',']);
    let mut names: Vec<&str> = all.lines().filter(|l| !continues(l)).collect();
    assert!(names.is_sorted(), "{names:?}");
    names.dedup();
    assert!(names.len() > 60);
    let info = ask(&mut client, "info");
    assert_eq!(ask(&mut client, "help info"), info);
    assert!(info.contains("info chardev  -- show the character devices\n"));
    assert!(ask(&mut client, "help log").starts_with("Log items (comma separated):\nnone "));
    assert_eq!(
        ask(&mut client, "help log x"),
        "log item1[,...] -- activate logging of the specified items\n"
    );
    assert_eq!(ask(&mut client, "nosuch"), "unknown command: 'nosuch'\n");
    for (line, answer) in [
        (
            "help migrate",
            "migrate [-d] [-r] uri -- migrate to URI (using -d to not wait for completion)\n\
             \t\t\t -r to resume a paused postcopy migration\n",
        ),
        ("migrate nope", "Error: unknown migration protocol: nope\n"),
        (
            "migrate_set_capability nope on",
            "Error: invalid parameter value: nope\n",
        ),
        (
            "migrate_continue device",
            "Error: Migration not in expected state: none\n",
        ),
        ("set_password vnc a", "Error: Could not set password\n"),
        (
            "set_password vnc a fail",
            "Error: parameter 'connected' must be 'keep' when 'protocol' is 'vnc'\n",
        ),
        ("expire_password spice now", "Error: SPICE is not in use\n"),
        (
            "expire_password vnc soon",
            "Error: Parameter 'time' doesn't take value 'soon'\n",
        ),
        (
            "dump-guest-memory -z -l f",
            "Error: only one of '-z|-l|-s|-w' can be set\n",
        ),
        (
            "dump-guest-memory f 1",
            "Error: Parameter 'length' is missing\n",
        ),
        ("nbd_server_remove x", "Error: Export 'x' is not found\n"),
        ("hostfwd_add n r", "unrecognized netdev id 'n'\n"),
        ("info rocker r", "Error: rocker r not found\n"),
        (
            "info virtio-status /x",
            "Error: Path /x is not a realized VirtIODevice\n",
        ),
    ] {
        assert_eq!(ask(&mut client, line), answer, "{line}");
    }
    ask(&mut client, "migrate_set_capability events on");
    let capabilities = ask(&mut client, "info migrate_capabilities");
    assert!(capabilities.contains("events: on\npostcopy-ram: off\n"));
    assert_eq!(
        ask(&mut client, "stop now"),
        "stop|s: extraneous characters at the end of line\n\
         Try \"help stop\" for more information\n"
    );
}

#[test]
fn a_burst_is_answered_in_order() {
    let server = server(&[]);
    let mut client = human(&server);
    let numbers: Vec<String> = (1..=200).map(|n| format!("print {n}")).collect();
    client.send(numbers.join("\n") + "\n");
    for (line, n) in numbers.iter().zip(1..) {
        assert_eq!(output_of(&mut client, line), format!("{n:#x}\n"));
    }
}

#[test]
fn commands_sent_with_the_connection_wait_for_the_banner() {
    let server = server(&[]);
    let mut client = Client::connect(&server.path("h"));
    client.send("print 1\r\nprint 2\n");
    assert_eq!(client.until(PROMPT), format!("{BANNER}{PROMPT}"));
    assert_eq!(output_of(&mut client, "print 1"), "0x1\n");
    // CR LF counts as two ends of line.
    assert_eq!(client.until(PROMPT), format!("\r\n{PROMPT}"));
    assert_eq!(output_of(&mut client, "print 2"), "0x2\n");
}

#[test]
fn each_key_draws_the_line_again() {
    let server = server(&[]);
    let mut client = human(&server);
    client.send("ab");
    let typed = "a\x1b[K\x1b[Dab\x1b[K";
    assert_eq!(client.until(typed), typed);
    client.send("\x01X");
    let inserted = "\x1b[D\x1b[DXab\x1b[K\x1b[D\x1b[D";
    assert_eq!(client.until(inserted), inserted);
    // ^E ^U: the whole line is gone, nothing runs.
    client.send("\x05\x15\n");
    let cleared = "\x1b[C\x1b[C\x1b[D\x1b[D\x1b[D\x1b[K\r\n(qemu) ";
    assert_eq!(client.until(PROMPT), cleared);
}

#[test]
fn lines_are_edited_and_fetched_again() {
    let server = server(&[]);
    let mut client = human(&server);
    // "prnt", two to the left, the missing letter.
    client.send("prnt 7\x1b[D\x1b[D\x1b[D\x1b[Di\n");
    client.until("print 7\x1b[K\x1b[D\x1b[D\x1b[D\x1b[D\r\n");
    assert_eq!(client.until(PROMPT), format!("0x7\r\n{PROMPT}"));
    assert_eq!(ask(&mut client, "print 8"), "0x8\n");
    client.send("\x1b[A\x1b[A\n");
    client.until("\r\n");
    assert_eq!(client.until(PROMPT), format!("0x7\r\n{PROMPT}"));
    assert_eq!(
        ask(&mut client, "info history"),
        "0: 'print 8'\n1: 'print 7'\n2: 'info history'\n"
    );
}

#[test]
fn history_outlives_a_connection_and_a_half_typed_line_does_not() {
    let server = server(&[]);
    let mut client = human(&server);
    assert_eq!(ask(&mut client, "print 1"), "0x1\n");
    client.send("quit");
    client.until("quit\x1b[K");
    drop(client);
    let mut client = human(&server);
    assert_eq!(
        ask(&mut client, "info history"),
        "0: 'print 1'\n1: 'info history'\n"
    );
}

#[test]
fn tab_fills_in_and_lists() {
    let server = server(&["-chardev", "null,id=con0", "-chardev", "null,id=con1"]);
    let mut client = human(&server);
    client.send("chardev-rem\t");
    client.until("chardev-remove \x1b[K");
    client.send("con\t");
    let listing = "con0      con1      \r\n(qemu) chardev-remove con\x1b[K";
    client.until(&format!("\r\n{listing}"));
    client.send("1\n");
    client.until(PROMPT);
    assert!(!ask(&mut client, "info chardev").contains("con1"));
    client.send("set_link nosuch o\t");
    client.until("\r\noff       on        \r\n");
    client.until("set_link nosuch o\x1b[K");
    client.send("\x15sendkey ctrl-pgu\t");
    client.until("sendkey ctrl-pgup \x1b[K");
    client.send("\x15qmp query-vers\t");
    client.until("qmp query-version \x1b[K");
}

#[test]
fn quit_says_nothing_and_ends() {
    let server = server(&[]);
    let mut qmp = server.qmp();
    let mut client = human(&server);
    client.send("quit\nprint 1\n");
    client.until("quit\x1b[K\r\n");
    assert_eq!(client.expect_close(), "");
    assert_eq!(
        qmp.expect_event("SHUTDOWN"),
        json!({"guest": false, "reason": "host-qmp-quit"})
    );
    assert_eq!(server.finish().status.code(), Some(0));
}

#[test]
fn what_only_the_server_sees_goes_to_its_own_output() {
    let server = server(&[]);
    let mut client = human(&server);
    assert_eq!(
        ask(&mut client, "getfd \"abc"),
        "getfd: string expected\nTry \"help getfd\" for more information\n"
    );
    assert_eq!(ask(&mut client, "netdev_add hubport,id=h,hubid=0"), "");
    assert_eq!(
        ask(&mut client, "netdev_add hubport,id=h,hubid=0"),
        "Try \"help netdev_add\" for more information\n"
    );
    client.send("quit\n");
    let output = server.finish();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "unterminated string\n"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "qmonitor: Duplicate ID 'h' for netdev\n"
    );
}

#[test]
fn two_monitors_share_the_machine_but_not_the_history() {
    let server = server(&["-monitor", "unix:{dir}/h2,server=on,wait=off"]);
    let mut one = human(&server);
    let mut two = Client::connect(&server.path("h2"));
    two.until(PROMPT);
    assert_eq!(ask(&mut one, "stop"), "");
    assert_eq!(ask(&mut two, "info status"), "VM status: paused\n");
    assert_eq!(
        ask(&mut two, "info history"),
        "0: 'info status'\n1: 'info history'\n"
    );
    assert_eq!(ask(&mut one, "print/d 10"), "10\n");
    // All later commands remember the format.
    assert_eq!(ask(&mut two, "print 11"), "11\n");
}

#[test]
fn a_command_through_qmp_has_no_prompt_and_no_history() {
    let server = server(&[]);
    let mut qmp = server.qmp();
    let run = |qmp: &mut Client, line: &str| {
        qmp.ask_with("human-monitor-command", json!({"command-line": line}))
    };
    assert_eq!(run(&mut qmp, "info status"), "VM status: running\r\n");
    assert_eq!(run(&mut qmp, "info history"), "");
    assert_eq!(run(&mut qmp, "nosuch"), "unknown command: 'nosuch'\r\n");
    assert_eq!(
        run(&mut qmp, "device_del x"),
        "Error: Device 'x' not found\r\n"
    );
    assert_eq!(run(&mut qmp, ""), "");
}

/// Any QMP command can be run, with typed arguments.
#[test]
fn the_generic_command_runs_what_qmp_has() {
    let server = server(&["-name", "box"]);
    let mut client = human(&server);
    assert_eq!(
        ask(&mut client, "qmp query-name"),
        "{\n    \"name\": \"box\"\n}\n"
    );
    assert_eq!(ask(&mut client, "qmp qmp-test value=80"), "");
    assert_eq!(
        ask(&mut client, "qmp qmp-test value=x"),
        "Error: Parameter 'value' expects integer\n"
    );
    assert_eq!(
        ask(&mut client, "qmp qmp-test {\"value\": \"80\"}"),
        "Error: Invalid parameter type for 'value', expected: integer\n"
    );
    // A name may look like a number; the schema decides.
    assert_eq!(
        ask(&mut client, "qmp closefd fdname=80"),
        "Error: File descriptor named '80' not found\n"
    );
    assert_eq!(
        ask(&mut client, "qmp qmp-test"),
        "Error: Parameter 'value' is missing\n"
    );
    assert_eq!(
        ask(&mut client, "qmp nosuch"),
        "Error: The command nosuch has not been found\n"
    );
    let add = "qmp chardev-add id=c0 backend.type=null backend.data={}";
    assert_eq!(ask(&mut client, add), "");
    let remove = "qmp chardev-remove {\"id\": \"c0\"}";
    assert_eq!(ask(&mut client, remove), "");
    assert_eq!(
        ask(&mut client, "qmp screendump filename=x"),
        "Error: There is no console to take a screendump from\n"
    );
}

/// Each level of arguments is completed from the schema.
#[test]
fn arguments_of_the_generic_command_are_completed() {
    let server = server(&[]);
    let mut client = human(&server);
    for (typed, completed) in [
        ("qmp qmp-t", "qmp qmp-test "),
        ("qmp qmp-test ", "qmp qmp-test value="),
        ("qmp chardev-add id=x b", "qmp chardev-add id=x backend."),
        (
            "qmp chardev-add id=x backend.t",
            "qmp chardev-add id=x backend.type=",
        ),
        (
            "qmp chardev-add backend.type=ringb",
            "qmp chardev-add backend.type=ringbuf ",
        ),
        (
            "qmp watchdog-set-action action=inj",
            "qmp watchdog-set-action action=inject-nmi ",
        ),
        (
            "qmp trace-event-set-state enable=of",
            "qmp trace-event-set-state enable=off ",
        ),
        (
            "qmp trace-event-set-state enable=off n",
            "qmp trace-event-set-state enable=off name=",
        ),
    ] {
        client.send(format!("{typed}\t"));
        client.until(&format!("{completed}\x1b[K"));
        client.send("\x15");
        client.until("\x1b[K");
    }
    // Completion does not offer a given argument again.
    client.send("qmp qmp-test value=1 \t!\n");
    client.until("qmp qmp-test value=1 !\x1b[K\r\n");
    assert_eq!(
        client.until(PROMPT),
        format!("Error: Expected '=' after parameter '!'\r\n{PROMPT}")
    );
}

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

/// A server whose monitor has this editor.
fn server_with_readline(mode: &str) -> Server {
    let mon = format!("chardev=c,mode=readline,readline={mode}");
    let chardev = "socket,id=c,path={dir}/h,server=on,wait=off";
    Server::start(&["-chardev", chardev, "-mon", &mon])
}

#[test]
fn a_socket_has_the_full_editor_if_asked_for() {
    let server = server_with_readline("full");
    let mut client = human(&server);
    client.send("print 7 8\x1bb\x02\x0b\n");
    client.until("print 7\x1b[K\r\n");
    assert_eq!(client.until(PROMPT), format!("0x7\r\n{PROMPT}"));
    client.send("\x12rin");
    let found = "(reverse-i-search)`rin': print 7\x1b[K";
    client.until(found);
    client.send("\n");
    client.until("print 7\x1b[K\r\n");
    assert_eq!(client.until(PROMPT), format!("0x7\r\n{PROMPT}"));
}

#[test]
fn the_full_editor_completes_what_qemus_does_not() {
    let server = server_with_readline("full");
    let mut client = human(&server);
    for (typed, completed) in [
        ("qom-list /mac", "qom-list /machine/"),
        ("qom-list /obj", "qom-list /objects "),
        ("qom-get /chardevs/c ty", "qom-get /chardevs/c type "),
        ("info qom-tree /char", "info qom-tree /chardevs/"),
        ("chardev-change c nul", "chardev-change c null "),
        ("sync-profile re", "sync-profile reset "),
        ("log guest_errors,uni", "log guest_errors,unimp "),
        ("one-insn-per-tb of", "one-insn-per-tb off "),
    ] {
        client.send(format!("{typed}\t"));
        client.until(&format!("{completed}\x1b[K"));
        client.send("\x15");
        client.until("\x1b[K");
    }
}

#[test]
fn without_the_editor_lines_are_taken_as_they_come() {
    let server = server_with_readline("off");
    let mut client = Client::connect(&server.path("h"));
    client.until(BANNER);
    client.send("print 1\x08\n");
    assert_eq!(
        client.line(),
        "print|p: extraneous characters at the end of line"
    );
    client.line();
    // No echo, no prompt, no history, no completion; CR NUL ends a line too.
    client.send("print\t2\r\0info history\nprint 3\n");
    assert_eq!(client.line(), "0x2");
    assert_eq!(client.line(), "0x3");
    client.send(format!("{}\nprint 4\n", "x".repeat(70_000)));
    assert_eq!(client.line(), "Error: a line has at most 65536 bytes");
    assert_eq!(client.line(), "0x4");
}

#[test]
fn before_the_machine_exists_little_works() {
    let server = server(&["--preconfig"]);
    let mut client = human(&server);
    assert_eq!(
        ask(&mut client, " stop"),
        "Command ' stop' not available until machine initialization has completed.\n"
    );
    assert_eq!(
        ask(&mut client, "info status"),
        "VM status: paused (prelaunch)\n"
    );
    assert_eq!(ask(&mut client, "help stop"), "unknown command: 'stop'\n");
    assert_eq!(ask(&mut client, "exit_preconfig"), "");
    assert_eq!(ask(&mut client, "info status"), "VM status: running\n");
}
