//! Option strings: no argument of the command line does more than fail, and
//! lists that were read can be written and read again.
//!
//! Input: a byte for the option, the text. For settings, one more byte chooses
//! the option.

use std::str::FromStr;

use qmonitor::chardev::{
    chardev_add, filename, qemu_chr_find, qemu_chr_parse_cli, qemu_chr_parse_compat, ParsedCompat,
};
use qmonitor::monitor::MonitorOptions;
use qmonitor::qapi::visit::keyval_parse;
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::util::qemu_opts::{QemuOptType, QemuOpts, QemuOptsList};
use qmonitor_machine::commands::{device_from_cli, netdev_from_cli, object_of_option};
use qmonitor_machine::system::cli::{self, Opt};
use qmonitor_machine::system::settings::Settings;
use qmonitor_machine::Uuid;

use super::harmless;

/// A list in which every type occurs.
static TYPED: QemuOptsList = QemuOptsList {
    name: "typed",
    implied_opt_name: Some("text"),
    desc: &[
        ("text", QemuOptType::String),
        ("flag", QemuOptType::Bool),
        ("number", QemuOptType::Number),
        ("size", QemuOptType::Size),
    ],
    extensions: &[],
};

/// A list that takes anything.
static FREE: QemuOptsList = QemuOptsList {
    name: "free",
    implied_opt_name: None,
    desc: &[],
    extensions: &[],
};

pub fn options(data: &[u8]) {
    let [option, text @ ..] = data else {
        return;
    };
    // An argument that is not UTF-8 is refused before it is read.
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let mut warnings = Vec::new();
    match option % 10 {
        0 => chardev(text, &mut warnings),
        1 => short_form(text),
        2 => says(MonitorOptions::parse(text, &mut warnings)),
        3 if harmless::is_object_text(text) => {
            let mut rt = harmless::machine();
            if let Ok(options) = object_of_option(&rt, text) {
                let policy = rt.policy();
                says(rt.state.object_add(options, policy));
            }
        }
        4 => says(device_from_cli(
            &mut harmless::machine(),
            text,
            &mut warnings,
        )),
        5 => says(netdev_from_cli(
            &mut harmless::machine(),
            text,
            &mut warnings,
        )),
        6 => keyval(text),
        7 => {
            list(&TYPED, text);
            list(&FREE, text);
        }
        8 => setting(text, &mut warnings),
        9 => {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            says(cli::parse(&words, &mut Vec::new()));
        }
        _ => {}
    }
    for warning in warnings {
        says(Err::<(), _>(warning));
    }
}

/// Every error has a text.
fn says<T>(result: Result<T, Error>) {
    if let Err(e) = result {
        assert!(!e.desc().is_empty(), "an error without a text");
        assert!(e.hint().is_empty() || e.hint().ends_with('\n'));
    }
}

fn chardev(text: &str, warnings: &mut Vec<Error>) {
    let (label, config) = match qemu_chr_parse_cli(text, warnings) {
        Ok(parsed) => parsed,
        Err(e) => return says(Err::<(), _>(e)),
    };
    if harmless::is_chardev(&config) {
        let mut rt = harmless::machine();
        let added = chardev_add(&mut rt, &label, config);
        let found = qemu_chr_find(&rt, &label);
        assert_eq!(found.is_some(), added.is_ok());
        assert!(found.is_none_or(|id| !filename(&rt, id).is_empty()));
        says(added);
    }
}

fn short_form(text: &str) {
    // Here an error may add nothing to the caller's text.
    if let Ok(ParsedCompat::New { opts, .. }) = qemu_chr_parse_compat("label", text) {
        assert_eq!(opts.id(), Some("label"));
    }
}

fn keyval(text: &str) {
    for implied in [None, Some("implied")] {
        match keyval_parse(text, implied) {
            Ok(dict) => {
                let mut written = String::new();
                write_keyval(&mut written, "", &QObject::Dict(dict.clone()));
                assert_eq!(keyval_parse(&written, None), Ok(dict), "{written}");
            }
            Err(e) => says(Err::<(), _>(e)),
        }
    }
}

fn write_keyval(out: &mut String, key: &str, value: &QObject) {
    let below = |name: &str| match key {
        "" => name.to_owned(),
        key => format!("{key}.{name}"),
    };
    match value {
        QObject::String(text) => {
            out.push_str(&format!("{key}={},", text.replace(',', ",,")));
        }
        QObject::Dict(dict) => {
            for (name, value) in dict.iter() {
                write_keyval(out, &below(name), value);
            }
        }
        QObject::List(list) => {
            for (i, value) in list.iter().enumerate() {
                write_keyval(out, &below(&i.to_string()), value);
            }
        }
        other => panic!("a key's value is {other:?}"),
    }
}

fn list(list: &QemuOptsList, text: &str) {
    let opts = match QemuOpts::parse(list, text, &mut Vec::new()) {
        Ok(opts) => opts,
        Err(e) => return says(Err::<(), _>(e)),
    };
    let items = |opts: &QemuOpts| -> Vec<(String, String)> {
        let id = opts.id().map(|id| ("id", id));
        let all = id.into_iter().chain(opts.iter());
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let before = items(&opts);
    let written: String = before
        .iter()
        .map(|(name, value)| format!("{name}={},", value.replace(',', ",,")))
        .collect();
    let again = QemuOpts::parse(list, &written, &mut Vec::new()).expect("it was fine before");
    assert_eq!(items(&again), before, "{written}");
    let dict: QDict = opts.to_qdict();
    assert!(before.iter().all(|(name, _)| dict.contains_key(name)));
}

fn setting(text: &str, warnings: &mut Vec<Error>) {
    let opts = [
        Opt::Machine,
        Opt::M,
        Opt::Name,
        Opt::Uuid,
        Opt::Display,
        Opt::Msg,
        Opt::Compat,
        Opt::Echr,
        Opt::AddFd,
    ];
    let Some(which) = text.chars().next() else {
        return;
    };
    let text = &text[which.len_utf8()..];
    let opt = opts[which as usize % opts.len()];
    let mut settings = Settings::default();
    let taken = settings.take(opt, text, warnings);
    if let (Opt::Uuid, Ok(_)) = (opt, &taken) {
        let again = Uuid::from_str(&settings.machine.uuid.to_string());
        assert_eq!(again, Ok(settings.machine.uuid));
    }
    says(taken);
}
