use super::super::testing::text;
use super::super::testing_rows::table;
use super::*;
use CompletionKind::*;

fn complete(line: &str, preconfig: bool) -> Completion {
    let scope = CompletionScope {
        preconfig,
        full: false,
    };
    find_completion(line.as_bytes(), &table(), scope)
}

/// The names among the candidates that start with the word.
fn names(line: &str, preconfig: bool) -> Vec<&'static str> {
    let completion = complete(line, preconfig);
    let CompletionSource::Names(mut names) = completion.source else {
        return Vec::new();
    };
    names.retain(|name| name.as_bytes().starts_with(&completion.word));
    names.sort_unstable();
    names
}

#[test]
fn command_names() {
    for (line, expected) in [
        ("ringbuf_", &["ringbuf_read", "ringbuf_write"][..]),
        ("  chardev-r", &["chardev-remove"]),
        ("q", &["q", "qom-get", "qom-list", "qom-set", "quit"]),
        ("zzz", &[]),
        ("info h", &["history", "hotpluggable-cpus"]),
        ("help info h", &["history", "hotpluggable-cpus"]),
        ("? object_", &["object_add", "object_del"]),
        ("help help st", &["stop"]),
        ("\"help\" \"sto\"", &["stop"]),
        ("help stop ", &[]),
        ("info status ", &[]),
        ("stop/", &[]),
        ("info s/", &[]),
        ("set_link h0 ", &["off", "on"]),
        ("set_link h0 of", &["off"]),
        ("trace-event x o", &["off", "on"]),
    ] {
        assert_eq!(names(line, false), expected, "{line:?}");
    }
    assert!(names("", false).len() > 40);
    assert!(names("  ", false).len() > 40);
    assert!(names("info ", false).len() > 10);
}

#[test]
fn before_the_machine_exists() {
    assert_eq!(names("st", true), [""; 0]);
    assert_eq!(names("info r", true), [""; 0]);
    assert_eq!(names("help qu", true), ["quit"]);
    assert_eq!(
        complete("chardev-remove c", true).source,
        CompletionSource::Kind(Nothing)
    );
}

#[test]
fn argument_kinds() {
    for (line, kind, word) in [
        ("chardev-remove ", ChardevIds, ""),
        ("chardev-remove r", ChardevIds, "r"),
        ("chardev-remove r0 ", Nothing, ""),
        ("chardev-send-break x", ChardevIds, "x"),
        ("chardev-change ", Nothing, ""),
        ("chardev-add s", ChardevTypes, "s"),
        ("chardev-add \"s\"", ChardevTypes, "s"),
        ("ringbuf_read ", Ringbufs, ""),
        ("ringbuf_write ", Ringbufs, ""),
        ("object_add iot", ObjectTypes, "iot"),
        ("object_add iothread ", Nothing, ""),
        ("object_del ", ObjectIds, ""),
        ("device_add ", DeviceTypes, ""),
        ("device_del ", DeviceIds, ""),
        ("netdev_add ", NetdevTypes, ""),
        ("netdev_del ", NetdevIds, ""),
        ("set_link ", NetClients, ""),
        ("set_link a on ", Nothing, ""),
        ("trace-event ", TraceEvents, ""),
        ("watchdog_action p", WatchdogActions, "p"),
        ("watchdog_action p ", Nothing, ""),
        ("sendkey ctrl-alt-f", Keys, "f"),
        ("sendkey a-", Keys, ""),
        ("sendkey a x", Nothing, "x"),
        ("logfile sub/x", Files, "sub/x"),
        ("logfile a b", Files, "b"),
        ("logfile a b ", Files, ""),
        ("screendump v", Files, "v"),
        ("screendump a ", Nothing, ""),
        ("screendump -f a v", Nothing, "v"),
        ("pmemsave 0 1 e", Nothing, "e"),
        ("info block ", BlockDevices, ""),
        ("info block a b", BlockDevices, "b"),
        ("help chardev-remove c", ChardevIds, "c"),
        ("qom-get /", Nothing, "/"),
    ] {
        let completion = complete(line, false);
        assert_eq!(completion.source, CompletionSource::Kind(kind), "{line:?}");
        assert_eq!(text(&completion.word), word, "{line:?}");
    }
}

#[test]
fn what_cannot_be_split_is_not_completed() {
    let completion = complete("chardev-add \"nu", false);
    assert_eq!(completion.source, CompletionSource::Kind(Nothing));
    assert_eq!(text(&completion.stdout), "unterminated string\n");
    assert_eq!(
        names(&format!("{}sto", "help ".repeat(15)), false),
        ["stop"]
    );
    assert_eq!(names(&format!("{}sto", "help ".repeat(16)), false), [""; 0]);
}

#[test]
fn the_full_editor_knows_more() {
    let table = table();
    let scope = CompletionScope {
        preconfig: false,
        full: true,
    };
    for (line, kind, args) in [
        ("qom-get /", QomPaths, &[][..]),
        ("qom-get /machine t", QomProperties, &["/machine"]),
        ("qom-set -j /machine t", QomProperties, &["-j", "/machine"]),
        ("info qom-tree /", QomPaths, &[]),
        ("chardev-change x", ChardevIds, &[]),
        ("log c", LogItems, &[]),
        ("memsave 0 1 f", Files, &["0", "1"]),
        ("chardev-remove r", ChardevIds, &[]),
        ("getfd x", Nothing, &[]),
    ] {
        let completion = find_completion(line.as_bytes(), &table, scope);
        assert_eq!(completion.source, CompletionSource::Kind(kind), "{line:?}");
        let got: Vec<String> = completion.args.iter().map(|word| text(word)).collect();
        assert_eq!(got, args, "{line:?}");
    }
    let completion = find_completion(b"sync-profile r", &table, scope);
    let words = vec!["on", "off", "reset"];
    assert_eq!(completion.source, CompletionSource::Names(words));
}
