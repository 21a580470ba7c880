//! Chardevs and monitors on the command line and in configuration files.

use crate::common::{run, Server};
use std::process::Output;

/// Exit status, standard output and standard error of the program, the latter with
/// `PROG` for its name.
fn outcome(args: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = run(args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr).replace("qmonitor:", "PROG:"));
    (status.code(), stdout, stderr)
}

#[track_caller]
fn refused(args: &[&str], stderr: &str) {
    assert_eq!(
        outcome(args),
        (Some(1), String::new(), stderr.into()),
        "{args:?}"
    );
}

#[test]
fn what_is_read_first_is_told_first() {
    // A bad list before a bad backend, whatever their order.
    refused(
        &["-chardev", "nosuch,id=a", "-chardev", "null,id=a,bogus=1"],
        "PROG: -chardev null,id=a,bogus=1: Invalid parameter 'bogus'\n",
    );
    // The chardev of -monitor is among the others, under its own name.
    refused(
        &["-monitor", "null", "-chardev", "null,id=compat_monitor0"],
        "PROG: -chardev null,id=compat_monitor0: Duplicate ID 'compat_monitor0' for chardev\n",
    );
    refused(
        &["-chardev", "null,id=compat_monitor0", "-monitor", "null"],
        "PROG: -monitor null: Duplicate ID 'compat_monitor0' for chardev\n\
         PROG: -monitor null: parse error: null\n",
    );
    refused(
        &["-qmp", "chardev:1a"],
        "PROG: -qmp chardev:1a: Parameter 'id' expects an identifier\n",
    );
    // A form that parses but cannot be opened has one line, one that does not
    // parse has two.
    refused(
        &["-monitor", "con:"],
        "PROG: -monitor con:: 'console' is not a valid char driver name\n",
    );
    refused(
        &["-monitor", "tcp:x"],
        "PROG: -monitor tcp:x: parse error: tcp:x\n",
    );
    refused(
        &["-daemonize", "-serial", "stdio"],
        "PROG: -serial stdio: cannot use stdio with -daemonize\n\
         PROG: -serial stdio: could not connect serial device to character backend 'stdio'\n",
    );
    refused(
        &["-chardev", "socket,id=a,fd=99999999999"],
        "PROG: -chardev socket,id=a,fd=99999999999: Unable to parse FD number 99999999999: \
         Numerical result out of range\n",
    );
}

#[test]
fn backends_that_need_a_screen_or_a_library_are_refused() {
    for backend in [
        "gtk",
        "msmouse",
        "wctablet",
        "braille",
        "spicevmc",
        "spiceport",
        "dbus",
        "console",
        "tty",
        "parport",
    ] {
        let option = format!("{backend},id=a,name=x");
        refused(
            &["-chardev", &option],
            &format!("PROG: -chardev {option}: '{backend}' is not a valid char driver name\n"),
        );
    }
}

#[test]
fn help_lists_backends_or_options() {
    for option in ["help", "?", "id=a,backend=help"] {
        let (status, stdout, _) = outcome(&["-chardev", option]);
        assert_eq!(status, Some(0));
        assert!(stdout.starts_with("Available chardev backend types: \n  stdio\n"));
    }
    let (status, stdout, _) = outcome(&["-chardev", "null,id=a,help"]);
    assert_eq!(status, Some(1));
    assert!(stdout.starts_with("chardev options:\n  abstract=<bool (on/off)>\n"));
}

/// The chardevs that a server lists, except that of its test monitor, sorted.
fn chardevs(server: &Server) -> Vec<(String, String, bool)> {
    let list = server.qmp().ask("query-chardev");
    let mut list: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|chr| {
            let text = |name: &str| chr[name].as_str().unwrap().to_owned();
            let open = chr["frontend-open"].as_bool().unwrap();
            (text("label"), text("filename"), open)
        })
        .filter(|(_, filename, _)| !filename.starts_with("unix:"))
        .collect();
    list.sort();
    list
}

#[test]
fn a_terminal_is_told_under_the_name_of_its_own_chardev() {
    let mut server = Server::start(&["-serial", "mon:pty", "-chardev", "pty,id=p"]);
    let listed = chardevs(&server);
    let pty = |label: &str| {
        let found = listed.iter().find(|(l, ..)| l == label).unwrap();
        found.1.strip_prefix("pty:").unwrap().to_owned()
    };
    let (p, serial) = (pty("p"), pty("serial0-base"));
    let mut stdout = server.stdout();
    server.qmp().ask("quit");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut text).unwrap();
    assert_eq!(
        text,
        format!(
            "char device redirected to {p} (label p)\n\
             char device redirected to {serial} (label serial0-base)\n"
        )
    );
}

