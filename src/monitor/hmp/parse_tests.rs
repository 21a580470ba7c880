use proptest::prelude::*;

use super::super::testing::{text, TestEnv};
use super::super::testing_rows::table;
use super::super::{ArgKind, Format, HmpArg, HmpValue};
use super::*;

/// The error of a line, its hint included.
#[track_caller]
fn error_of(line: &str) -> LineError {
    let mut env = TestEnv::default();
    match parse_command(line.as_bytes(), &table(), &mut env) {
        Ok(_) => panic!("{line:?} is fine"),
        Err(error) => error,
    }
}

#[track_caller]
fn args_of(line: &str) -> HmpArgs {
    let mut env = TestEnv::default();
    match parse_command(line.as_bytes(), &table(), &mut env) {
        Ok(Some(parsed)) => parsed.args,
        Ok(None) => panic!("{line:?} is blank"),
        Err(error) => panic!("{line:?}: {}", text(&error.text)),
    }
}

#[test]
fn unknown_commands() {
    for (line, typed) in [
        ("nosuch a b", "nosuch"),
        ("   nosuch a", "   nosuch"),
        ("STOP", "STOP"),
        ("sto", "sto"),
        ("stop\"", "stop\""),
        ("\"stop\"", "\"stop\""),
        ("p$pc", "p$pc"),
        ("/", ""),
        ("//x", ""),
        ("/x stop", ""),
        ("info/", "info"),
        ("info/status", "info"),
        ("info /x", "info "),
        ("info nosuch x", "info nosuch"),
        ("info  nosuch", "info  nosuch"),
        ("  info   qwe/as", "  info   qwe"),
        ("info status,", "info status,"),
        ("info \"\"", "info \"\""),
    ] {
        assert_eq!(
            text(&error_of(line).text),
            format!("unknown command: '{typed}'\n"),
            "{line:?}"
        );
    }
    let error = parse_command(b"nosuch\xff x", &table(), &mut TestEnv::default()).unwrap_err();
    assert_eq!(error.text, b"unknown command: 'nosuch\xff'\n");
}

#[test]
fn blank_lines_do_nothing() {
    for line in ["", " ", "  \t\r\n ", "\0stop"] {
        let parsed = parse_command(line.as_bytes(), &table(), &mut TestEnv::default());
        assert!(matches!(parsed, Ok(None)), "{line:?}");
    }
}

#[test]
fn before_the_machine_exists() {
    for (line, typed) in [
        ("s", "s"),
        ("stop x", "stop"),
        ("  stop/x", "  stop"),
        ("info   registers x", "info   registers"),
    ] {
        let mut env = TestEnv {
            preconfig: true,
            ..TestEnv::default()
        };
        let error = parse_command(line.as_bytes(), &table(), &mut env).unwrap_err();
        assert_eq!(
            text(&error.text),
            format!(
                "Command '{typed}' not available until machine initialization has completed.\n"
            )
        );
    }
    for line in ["q", "info status", "qom-list", "info"] {
        let mut env = TestEnv {
            preconfig: true,
            ..TestEnv::default()
        };
        assert!(
            parse_command(line.as_bytes(), &table(), &mut env).is_ok(),
            "{line}"
        );
    }
}

