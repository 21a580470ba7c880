//! Handlers on a runtime without monitors: their effects outside of the machine.

use super::*;
use crate::model::qom::ObjectId;
use crate::schema::{QomCommands, RunState, RunStateCommands, ShutdownAction};
use crate::MachineOptions;
use qmonitor::chardev::{
    chardev_add, chardev_remove, frontend_open, qemu_chr_find, ChardevBackend, ChardevConfig,
    InetSocketAddress, SocketAddress, SocketConfig,
};
use qmonitor::monitor::hmp::ArgKind::RestOfLine;
use qmonitor::monitor::hmp::HmpRow;
use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{Error, QObject};

fn runtime() -> Runtime<Machine> {
    let mut rt = Runtime::new(Machine::new(MachineOptions::default())).unwrap();
    register(&mut rt);
    start_machine(&mut rt);
    rt
}

/// Makes an object as an option of the command line does.
fn made_of_option(rt: &mut Runtime<Machine>, text: &str) -> Result<ObjectId, Error> {
    let options = object_of_option(rt, text)?;
    let policy = rt.policy();
    rt.state.object_add(options, policy)
}

#[test]
fn an_object_holds_its_chardev_until_it_is_deleted() {
    let mut rt = runtime();
    let null = ChardevConfig::new(ChardevBackend::Null);
    chardev_add(&mut rt, "c", null).unwrap();
    object_from_text(&mut rt, "rng-egd,id=r,chardev=c").unwrap();
    let e = object_from_text(&mut rt, "rng-egd,id=s,chardev=c").unwrap_err();
    assert_eq!(e.desc(), "chardev 'c' is already in use");
    let chr = qemu_chr_find(&rt, "c").unwrap();
    assert!(frontend_open(&rt, chr), "it wants what comes from there");
    assert!(rt.state.user_object("s").is_none());
    let e = chardev_remove(&mut rt, "c").unwrap_err();
    assert_eq!(e.desc(), "Chardev 'c' is busy");
    Machine::qmp_object_del(&mut rt, "r".into()).unwrap();
    chardev_remove(&mut rt, "c").unwrap();
    let e = object_from_text(&mut rt, "rng-egd,id=r,chardev=c").unwrap_err();
    assert_eq!(e.desc(), "Device 'c' not found");
    assert!(rt.state.user_object("r").is_none());
}

/// A server shows the address its socket is bound to, a client the one it was given.
#[test]
fn the_address_of_a_socket_is_that_of_the_socket() {
    let mut rt = runtime();
    let tcp = |server: bool| {
        let mut config = SocketConfig::new(SocketAddress::Inet(InetSocketAddress {
            host: "localhost".into(),
            port: "0".into(),
            ipv6: Some(false),
            ..InetSocketAddress::default()
        }));
        (config.server, config.wait) = (server, server.then_some(false));
        config.reconnect_ms = (!server).then_some(1_000_000);
        ChardevConfig::new(ChardevBackend::Socket(config))
    };
    chardev_add(&mut rt, "s", tcp(true)).unwrap();
    chardev_add(&mut rt, "c", tcp(false)).unwrap();
    let get = |rt: &mut _, path: &str| {
        let addr = Machine::qmp_qom_get(rt, path, "addr").unwrap();
        let QObject::Dict(mut addr) = addr else {
            panic!("{addr:?}")
        };
        addr.remove("port");
        qobject_to_json(&addr.into(), false)
    };
    assert_eq!(
        get(&mut rt, "/chardevs/s"),
        r#"{"ipv4": true, "host": "127.0.0.1", "type": "inet"}"#
    );
    assert_eq!(
        get(&mut rt, "/chardevs/c"),
        r#"{"ipv6": false, "host": "localhost", "type": "inet"}"#
    );
}

#[test]
fn chardevs_show_in_the_tree_as_long_as_they_exist() {
    let mut rt = runtime();
    let null = ChardevConfig::new(ChardevBackend::Null);
    chardev_add(&mut rt, "c", null).unwrap();
    let get = |rt: &mut _, path: &str| Machine::qmp_qom_get(rt, path, "type");
    assert_eq!(get(&mut rt, "/chardevs/c").unwrap(), "chardev-null".into());
    assert_eq!(get(&mut rt, "c").unwrap(), "chardev-null".into());
    chardev_remove(&mut rt, "c").unwrap();
    assert!(get(&mut rt, "c").is_err());
}

