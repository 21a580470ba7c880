//! HMP over a unix socket, as a person at a terminal or a script sees it.

use crate::common::{Client, Server};
use serde_json::json;

pub const BANNER: &str = "QEMU 10.0.2 monitor - type 'help' for more information\r\n";
pub const PROMPT: &str = "(qemu) ";

/// A server with a human monitor on the socket `h`, and a QMP monitor.
pub fn server(args: &[&str]) -> Server {
    let mut all = vec!["-monitor", "unix:{dir}/h,server=on,wait=off"];
    all.extend_from_slice(args);
    Server::start(&all)
}

/// A client of the human monitor, past the banner.
pub fn human(server: &Server) -> Client {
    let mut client = Client::connect(&server.path("h"));
    assert_eq!(client.until(PROMPT), format!("{BANNER}{PROMPT}"));
    client
}

/// The text that the terminal's user reads: without the echo and its redrawing.
pub fn ask(client: &mut Client, line: &str) -> String {
    client.send(format!("{line}\n"));
    output_of(client, line)
}

/// The output of a line that was sent.
pub fn output_of(client: &mut Client, line: &str) -> String {
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