/// What is printed above the hint, and the command the hint names.
#[test]
fn argument_errors() {
    const EXTRA: &str = "extraneous characters at the end of line";
    const END: &str = "unexpected end of expression";
    const ON_OFF: &str = "Expected 'on' or 'off'";
    let extra = |name: &str| format!("{name}: {EXTRA}");
    for (line, reason, command) in [
        ("stop now", extra("stop|s").as_str(), "stop"),
        ("stop/", &extra("stop|s"), "stop"),
        ("  stop   x", &extra("stop|s"), "  stop"),
        ("q x", &extra("quit|q"), "q"),
        ("info status x", &extra("status"), "info status"),
        ("info  name   x", &extra("name"), "info  name"),
        ("info status/x", &extra("status"), "info status"),
        (
            "chardev-remove",
            "chardev-remove: string expected",
            "chardev-remove",
        ),
        (
            "chardev-change x",
            "chardev-change: string expected",
            "chardev-change",
        ),
        ("object_add   ", "object_add: string expected", "object_add"),
        ("qom-set a b ", "qom-set: string expected", "qom-set"),
        ("logfile", "logfile: filename expected", "logfile"),
        ("screendump", "screendump: filename expected", "screendump"),
        (
            "block_resize",
            "block_resize: block device name expected",
            "block_resize",
        ),
        ("cpu", END, "cpu"),
        ("p", END, "p"),
        ("p/4", END, "p"),
        (
            "memsave 0x1 -1 a",
            "invalid char 'a' in expression",
            "memsave",
        ),
        (
            "cpu -1",
            "'cpu' has failed: integer is for 32-bit values",
            "cpu",
        ),
        (
            "cpu 0x100000000",
            "'cpu' has failed: integer is for 32-bit values",
            "cpu",
        ),
        (
            "i 0x70 . 0x100000000",
            "'i' has failed: integer is for 32-bit values",
            "i",
        ),
        ("i 0x70 .", END, "i"),
        ("i 0x70 1", &extra("i"), "i"),
        ("ringbuf_read r0 1a", &extra("ringbuf_read"), "ringbuf_read"),
        ("cpu 1/0", "division by zero", "cpu"),
        ("p $pc", "unknown register", "p"),
        ("balloon -1", "enter a positive value", "balloon"),
        ("balloon 1M", &extra("balloon"), "balloon"),
        ("block_resize x 1.5b", "invalid size", "block_resize"),
        ("block_resize x", "invalid size", "block_resize"),
        (
            "block_resize x 10Mx",
            &extra("block_resize"),
            "block_resize",
        ),
        ("set_link x", ON_OFF, "set_link"),
        ("set_link x ON", ON_OFF, "set_link"),
        ("set_link x on1", ON_OFF, "set_link"),
        ("set_link x \"on\"", ON_OFF, "set_link"),
        ("set_link x on y", &extra("set_link"), "set_link"),
        (
            "info block -x",
            "block: unsupported option -x",
            "info block",
        ),
        (
            "info block - n",
            "block: unsupported option - ",
            "info block",
        ),
        ("info block x -n", &extra("block"), "info block"),
        // The switch comes a second time, when only -v may come.
        (
            "info block -n -n",
            "block: unsupported option -n",
            "info block",
        ),
        ("info qtree -bb", &extra("qtree"), "info qtree"),
        (
            "info registers 1 -a",
            "invalid char 'a' in expression",
            "info registers",
        ),
        (
            "info registers -a -a",
            "invalid char 'a' in expression",
            "info registers",
        ),
        (
            "info registers -1",
            "registers: unsupported option -1",
            "info registers",
        ),
        (
            "screendump a -f",
            "screendump: value expected for -f",
            "screendump",
        ),
        (
            "screendump a -x",
            "screendump: unsupported option -x",
            "screendump",
        ),
        (
            "screendump -f gif a",
            "invalid char 'a' in expression",
            "screendump",
        ),
        (
            "screendump a dev -f gif",
            "invalid char 'f' in expression",
            "screendump",
        ),
        (
            "qom-set -k a b 1",
            "qom-set: unsupported option -k",
            "qom-set",
        ),
        ("qom-set -j -j b", "qom-set: string expected", "qom-set"),
        ("p/z 10", "invalid char in format: 'z'", "p"),
        (
            "ringbuf_write r0 \"a\"b",
            &extra("ringbuf_write"),
            "ringbuf_write",
        ),
        ("device_add \"x\" y", &extra("device_add"), "device_add"),
        (
            "announce_self a b c",
            &extra("announce_self"),
            "announce_self",
        ),
    ] {
        assert_eq!(
            text(&error_of(line).text),
            format!("{reason}\nTry \"help {command}\" for more information\n"),
            "{line:?}"
        );
    }
}

#[test]
fn a_lone_dash_loses_its_newline() {
    for line in ["info block -", "info block -n -"] {
        assert_eq!(
            text(&error_of(line).text),
            "block: unsupported option -Try \"help info block\" for more information\n"
        );
    }
}

