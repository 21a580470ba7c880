//! The tree as QEMU 10.0.2 shows it: one row, one answer.

use super::*;
use crate::model::types::{qom_list_properties, qom_list_types};
use crate::model::MachineOptions;
use qmonitor::qapi::{CompatPolicy, Error, ErrorClass, QDict};
use qmonitor::Profile;

fn machine() -> Machine {
    Machine::new(MachineOptions::default())
}

fn add(m: &mut Machine, typename: &str, id: &str) {
    let options: QDict = [("qom-type", typename), ("id", id)].into_iter().collect();
    m.object_add(options, CompatPolicy::default()).unwrap();
}

/// One chardev, a socket; `labels` counts how often all were listed.
#[derive(Default)]
struct Mon0 {
    listed: std::cell::Cell<usize>,
}

fn mon0() -> Mon0 {
    Mon0::default()
}

impl Chardevs for Mon0 {
    fn find(&self, label: &str) -> Option<&str> {
        (label == "mon0").then_some("mon0")
    }

    fn labels(&self) -> Vec<&str> {
        self.listed.set(self.listed.get() + 1);
        vec!["mon0"]
    }

    fn class(&self, _: &str) -> &'static str {
        "chardev-socket"
    }

    fn properties(&self, _: &str) -> Vec<(&'static str, &'static str, QObject)> {
        vec![
            ("addr", "SocketAddress", QDict::new().into()),
            ("connected", "bool", true.into()),
        ]
    }
}

pub(crate) fn set(
    m: &mut Machine,
    path: &str,
    property: &str,
    input: &PropertyInput,
) -> Result<(), Error> {
    let id = m.settable(path, property, &mon0())?;
    m.property_set(id, property, input)
}

fn list(m: &Machine, path: &str) -> Result<Vec<String>, Error> {
    let mut list: Vec<_> = m
        .qom_list(path, &mon0())?
        .into_iter()
        .map(|p| format!("{} {}", p.name, p.type_name))
        .collect();
    list.sort();
    Ok(list)
}

const ROOT: &[&str] = &[
    "backend child<container>",
    "chardevs child<container>",
    "machine child<none-machine>",
    "objects child<container>",
    "type string",
];

#[test]
fn lists() {
    let mut m = machine();
    add(&mut m, "iothread", "o");
    let objects: &[&str] = &["o child<iothread>", "type string"];
    let chardevs: &[&str] = &["mon0 child<chardev-socket>", "type string"];
    let chardev: &[&str] = &["addr SocketAddress", "connected bool", "type string"];
    let iothread: &[&str] = &[
        "aio-max-batch int",
        "poll-grow int",
        "poll-max-ns int",
        "poll-shrink int",
        "thread-pool-max int",
        "thread-pool-min int",
        "type string",
    ];
    let table = [
        ("/", ROOT),
        ("//", ROOT),
        ("/objects", objects),
        ("objects", objects),
        ("/objects/", objects),
        ("/objects//", objects),
        ("/chardevs", chardevs),
        ("/chardevs/mon0", chardev),
        ("mon0", chardev),
        ("o", iothread),
        ("o//", iothread),
        ("objects//o", iothread),
        ("/backend", &["type string"]),
    ];
    for (path, expected) in table {
        assert_eq!(list(&m, path).unwrap(), expected, "{path}");
    }
}

#[test]
fn paths_that_lead_nowhere() {
    let mut m = machine();
    add(&mut m, "iothread", "machine");
    let table = [
        "/nope",
        "nope",
        "/objects/nope",
        " ",
        "/ ",
        ".",
        "..",
        "/..",
        "/chardevs/mon0/x",
        "a/b/c",
        "/type",
        "type",
        "/objects/type",
        "/machine/memory-backend",
    ];
    for path in table {
        let error = list(&m, path).unwrap_err();
        assert_eq!(error.desc(), format!("Device '{path}' not found"));
        assert_eq!(error.class(), ErrorClass::DeviceNotFound);
    }
    for path in ["", "machine"] {
        let error = list(&m, path).unwrap_err();
        assert_eq!(error.desc(), format!("Path '{path}' is ambiguous"));
        assert_eq!(error.class(), ErrorClass::GenericError);
        let error = m.qom_get(path, "type", &NoChardevs).unwrap_err();
        assert_eq!(error.desc(), format!("Device '{path}' not found"));
        assert_eq!(error.class(), ErrorClass::DeviceNotFound);
    }
}