#[test]
fn objects_are_written_in_two_ways() {
    let mut rt = runtime();
    let json = r#"{"qom-type": "iothread", "id": "j", "poll-max-ns": 4}"#;
    object_from_text(&mut rt, json).unwrap();
    made_of_option(&mut rt, "memory-backend-ram,id=m,size=64K").unwrap();
    assert_eq!(rt.state.memdevs()[0].size, 65536);
    for (text, expected) in [
        ("iothread", "Parameter 'id' is missing"),
        ("iothread,id=x,bogus=1", "Invalid parameter 'bogus'"),
        ("iothread,id=x,bogus.a=1", "Invalid parameter 'bogus.a'"),
        ("authz-list,id=x,bogus.0=1", "Invalid parameter 'bogus.0'"),
        (
            "iothread,id=x,poll-max-ns.a=1",
            "Invalid parameter 'poll-max-ns.a'",
        ),
        (
            "throttle-group,id=x,limits.foo=1",
            "Invalid parameter 'limits.foo'",
        ),
        (
            "{'qom-type': 'iothread', 'id': 'x', 'bogus': 1}",
            "Parameter 'bogus' is unexpected",
        ),
        (
            "iothread,id=x,poll-max-ns=abc",
            "Parameter 'poll-max-ns' expects an int64 value",
        ),
        (
            "nosuch,id=x",
            "Parameter 'qom-type' does not accept value 'nosuch'",
        ),
        (
            "memory-backend-ram,id=x,size=1X",
            "Parameter 'size' expects a size value",
        ),
        ("{\"qom-type\"", "JSON parse error, premature EOI"),
        ("iothread,id=j", "Duplicate ID 'j' for object"),
    ] {
        let e = made_of_option(&mut rt, text).unwrap_err();
        assert_eq!(e.desc(), expected);
    }
    // The command line alone has its own words for an unknown property.
    for kind in crate::model::types::user_creatable_types(qmonitor::Profile::V10_0) {
        let mut refused = |text: String| {
            let e = made_of_option(&mut rt, &text).unwrap_err();
            e.desc().to_owned()
        };
        let text = refused(format!("{kind},id=x,bogus=1"));
        let Some(name) = text.strip_suffix(" is missing") else {
            assert_eq!(text, "Invalid parameter 'bogus'", "{kind}");
            continue;
        };
        assert!(name.starts_with("Parameter '"), "{kind}: {text}");
    }
    let e = object_from_text(&mut rt, "iothread,id=x,bogus=1").unwrap_err();
    assert_eq!(e.desc(), "Parameter 'bogus' is unexpected");
    let e = object_from_text(&mut rt, "iothread,id=j").unwrap_err();
    assert_eq!(
        e.desc(),
        "attempt to add duplicate property 'j' to object (type 'container')"
    );
}

#[test]
fn quit_and_signals_end_the_loop_whatever_a_shutdown_does() {
    for end in [|rt: &mut Runtime<Machine>| rt.quit(), killed] {
        let mut rt = runtime();
        let pause = Some(ShutdownAction::Pause);
        Machine::qmp_set_action(&mut rt, None, pause, None, None).unwrap();
        assert!(rt.exit_requested().is_none());
        end(&mut rt);
        assert_eq!(rt.exit_requested().map(|exit| exit.status), Some(0));
    }
}

#[test]
fn a_reset_of_a_stopped_machine_makes_it_prelaunch() {
    let mut rt = runtime();
    Machine::qmp_stop(&mut rt).unwrap();
    Machine::qmp_system_reset(&mut rt).unwrap();
    let status = Machine::qmp_query_status(&mut rt).unwrap();
    assert_eq!(status.status, RunState::Prelaunch);
    assert!(!status.running && rt.exit_requested().is_none());
}

#[test]
fn configuration_ends_for_the_dispatcher_as_well() {
    let options = MachineOptions {
        preconfig: true,
        ..MachineOptions::default()
    };
    let mut rt = Runtime::new(Machine::new(options)).unwrap();
    rt.set_preconfig(true);
    start_machine(&mut rt);
    assert!(!rt.state.run.is_running());
    Machine::qmp_x_exit_preconfig(&mut rt).unwrap();
    assert!(rt.state.run.is_running() && !rt.preconfig());
    assert!(Machine::qmp_x_exit_preconfig(&mut rt).is_err());
}

#[track_caller]
fn assert_sound(row: &HmpRow) {
    for (index, arg) in row.args.iter().enumerate() {
        let same = row.args.iter().filter(|other| other.name == arg.name);
        assert_eq!(same.count(), 1, "{}: {}", row.name, arg.name);
        if arg.kind == RestOfLine {
            assert_eq!(index + 1, row.args.len(), "{}", row.name);
        }
    }
}

#[test]
fn rows_are_sound() {
    let machine = Machine::new(MachineOptions::default());
    let mut rt = Runtime::new(machine).expect("a runtime");
    register(&mut rt);
    for command in rt.hmp_mut().table.commands() {
        assert_sound(&command.row);
        for sub in command.sub.iter().flat_map(|sub| sub.commands()) {
            assert_sound(&sub.row);
        }
    }
}