#[test]
fn reasons_that_go_to_the_server() {
    for (line, reason, stdout) in [
        (
            "ringbuf_write r \"a",
            "ringbuf_write: string expected\n",
            "unterminated string\n",
        ),
        (
            "ringbuf_write r \"\\t\"",
            "ringbuf_write: string expected\n",
            "unsupported escape code: '\\t'\n",
        ),
        (
            "logfile \"a",
            "logfile: filename expected\n",
            "unterminated string\n",
        ),
        (
            "screendump a -f \"gif",
            "screendump: value expected for -f\n",
            "unterminated string\n",
        ),
        ("device_add \"x", "", "unterminated string\n"),
    ] {
        let error = error_of(line);
        let command = line.split(' ').next().unwrap_or("");
        assert_eq!(
            text(&error.text),
            format!("{reason}Try \"help {command}\" for more information\n")
        );
        assert_eq!(text(&error.stdout), stdout);
        assert_eq!(error.stderr, None);
    }
    let error = error_of("netdev_add bad");
    assert_eq!(
        text(&error.text),
        "Try \"help netdev_add\" for more information\n"
    );
    assert_eq!(error.stderr.as_deref(), Some("bad netdev"));
}

#[test]
fn strings_and_rests() {
    assert_eq!(args_of("chardev-add \"a b\"").str("args"), "a b");
    assert_eq!(args_of("chardev-remove    zz   ").str("id"), "zz");
    assert_eq!(args_of("chardev-remove \"\"").str("id"), "");
    assert_eq!(args_of("object_add  a \"b ").str("object"), "a \"b ");
    let args = args_of("qom-set -j a b  \"x\" ");
    assert!(args.flag("json"));
    assert_eq!(
        (args.str("path"), args.str("property"), args.str("value")),
        ("a", "b", "\"x\" ")
    );
    let args = args_of("announce_self eth0");
    assert_eq!(
        (args.try_str("interfaces"), args.try_str("id")),
        (Some("eth0"), None)
    );
    assert_eq!(args_of("help/x").str("cmd"), "/x");
    assert_eq!(args_of("?").try_str("cmd"), None);
    let parsed = parse_command(b"logfile \xe4", &table(), &mut TestEnv::default());
    let args = parsed.ok().flatten().expect("a command").args;
    assert_eq!(
        (args.bytes("filename"), args.str("filename")),
        (&b"\xe4"[..], "\u{fffd}")
    );
}

#[test]
fn numbers() {
    assert_eq!(args_of("cpu 0xffffffff").int("index"), 0xffff_ffff);
    assert_eq!(args_of("ringbuf_read r0 1 +1").int("size"), 2);
    assert_eq!(args_of("balloon 16").int("target"), 16 << 20);
    assert_eq!(args_of("block_resize x 1.5G").int("size"), 3 << 29);
    assert_eq!(args_of("p $eip").int("expr"), 0xfff0);
    let args = args_of("memsave -1 4 f");
    assert_eq!(
        (args.int("addr"), args.int("size"), args.str("file")),
        (-1, 4, "f")
    );
    for (line, index) in [
        ("i 1", None),
        ("i 1.2", Some(2)),
        ("i 1 . 2", Some(2)),
        ("i 1 .2", Some(2)),
    ] {
        assert_eq!(args_of(line).try_int("index"), index, "{line}");
    }
    assert!(args_of("set_link x on").bool("up"));
    assert!(!args_of("set_link x off").bool("up"));
}

#[test]
fn flags() {
    for (line, nodes, verbose, device) in [
        ("info block", false, false, None),
        ("info block -n -v d", true, true, Some("d")),
        ("info block -v", false, true, None),
        // Too late for -n, which is then taken for a device.
        ("info block -v -n", false, true, Some("-n")),
        ("info block -nd", true, false, Some("d")),
    ] {
        let args = args_of(line);
        assert_eq!(
            (
                args.flag("nodes"),
                args.flag("verbose"),
                args.try_str("device")
            ),
            (nodes, verbose, device),
            "{line}"
        );
    }
    for line in [
        "screendump a -f gif d 1",
        "screendump a -fgif d 1",
        "screendump a -f\"gif\" d 1",
    ] {
        let args = args_of(line);
        assert_eq!(
            (args.try_str("format"), args.try_str("device")),
            (Some("gif"), Some("d"))
        );
        assert_eq!(args.try_int("head"), Some(1));
    }
    assert_eq!(args_of("screendump -").str("filename"), "-");
}

