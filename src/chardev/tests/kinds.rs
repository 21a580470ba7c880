//! Kinds of backends that a program adds.

use super::*;
use crate::chardev::schema::ChardevRingbuf;
use crate::qapi::json::qobject_from_json;
use crate::qapi::visit::InputVisitor;
use crate::qapi::{CompatPolicy, Profile};
use crate::util::qemu_opts::{QemuOptType, QemuOpts};

/// Counts what the front end writes.
#[derive(Debug, Clone)]
struct Tally {
    start: u64,
}

impl BackendOptions for Tally {
    // Any type of a schema does for a test.
    type Arguments = ChardevRingbuf;
    const EXTENSIONS: &'static [(&'static str, QemuOptType)] = &[("start", QemuOptType::Number)];

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let start = opts.get_number("start");
        let start = start.ok_or_else(|| Error::new("chardev: tally: no start given"))?;
        Ok(Tally { start })
    }

    fn from_arguments(arguments: ChardevRingbuf) -> Result<Self, Error> {
        match arguments.size {
            Some(size) => Ok(Tally { start: size as u64 }),
            None => Err(Error::new("no start given")),
        }
    }
}

impl<H: ChardevHost> Backend<H> for Tally {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            opens_at_once: true,
            chr_write: |h, id, bytes| {
                if let Some(tally) = h.chardevs_mut().state_mut::<Tally>(id) {
                    tally.start += bytes.len() as u64;
                }
                Ok(bytes.len())
            },
            chr_filename: |state| {
                let tally: &Tally = state.downcast_ref()?;
                Some(format!("tally:{}", tally.start))
            },
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        if self.start == 13 {
            return Err(Error::new("not that number"));
        }
        h.chardevs_mut().set_state(id, Box::new(self.clone()));
        Ok(None)
    }
}

fn app() -> App {
    let mut app = App::new();
    app.chardevs.register::<Tally>("tally");
    app
}

fn parse(app: &App, opts: &str) -> Result<(String, ChardevConfig), Error> {
    app.chardevs
        .parse_cli(Profile::default(), opts, &mut Vec::new())
}

fn add(app: &mut App, opts: &str) -> Result<ChardevId, Error> {
    let (label, config) = parse(app, opts)?;
    chardev_add(app, &label, config).map(|added| added.id)
}

#[test]
fn a_registered_kind_is_made_like_any_other() {
    let mut app = app();
    let chr = add(&mut app, "tally,id=t,start=5").unwrap();
    let front = app.attach(chr);
    app.expect_events(front, &[ChrEvent::Opened]);
    app.write(front, "abc").unwrap();
    assert_eq!(app.filename(chr), "tally:8");
    let mux = add(&mut app, "tally,id=m,start=1,mux=on").unwrap();
    assert_eq!(app.filename(mux), "mux");
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let logged = format!("tally,id=l,start=0,logfile={}", log.display());
    let chr = add(&mut app, &logged).unwrap();
    let front = app.attach(chr);
    app.write(front, "abc").unwrap();
    assert_eq!(std::fs::read(log).unwrap(), b"abc");
}

#[test]
fn its_options_are_known_where_it_is() {
    let e = qemu_chr_parse_cli("tally,id=t,start=5", &mut Vec::new()).unwrap_err();
    assert_eq!(e.desc(), "Invalid parameter 'start'");
    let e = qemu_chr_parse_cli("tally,id=t", &mut Vec::new()).unwrap_err();
    assert_eq!(e.desc(), "'tally' is not a valid char driver name");
    let mut app = app();
    for (opts, text) in [
        ("tally,id=t", "chardev: tally: no start given"),
        ("tally,id=t,start=x", "Parameter 'start' expects a number"),
        ("tally,start=1", "chardev: no id specified"),
        ("tally,id=t,start=13", "not that number"),
        ("nosuch,id=t", "'nosuch' is not a valid char driver name"),
    ] {
        assert_eq!(add(&mut app, opts).unwrap_err().desc(), text, "{opts}");
    }
    assert!(app.chardevs().is_empty());
    // The others are there as before, and ignore its options.
    add(&mut app, "null,id=n,start=5").unwrap();
}

#[test]
fn arguments_of_qmp_are_read_with_its_type() {
    let app = app();
    let read = |data: &str| {
        let value = qobject_from_json(format!("{{\"data\": {data}}}").as_bytes()).unwrap();
        let mut v = InputVisitor::new(value, CompatPolicy::default());
        v.start_struct("").unwrap();
        super::super::backends::visit_registered(&app, "tally", &mut v)
    };
    let config = read("{\"size\": 7, \"logfile\": \"f\"}").unwrap().unwrap();
    assert_eq!(config.logfile.as_deref(), Some("f"));
    let ChardevBackend::Registered(backend) = &config.backend else {
        panic!("{config:?}");
    };
    assert_eq!(backend.options::<Tally>().unwrap().start, 7);
    assert_eq!(config.backend.kind(), "tally");
    let e = read("{\"size\": \"7\"}").unwrap_err();
    let text = "Invalid parameter type for 'data.size', expected: integer";
    assert_eq!(e.desc(), text);
    let e = read("{\"more\": 7}").unwrap_err();
    assert_eq!(e.desc(), "Parameter 'data.more' is unexpected");
    let e = read("{}").unwrap().unwrap_err();
    assert_eq!(e.desc(), "no start given");
}

#[test]
fn the_list_of_kinds_is_complete_and_can_be_restricted() {
    let mut app = app();
    let all: Vec<_> = CHARDEV_BACKENDS.iter().copied().chain(["tally"]).collect();
    assert_eq!(app.chardevs.backends(), all);
    app.chardevs.set_backends(&["null", "ringbuf"]);
    assert_eq!(app.chardevs.backends(), ["null", "ringbuf", "tally"]);
    let e = add(&mut app, "stdio,id=s").unwrap_err();
    assert_eq!(e.desc(), "'stdio' is not a valid char driver name");
    add(&mut app, "tally,id=t,start=5").unwrap();
}

#[test]
#[should_panic(expected = "backend 'null' is registered twice")]
fn a_name_is_given_once() {
    app().chardevs.register::<Tally>("null");
}