#[test]
fn gets() {
    let mut m = machine();
    add(&mut m, "iothread", "o");
    let get = |path: &str, property: &str| {
        m.qom_get(path, property, &mon0())
            .map_err(|e| e.to_string())
    };
    let table: &[(&str, &str, Result<QObject, &str>)] = &[
        ("/", "type", Ok("container".into())),
        ("/machine", "type", Ok("none-machine".into())),
        ("mon0", "type", Ok("chardev-socket".into())),
        ("/chardevs/mon0", "connected", Ok(true.into())),
        ("/chardevs", "mon0", Ok("/chardevs/mon0".into())),
        ("/", "objects", Ok("/objects".into())),
        ("/machine", "memory-backend", Ok("".into())),
        ("/objects/o", "poll-max-ns", Ok(32768.into())),
        ("io[0]", "size", Ok(65536.into())),
        ("system[0]", "size", Ok(u64::MAX.into())),
        ("/", "nope", Err("Property 'container.nope' not found")),
        (
            "/chardevs/mon0",
            "",
            Err("Property 'chardev-socket.' not found"),
        ),
        (
            "/objects",
            "\u{e9}",
            Err("Property 'container.\u{e9}' not found"),
        ),
    ];
    for (path, property, expected) in table {
        let expected = expected.clone().map_err(str::to_owned);
        assert_eq!(get(path, property), expected, "{property} of {path}");
    }
}

#[test]
fn sets_that_fail() {
    let mut m = machine();
    add(&mut m, "thread-context", "t");
    let table = [
        (
            "/chardevs/mon0",
            "type",
            "Property 'chardev-socket.type' is not writable",
        ),
        (
            "/chardevs/mon0",
            "connected",
            "Property 'chardev-socket.connected' is not writable",
        ),
        (
            "/chardevs/mon0",
            "nope",
            "Property 'chardev-socket.nope' not found",
        ),
        ("/nope", "x", "Device '/nope' not found"),
        (
            "/",
            "objects",
            "Property 'container.objects' is not writable",
        ),
        (
            "/chardevs",
            "mon0",
            "Property 'container.mon0' is not writable",
        ),
        (
            "/objects/t",
            "thread-id",
            "Property 'thread-context.thread-id' is not writable",
        ),
        (
            "/machine",
            "memory-backend",
            "Invalid parameter type for 'memory-backend', expected: memory-backend",
        ),
    ];
    for (path, property, expected) in table {
        let input = PropertyInput::json(property, "t".into(), CompatPolicy::default());
        let error = set(&mut m, path, property, &input).unwrap_err();
        assert_eq!(error.desc(), expected);
    }
    let error = m.qom_get("t", "node-affinity", &NoChardevs).unwrap_err();
    let expected = "Property 'thread-context.node-affinity' is not readable";
    assert_eq!(error.desc(), expected);
}

#[test]
fn links_lead_to_objects_until_these_are_gone() {
    let mut m = machine();
    add(&mut m, "thread-context", "t");
    let options: QDict = [
        ("qom-type", QObject::from("memory-backend-ram")),
        ("id", "m".into()),
        ("size", 4096.into()),
        ("prealloc-context", "t".into()),
    ]
    .into_iter()
    .collect();
    m.object_add(options, CompatPolicy::default()).unwrap();
    let context = |m: &Machine| m.qom_get("m", "prealloc-context", &NoChardevs).unwrap();
    assert_eq!(context(&m), "/objects/t".into());
    assert!(list(&m, "/objects/m/prealloc-context").is_ok());
    m.object_del("t").unwrap();
    assert_eq!(context(&m), "".into());
    let input = PropertyInput::text("prealloc-context", "t");
    let error = set(&mut m, "m", "prealloc-context", &input).unwrap_err();
    assert_eq!(error.desc(), "Device 't' not found");
}

#[test]
fn ids_are_not_used_again() {
    let mut m = machine();
    add(&mut m, "iothread", "o");
    let old = m.user_object("o").unwrap();
    m.object_del("o").unwrap();
    add(&mut m, "iothread", "o");
    assert!(m.object(old).is_none());
    assert_ne!(m.user_object("o"), Some(old));
}