#[test]
fn options_are_read_by_their_group() {
    let args = args_of("device_add \"virtio,id=x y\"");
    assert_eq!(
        args.options("device").get_str("device"),
        Some("virtio,id=x y")
    );
    assert_eq!(
        args_of("netdev_add").options("netdev").get_str("netdev"),
        Some("")
    );
}

#[test]
fn a_format_is_remembered_even_if_the_line_is_wrong() {
    let mut env = TestEnv::default();
    for (line, format) in [
        ("p/z 1", Format::Hex),
        ("p/o 5 5", Format::Octal),
        ("xp/d", Format::Decimal),
    ] {
        assert!(parse_command(line.as_bytes(), &table(), &mut env).is_err());
        assert_eq!(env.format.format, format, "{line}");
    }
    let parsed = parse_command(b"p 1", &table(), &mut env)
        .expect("fine")
        .expect("a command");
    assert_eq!(parsed.args.format("fmt").format, Format::Decimal);
}

#[test]
fn bare_info_has_its_own_handler() {
    for line in ["info", " info  "] {
        let parsed = parse_command(line.as_bytes(), &table(), &mut TestEnv::default());
        assert_eq!(
            parsed.ok().flatten().map(|parsed| parsed.row.name),
            Some("info")
        );
    }
}

const NAMES: &[&str] = &[
    "info",
    "p",
    "xp",
    "i",
    "screendump",
    "block_resize",
    "set_link",
    "qom-set",
    "device_add",
    "block",
    "registers",
    "help",
    "balloon",
    "sendkey",
];

const PIECES: &[&str] = &[
    "/4xb", "-n", "-", "-f", "on", "\"a b\"", "\"a", "\\", ".", "1+2", "(", "$r", "'c'", "1.5G",
];

/// Lines with real names in them, so that random ones get past the look-up.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let word = prop_oneof![
        3 => prop::sample::select(NAMES).prop_map(bytes),
        2 => prop::sample::select(PIECES).prop_map(bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let blank =
        prop_oneof![4 => Just(b" ".to_vec()), 1 => Just(Vec::new()), 1 => Just(b"/".to_vec())];
    prop::collection::vec((word, blank), 0..8).prop_map(|words| {
        words
            .into_iter()
            .flat_map(|(word, blank)| [word, blank].concat())
            .collect()
    })
}

/// Whether an argument that has to be there is, and has the kind declared.
fn fits(arg: &HmpArg, value: Option<&HmpValue>) -> bool {
    use ArgKind::*;
    match (arg.kind, value) {
        (Flag(_) | FlagValue(_) | DotIndex, None) => true,
        (_, None) => arg.optional,
        (Format, Some(HmpValue::Format(_))) => true,
        (Options(_), Some(HmpValue::Options(_))) => true,
        (OnOff | Flag(_), Some(HmpValue::Bool(_))) => true,
        (Seconds, Some(HmpValue::Number(_))) => true,
        (Int | Int32 | MiB | Size | DotIndex, Some(HmpValue::Int(_))) => true,
        (Str | File | Block | RestOfLine | FlagValue(_), Some(HmpValue::Str(..))) => true,
        _ => false,
    }
}

proptest! {
    #[test]
    fn random_lines_never_panic(line in lines()) {
        let mut env = TestEnv::default();
        let table = table();
        match parse_command(&line, &table, &mut env) {
            Ok(Some(parsed)) => {
                for arg in parsed.row.args {
                    let value = parsed.args.get(arg.name);
                    prop_assert!(fits(arg, value), "{arg:?} is {value:?}");
                }
            }
            Ok(None) => {}
            Err(error) => prop_assert!(error.text.ends_with(b"\n")),
        }
        let _ = table.help(&line, false);
        let _ = super::super::find_completion(&line, &table, Default::default());
    }
}
