//! Descriptors from outside: which request gets which descriptor of those that
//! come over the monitor's socket, and that none is left over; and the
//! descriptors that the program inherits.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use crate::common::{Client, Server};
use crate::fd_guard::FdGuard;
use nix::fcntl::{fcntl, FcntlArg, FdFlag};
use serde_json::json;

/// A server, its client, and files to pass.
struct World {
    server: Server,
    client: Client,
    files: Vec<File>,
    /// How many descriptors the server had open at the start.
    fds: usize,
}

impl World {
    fn new() -> World {
        let server = Server::start(&[]);
        let client = server.qmp();
        let fds = server.open_fds();
        let file = |name: &&str| File::create(server.path(name)).expect("a new file");
        let files = ["a", "b", "c"].iter().map(file).collect();
        World {
            server,
            client,
            files,
            fds,
        }
    }

    /// Sends messages, each with the numbered files.
    fn send(&mut self, messages: &[(&str, &[usize])]) {
        for (text, files) in messages {
            let files: Vec<&File> = files.iter().map(|n| &self.files[*n]).collect();
            if files.is_empty() {
                self.client.send(text);
            } else {
                self.client.send_with(text, &files);
            }
        }
    }

    /// The next reply, short: the file's name, or the description of an error.
    #[track_caller]
    fn reply(&mut self) -> String {
        let reply = self.client.message();
        if let Some(desc) = reply["error"]["desc"].as_str() {
            return desc.to_owned();
        }
        match reply["return"]["fd"].as_i64() {
            Some(fd) => self.name_of(fd),
            None => reply["return"].to_string(),
        }
    }