#[test]
fn types() {
    let names = |implements, with_abstract| {
        let mut names: Vec<_> = qom_list_types(Some(implements), with_abstract, Profile::V10_0)
            .iter()
            .map(|t| t.name)
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names("nope", true), [""; 0]);
    assert_eq!(names("iothread", false), ["iothread"]);
    assert!(names("chardev", false).contains(&"chardev-stdio"));
    assert!(!names("chardev", false).contains(&"chardev-fd"));
    assert!(names("chardev", true).contains(&"chardev-fd"));
    assert!(names("user-creatable", false).contains(&"secret"));
    let all = qom_list_types(None, false, Profile::V10_0);
    assert!(all.iter().all(|t| t.parent.is_some() && !t.is_abstract));
    let mut unique: Vec<_> = qom_list_types(None, true, Profile::V10_0)
        .iter()
        .map(|t| t.name)
        .collect();
    let count = unique.len();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), count);
}

#[test]
fn properties_of_types() {
    let names = |typename: &str| {
        let list = qom_list_properties(typename, Profile::V10_0)?;
        let mut names: Vec<_> = list.into_iter().map(|p| p.name).collect();
        names.sort();
        Ok::<_, Error>(names)
    };
    assert_eq!(names("chardev").unwrap(), ["type"]);
    let secret = ["data", "file", "format", "iv", "keyid", "type"];
    assert_eq!(names("secret").unwrap(), secret);
    let error = names("nope").unwrap_err();
    assert_eq!(error.desc(), "Class 'nope' not found");
    assert_eq!(error.class(), ErrorClass::DeviceNotFound);
}

#[test]
fn trees_are_sorted() {
    let mut m = machine();
    add(&mut m, "iothread", "i1");
    add(&mut m, "iothread", "i0");
    let tree = |path: &str| m.qom_tree(path, &mon0());
    let line = |depth, name: &str, class: &str| (depth, name.to_owned(), class.to_owned());
    assert_eq!(
        tree("/objects").unwrap(),
        [
            line(0, "objects", "container"),
            line(1, "i0", "iothread"),
            line(1, "i1", "iothread"),
        ]
    );
    assert_eq!(tree("mon0").unwrap(), [line(0, "mon0", "chardev-socket")]);
    assert_eq!(tree("/nosuch"), None);
    assert_eq!(tree(""), None);
}

/// The objects that are looked at while `work` runs.
fn looked_at<T>(m: &mut Machine, work: impl FnOnce(&mut Machine) -> T) -> usize {
    m.objects.looked_at.set(0);
    work(m);
    m.objects.looked_at.get()
}

#[test]
fn a_path_costs_the_same_among_many_objects() {
    let costs = |others: usize| {
        let mut m = machine();
        add(&mut m, "iothread", "x");
        for i in 0..others {
            add(&mut m, "iothread", &format!("o{i}"));
        }
        let chardevs = mon0();
        let get = |path: &'static str| {
            let chardevs = &chardevs;
            move |m: &mut Machine| m.qom_get(path, "poll-max-ns", chardevs).unwrap()
        };
        let costs = [
            looked_at(&mut m, get("/objects/x")),
            looked_at(&mut m, get("x")),
            looked_at(&mut m, get("objects/x")),
            looked_at(&mut m, |m| add(m, "iothread", "new")),
            looked_at(&mut m, |m| m.object_del("new").unwrap()),
        ];
        assert_eq!(chardevs.listed.get(), 0);
        costs
    };
    assert_eq!(costs(1000), costs(10));
}

#[test]
fn a_link_is_a_step_of_a_partial_path() {
    let mut m = machine();
    add(&mut m, "thread-context", "t");
    for id in ["m", "n"] {
        let options: QDict = [
            ("qom-type", QObject::from("memory-backend-ram")),
            ("id", id.into()),
            ("size", 4096.into()),
        ]
        .into_iter()
        .collect();
        m.object_add(options, CompatPolicy::default()).unwrap();
    }
    let mut link = |id: &str, to: &str| {
        let object = m.user_object(id).unwrap();
        let property = m.object(object).unwrap().class.property("prealloc-context");
        let target = m.user_object(to);
        m.store_link(object, property.unwrap(), target);
        list(&m, "prealloc-context").map_err(|e| e.to_string())
    };
    assert!(link("m", "t").is_ok());
    let error = link("n", "t").unwrap_err();
    assert_eq!(error, "Path 'prealloc-context' is ambiguous");
    assert!(link("m", "").is_ok());
    let error = link("n", "").unwrap_err();
    assert_eq!(error, "Device 'prealloc-context' not found");
}
