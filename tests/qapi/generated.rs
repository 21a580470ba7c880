//! Generated code, compiled and called: what it accepts, its errors, and its
//! output.
//!
//! The recorded arguments and options live outside the repository: in
//! `$QMONITOR_CONFORMANCE/qapi` or `../shared/conformance/qapi`; without them
//! there is nothing to compare with and the tests say so.

use std::marker::PhantomData;

use qmonitor::qapi::dispatch::{qmp_find_command, DispatchEnv};
use qmonitor::qapi::json::{qobject_from_json, qobject_to_json, JsonWriter};
use qmonitor::qapi::visit::{keyval_parse, InputVisitor, QapiType};
use qmonitor::qapi::{Call, CompatPolicy, Error, EventInfo, QDict, QObject};
use qmonitor::qapi::{QmpCommandFunc, QmpCommandList};

/// QEMU's commands that have recorded arguments.
mod arguments {
    include!(concat!(env!("OUT_DIR"), "/test-arguments.rs"));
}

/// The context that handlers get.
pub struct Context<S> {
    state: PhantomData<S>,
    /// The policy in force.
    pub policy: CompatPolicy,
    /// The events emitted.
    pub events: Vec<(&'static str, QDict)>,
}

impl<S> Context<S> {
    /// No event yet.
    pub fn new(policy: CompatPolicy) -> Self {
        Context {
            state: PhantomData,
            policy,
            events: Vec::new(),
        }
    }
}

/// What generated emitters call.
pub fn event_emit<S>(cx: &mut Context<S>, event: &'static EventInfo, data: QDict) {
    cx.events.push((event.name, data));
}

/// The policy that generated emitters ask for.
pub fn compat_policy<S>(cx: &Context<S>) -> CompatPolicy {
    cx.policy
}

struct AcceptAll;

macro_rules! accept {
    ($($command:ident($($param:ty),*);)*) => {
        impl arguments::ArgumentsCommands for AcceptAll {$(
            fn $command(_: &mut Context<Self>, $(_: $param),*) -> Result<(), Error> {
                Ok(())
            }
        )*}
    };
}

use arguments::*;
accept! {
    qmp_watchdog_set_action(WatchdogSetActionAction);
    qmp_set_action(Option<SetActionReboot>, Option<SetActionShutdown>, Option<SetActionPanic>, Option<WatchdogSetActionAction>);
    qmp_block_resize(Option<String>, Option<String>, i64);
    qmp_query_named_block_nodes(Option<bool>);
    qmp_block_dirty_bitmap_add(String, String, Option<u32>, Option<bool>, Option<bool>);
    qmp_blockdev_add(BlockdevOptions);
    qmp_blockdev_reopen(Vec<BlockdevOptions>);
    qmp_nbd_server_start(Option<i64>, Option<String>, Option<String>, Option<u32>, NbdServerStartAddr);
    qmp_block_export_add(BlockExportOptions);
    qmp_chardev_add(String, ChardevAddBackend);
    qmp_netdev_add(NetdevAddOptions);
    qmp_send_key(Vec<SendKeyKeys>, Option<i64>);
    qmp_input_send_event(Option<String>, Option<i64>, Vec<InputSendEventEvents>);
    qmp_migrate_set_capabilities(Vec<MigrateSetCapabilitiesCapabilities>);
    qmp_migrate_set_parameters(MigrateSetParameters);
    qmp_transaction(Vec<TransactionActions>, Option<TransactionProperties>);
    qmp_query_version();
    qmp_qom_get(String, String);
    qmp_qom_set(String, String, QObject);
    qmp_object_add(ObjectOptions);
    qmp_memsave(i64, i64, String, Option<i64>);
    qmp_set_numa_node(SetNumaNodeOptions);
    qmp_human_monitor_command(String, Option<i64>);
    qmp_query_stats(QueryStatsOptions);
    qmp_cxl_inject_general_media_event(CxlInjectGeneralMediaEventArguments);
}

fn recorded(file: &str) -> Vec<QDict> {
    let base = crate::recordings::conformance();
    let path = base.join("qapi").join(file);
    let Ok(text) = std::fs::read(&path) else {
        eprintln!("skipped: no {}", path.display());
        return Vec::new();
    };
    match qobject_from_json(&text).unwrap() {
        QObject::List(list) => list
            .into_iter()
            .map(|entry| match entry {
                QObject::Dict(dict) => dict,
                other => panic!("not an object: {other:?}"),
            })
            .collect(),
        other => panic!("not an array: {other:?}"),
    }
}

/// The errors of all cases that differ from the recording.
fn compare(cases: Vec<QDict>, run: impl Fn(&QDict) -> Result<(), Error>) {
    let mut wrong = Vec::new();
    for case in &cases {
        let got = run(case).err().map(|e| e.desc().to_owned());
        if got.as_deref() != case.get_str("error") || got.is_some() == case.contains_key("accepted")
        {
            let case = qobject_to_json(&case.clone().into(), false);
            wrong.push(format!("{case}\n  got {got:?}"));
        }
    }
    let report = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{report}",
        wrong.len(),
        cases.len()
    );
}

#[test]
fn arguments_are_accepted_or_refused_as_by_qemu() {
    let mut commands = QmpCommandList::new();
    arguments::qmp_init_marshal::<AcceptAll>(&mut commands);
    compare(recorded("arguments-10.0.2.json"), |case| {
        let name = case.get_str("command").unwrap();
        let args = case.get("arguments").unwrap().as_dict().unwrap().clone();
        let command = qmp_find_command(&commands, name, &DispatchEnv::default())?;
        let mut out = JsonWriter::new(false);
        let mut call = Call::new(args, CompatPolicy::default(), &mut out);
        match command.func {
            QmpCommandFunc::Immediate(func) => {
                func(&mut Context::<AcceptAll>::new(call.policy()), &mut call)?;
                assert_eq!(out.as_bytes(), b"{}");
                Ok(())
            }
            QmpCommandFunc::Deferred(_) => panic!("{name} is deferred"),
        }
    });
}

#[test]
fn options_are_accepted_or_refused_as_by_qemu() {
    fn visit<T: QapiType>(dict: QDict) -> Result<(), Error> {
        let mut v = InputVisitor::new_keyval(dict, CompatPolicy::default());
        T::visit_in(&mut v, "").map(drop)
    }
    compare(recorded("keyval-10.0.2.json"), |case| {
        let text = case.get_str("text").unwrap();
        let dict = keyval_parse(text, case.get_str("implied-key"))?;
        match case.get_str("type").unwrap() {
            "BlockdevOptions" => visit::<BlockdevOptions>(dict),
            "ObjectOptions" => visit::<ObjectOptions>(dict),
            "NbdServerOptions" => visit::<NbdServerOptions>(dict),
            "BlockExportOptions" => visit::<BlockExportOptions>(dict),
            other => panic!("no type {other}"),
        }
    });
}

/// Arguments nested as deep as JSON may be.
#[test]
fn deep_arguments_do_not_exhaust_the_stack() {
    let mut value = QObject::from("n0");
    for _ in 0..1000 {
        let members = [("driver", "raw".into()), ("file", value)];
        value = QObject::Dict(members.into_iter().collect());
    }
    let error =
        BlockdevOptions::visit_in(&mut InputVisitor::new(value, CompatPolicy::default()), "");
    let desc = error.unwrap_err().desc().to_owned();
    assert!(desc.ends_with("file' is nested too deep"), "{desc}");
}