    /// The name of a file that the server has open.
    fn name_of(&self, fd: i64) -> String {
        let link = format!("/proc/{}/fd/{fd}", self.server.pid());
        let path = std::fs::read_link(link).expect("an open descriptor");
        path.file_name().unwrap().to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn expect(&mut self, replies: &[&str]) {
        let got: Vec<String> = replies.iter().map(|_| self.reply()).collect();
        assert_eq!(got, replies);
    }
}

const ADD: &str = "{'execute': 'add-fd', 'arguments': {'fdset-id': 1}}";
const NAME: &str = "{'execute': 'query-name'}";
const NONE: &str = "No file descriptor supplied via SCM_RIGHTS";

#[test]
fn a_request_without_does_not_take_what_the_next_one_brings() {
    let mut w = World::new();
    w.send(&[(ADD, &[]), (ADD, &[0])]);
    w.expect(&[NONE, "a"]);
}

#[test]
fn requests_in_a_row_get_their_own() {
    let mut w = World::new();
    w.send(&[
        (NAME, &[]),
        (ADD, &[0]),
        (ADD, &[1]),
        (NAME, &[]),
        (ADD, &[2]),
    ]);
    w.expect(&["{}", "a", "b", "{}", "c"]);
}

#[test]
fn a_descriptor_belongs_to_the_first_taker_of_its_message() {
    let mut w = World::new();
    let both = [ADD, ADD].concat();
    w.send(&[(&both, &[0]), (&both, &[1])]);
    w.expect(&["a", NONE, "b", NONE]);
}

#[test]
fn a_descriptor_may_come_in_the_middle_of_its_request_or_before_it() {
    let mut w = World::new();
    let (start, rest) = ADD.split_at(20);
    w.send(&[(start, &[]), (rest, &[0]), (" ", &[1]), (ADD, &[])]);
    w.expect(&["a", "b"]);
    // A message that began before the descriptor came ends without it.
    let (end, next) = ([rest, start].concat(), rest);
    w.send(&[(start, &[]), (&end, &[2]), (next, &[])]);
    w.expect(&["c", NONE]);
}

#[test]
fn of_several_the_first_is_kept_and_the_others_are_closed() {
    let mut w = World::new();
    w.send(&[(ADD, &[2, 1, 0])]);
    w.expect(&["c"]);
    let as_many_as_there_may_be = [0; 253];
    w.send(&[(ADD, &as_many_as_there_may_be)]);
    w.expect(&["a"]);
    assert_eq!(w.server.open_fds(), w.fds + 2);
}

#[test]
fn what_nobody_takes_is_closed_by_what_comes_next_or_with_the_connection() {
    let mut w = World::new();
    for _ in 0..100 {
        w.send(&[(NAME, &[0, 1, 2])]);
        w.expect(&["{}"]);
    }
    assert_eq!(w.server.open_fds(), w.fds + 1);
    w.client = w.server.connect();
    w.client.expect_greeting();
    assert_eq!(w.server.open_fds(), w.fds);
}

#[test]
fn without_room_for_more_a_descriptor_does_not_come_and_none_is_lost() {
    let mut w = World::new();
    let pid = w.server.pid().to_string();
    let is_free = |fd: &usize| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_err();
    // The limit excludes the second free number.
    let limit = (0..).filter(is_free).nth(1).unwrap();
    let set = std::process::Command::new("prlimit")
        .args([&format!("--nofile={limit}"), "--pid", &pid])
        .status();
    if !set.is_ok_and(|status| status.success()) {
        println!("prlimit is not installed: skipped");
        return;
    }
    // Only one of three fits: the first.
    w.send(&[(ADD, &[1, 2, 0])]);
    w.expect(&["b"]);
    w.send(&[(ADD, &[0])]);
    w.expect(&[NONE]);
    let removed = w.client.ask_with("remove-fd", json!({"fdset-id": 1}));
    assert_eq!(removed, json!({}));
    w.send(&[(ADD, &[2])]);
    w.expect(&["c"]);
    assert_eq!(w.server.open_fds(), w.fds + 1);
}

/// A program with this standard input and more descriptors, which it inherits
/// if they are not closed on exec.
fn run_with(stdin: impl Into<Stdio>, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_qmonitor"))
        .args(["-nodefaults", "-display", "none"])
        .args(args)
        .stdin(stdin)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// As inetd starts a program.
#[test]
fn a_socket_as_standard_input_can_be_a_monitor() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let args = ["-chardev", "socket,id=c,fd=0", "-mon", "c,mode=control"];
    let mut program = run_with(OwnedFd::from(theirs), &args);
    let mut client = Client::on(ours);
    client.expect_greeting();
    client.ask("qmp_capabilities");
    client.ask("quit");
    client.expect_close();
    assert!(program.wait().unwrap().success());
}

#[test]
fn an_inherited_descriptor_is_taken_by_number_once() {
    let _fds = FdGuard::new();
    let (_ours, theirs) = UnixStream::pair().unwrap();
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let n = theirs.as_raw_fd();
    for (args, text) in [
        (
            [
                ["-chardev", &format!("socket,id=a,fd={n}")],
                ["-chardev", &format!("socket,id=b,fd={n}")],
            ],
            format!("-chardev socket,id=b,fd={n}: File descriptor '{n}' is already in use"),
        ),
        (
            [
                ["-add-fd", &format!("fd={n},set=1")],
                ["-chardev", &format!("socket,id=b,fd={n}")],
            ],
            format!("-chardev socket,id=b,fd={n}: File descriptor '{n}' is not a socket"),
        ),
        (
            [["-chardev", "null,id=a"], ["-chardev", "socket,id=b,fd=2"]],
            "-chardev socket,id=b,fd=2: File descriptor '2' is not a socket".to_owned(),
        ),
    ] {
        let out = run_with(Stdio::null(), args.as_flattened());
        let out = out.wait_with_output().unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(stderr.ends_with(&format!(": {text}\n")), "{stderr}");
        assert_eq!(out.status.code(), Some(1));
    }
}

/// QEMU's sets have duplicates.
#[test]
fn an_inherited_descriptor_can_be_in_several_sets() {
    let _fds = FdGuard::new();
    let (_ours, theirs) = UnixStream::pair().unwrap();
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let (monitor, end) = UnixStream::pair().unwrap();
    let n = theirs.as_raw_fd();
    let (one, two) = (format!("fd={n},set=1"), format!("fd={n},set=2,opaque=x"));
    let args = [
        ["-add-fd", &one],
        ["-add-fd", &two],
        ["-chardev", "socket,id=c,fd=0"],
        ["-mon", "c,mode=control"],
    ];
    let mut program = run_with(OwnedFd::from(end), args.as_flattened());
    let mut client = Client::on(monitor);
    client.expect_greeting();
    client.ask("qmp_capabilities");
    let sets = client.ask("query-fdsets");
    let ids: Vec<_> = sets
        .as_array()
        .unwrap()
        .iter()
        .map(|set| &set["fdset-id"])
        .collect();
    assert_eq!(ids, [2, 1]);
    assert_eq!(sets[0]["fds"][0]["opaque"], "x");
    assert_ne!(sets[0]["fds"][0]["fd"], sets[1]["fds"][0]["fd"]);
    client.ask("quit");
    client.expect_close();
    assert!(program.wait().unwrap().success());
}