/// Runs the program with a file of this text; returns its errors.
fn config(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("conf");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn a_file_makes_chardevs_monitors_and_objects() {
    let (_dir, path) = config(
        "# all three\n[chardev \"r\"]\n  backend = \"ringbuf\"\n  size = \"4k\"\n\
         [mon \"m\"]\n  chardev = \"r\"\n\
         [object \"o\"]\n  qom-type = \"memory-backend-ram\"\n  size = \"1M\"\n\
         [name]\n  guest = \"a,b\"\n\
         [smp-opts]\n  cpus = \"1\"\n[boot-opts]\n  order = \"c\"\n[accel]\n  accel = \"tcg\"\n\
         [overcommit \"x\"]\n  cpu-pm = \"off\"\n[sandbox]\n  enable = \"off\"\n",
    );
    let server = Server::start(&["-readconfig", &path]);
    assert_eq!(chardevs(&server), [("r".into(), "ringbuf".into(), true)]);
    let mut qmp = server.qmp();
    assert_eq!(qmp.ask("query-name")["name"], "a,b");
    let memory = qmp.ask("query-memdev");
    assert_eq!(memory[0]["id"], "o");
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_line() {
    for (text, message) in [
        (
            "[rtc \"a\"]\n  base = \"utc\"\n",
            "PROG: -readconfig FILE: Invalid parameter 'id'\n",
        ),
        (
            "[action \"a\"]\n  panic = \"pause\"\n",
            "PROG: -readconfig FILE: Invalid parameter 'id'\n",
        ),
        (
            "[overcommit]\n  bogus = \"1\"\n",
            "PROG: -readconfig FILE: Invalid parameter 'bogus'\n",
        ),
        (
            "[sandbox]\n  bogus = \"1\"\n",
            "PROG: -readconfig FILE: Invalid parameter 'bogus'\n",
        ),
        (
            "[boot-opts]\n  bogus = \"1\"\n",
            "PROG: Parameter 'boot.bogus' is unexpected\n",
        ),
        (
            "[smp-opts]\n  cpus = \"x\"\n",
            "PROG: Parameter 'smp.cpus' expects integer\n",
        ),
        (
            "[bogus]\n",
            "PROG: -readconfig FILE: There is no option group 'bogus'\n",
        ),
        (
            "[chardev \"a\"]\n \n",
            "PROG: -readconfig FILE: parse error\n",
        ),
        ("x = \"y\"\n", "PROG: -readconfig FILE: no group defined\n"),
        (
            "[chardev \"a\"]\n  bogus = \"1\"\n",
            "PROG: -readconfig FILE: Invalid parameter 'bogus'\n",
        ),
        (
            "[chardev \"a\"]\n backend = \"null\"\n[chardev \"a\"]\n",
            "PROG: -readconfig FILE: Duplicate ID 'a' for chardev\n",
        ),
        (
            "[name \"x\"]\n  guest = \"g\"\n",
            "PROG: -readconfig FILE: Invalid parameter 'id'\n",
        ),
        (
            "[chardev \"a\"]\n\n  backend = \"nosuch\"\n",
            "PROG:FILE:3: 'nosuch' is not a valid char driver name\n",
        ),
        (
            "[chardev \"a\"]\n",
            "PROG: chardev: \"a\" missing backend\n",
        ),
        (
            "[mon]\n  chardev = \"a\"\n  mode = \"x\"\n[chardev \"a\"]\n  backend = \"null\"\n",
            "PROG:FILE:3: Parameter 'mode' does not accept value 'x'\n",
        ),
        (
            "[object \"o\"]\n  size = \"1M\"\n",
            "PROG:FILE:2: Parameter 'qom-type' is missing\n",
        ),
    ] {
        let (_dir, path) = config(text);
        let (status, _, stderr) = outcome(&["-readconfig", &path]);
        assert_eq!(status, Some(1), "{text:?}");
        assert_eq!(stderr.replace(&path, "FILE"), message, "{text:?}");
    }
    refused(
        &["-readconfig", "/nonexistent/conf"],
        "PROG: -readconfig /nonexistent/conf: Could not open '/nonexistent/conf': \
         No such file or directory\n",
    );
    refused(
        &["-readconfig", "/"],
        "PROG: -readconfig /: Cannot read config file: Is a directory\n",
    );
}
