//! Making and deleting objects, and lending them chardevs. QMP, HMP and the command
//! line all go by way of `ObjectOptions`.

use super::hmp::Cx;
use super::qtest;
use crate::model::qom::ObjectId;
use crate::model::types::{find_type, user_creatable_types};
use crate::schema::{ObjectOptions, ObjectType, QomCommands};
use crate::Machine;
use qmonitor::chardev::{
    qemu_chr_fe_deinit, qemu_chr_fe_init, qemu_chr_fe_set_open, qemu_chr_find, CharFrontend,
};
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::monitor::{monitor_remove, MonitorCloseAction, MonitorId, MonitorOptions};
use qmonitor::qapi::visit::{to_qobject, InputVisitor, QapiType};
use qmonitor::qapi::{Error, ErrorClass, QDict, QObject};
use qmonitor::{Profile, Runtime};

pub(super) fn object_add(rt: &mut Runtime<Machine>, options: &ObjectOptions) -> Result<(), Error> {
    let QObject::Dict(options) = to_qobject(options) else {
        return Ok(());
    };
    let policy = rt.policy();
    let id = rt.state.object_add(options, policy)?;
    attach(rt, id)
}

/// Attaches the chardev or starts the monitor an object needs.
///
/// # Errors
///
/// There is no such chardev, or it is in use. The object is gone then.
pub fn attach(rt: &mut Runtime<Machine>, id: ObjectId) -> Result<(), Error> {
    let attached = try_attach(rt, id);
    if attached.is_err() {
        rt.state.unparent(id);
    }
    attached
}

fn try_attach(rt: &mut Runtime<Machine>, id: ObjectId) -> Result<(), Error> {
    if rt.state.is_qtest(id) {
        let log = Some(rt.state.str_property(id, "log")).filter(|log| !log.is_empty());
        return qtest::open(rt, id, log.as_deref());
    }
    if let Some(label) = rt.state.chardev_wanted(id) {
        let frontend = lend_chardev(rt, &label)?;
        qemu_chr_fe_set_open(rt, frontend, true);
        rt.state.frontends.insert(id, frontend);
    }
    if let Some(options) = rt.state.monitor_wanted(id) {
        let monitor = rt.monitor_init(&options?)?;
        rt.state.monitors.insert(id, monitor);
    }
    Ok(())
}

/// Tells a monitor that one of its object's properties was set. Another chardev only
/// shows.
pub(super) fn property_changed(rt: &mut Runtime<Machine>, id: ObjectId, property: &str) {
    let Some(monitor) = rt.state.monitors.get(&id).copied() else {
        return;
    };
    match property {
        "pretty" => {
            let pretty = rt.state.bool_property(id, property);
            rt.set_monitor_pretty(monitor, pretty);
        }
        "close-action" => {
            let deletes = rt.state.property(id, property) == Some("delete".into());
            let action = if deletes {
                MonitorCloseAction::Delete
            } else {
                MonitorCloseAction::None
            };
            rt.set_monitor_close_action(monitor, action);
        }
        _ => {}
    }
}

/// Makes a monitor of the command line, with its object where monitors are objects
/// (`monitor_init_opts`).
///
/// # Errors
///
/// As `monitor_init`, or the object's name is in use.
pub fn monitor_from_options(
    rt: &mut Runtime<Machine>,
    name: &str,
    options: &MonitorOptions,
) -> Result<(), Error> {
    if !rt.profile().has_monitor_objects() {
        return rt.monitor_init(options).map(|_| ());
    }
    let id = rt.state.monitor_object(name, options, rt.policy())?;
    match rt.monitor_init(options) {
        Ok(monitor) => {
            rt.state.monitors.insert(id, monitor);
            Ok(())
        }
        Err(e) => {
            rt.state.unparent(id);
            Err(e)
        }
    }
}

/// Deletes the object of a monitor that is gone, perhaps with its client.
pub(super) fn monitor_removed(rt: &mut Runtime<Machine>, monitor: MonitorId) {
    let mut monitors = rt.state.monitors.iter();
    let found = monitors.find_map(|(id, m)| (*m == monitor).then_some(*id));
    if let Some(id) = found {
        rt.state.monitors.remove(&id);
        rt.state.unparent(id);
    }
}

pub(super) fn lend_chardev(rt: &mut Runtime<Machine>, label: &str) -> Result<CharFrontend, Error> {
    let chr = qemu_chr_find(rt, label).ok_or_else(|| {
        Error::with_class(
            ErrorClass::DeviceNotFound,
            format!("Device '{label}' not found"),
        )
    })?;
    qemu_chr_fe_init(rt, chr)
}

/// Deletes an object; a monitor ends with it.
///
/// The monitor that the command comes from cannot be deleted, as in QEMU: the
/// reply could not be sent. With `close-action=delete` it goes when its client
/// leaves. No HMP monitor can be deleted by a command.
pub(super) fn object_del(rt: &mut Runtime<Machine>, name: &str) -> Result<(), Error> {
    let id = rt.state.user_object(name);
    let monitor = id.and_then(|id| rt.state.monitors.get(&id).copied());
    if let Some(monitor) = monitor {
        if rt.state.is_human_monitor(name) {
            return Err(Error::new("Deleting HMP monitors is not supported"));
        }
        if rt.is_current_monitor(monitor) {
            return Err(Error::new("Cannot delete the current QMP monitor"));
        }
        monitor_remove(rt, monitor);
        return Ok(());
    }
    rt.state.object_del(name)?;
    let channel = &mut rt.state.qtest_channel;
    channel.take_if(|channel| id == Some(channel.object));
    if let Some(frontend) = id.and_then(|id| rt.state.frontends.remove(&id)) {
        qemu_chr_fe_deinit(rt, frontend, false);
    }
    Ok(())
}

/// Reads options written as JSON or as `TYPE,id=ID,...`.
fn parse(rt: &Runtime<Machine>, text: &str) -> Result<ObjectOptions, Error> {
    ObjectOptions::visit_in(&mut visitor(rt, text)?, "")
}

fn visitor(rt: &Runtime<Machine>, text: &str) -> Result<InputVisitor, Error> {
    InputVisitor::new_str(text, Some("qom-type"), rt.policy())
}

/// Whether the argument of `-object` is about an object that uses a chardev,
/// and so has to wait for the chardevs. False for an argument that cannot be read: the
/// error is reported when it is carried out.
pub fn is_made_after_chardevs(rt: &Runtime<Machine>, text: &str) -> bool {
    let options = parse(rt, text);
    matches!(
        options.as_ref().map(ObjectOptions::qom_type),
        Ok(ObjectType::MonitorHmp
            | ObjectType::MonitorQmp
            | ObjectType::Qtest
            | ObjectType::RngEgd)
    )
}

/// Makes an object from the text of HMP's `object_add`, or of the storage daemon's
/// `--object`.
///
/// # Errors
///
/// The text cannot be read, or as [`Machine::object_add`].
pub fn object_from_text(rt: &mut Runtime<Machine>, text: &str) -> Result<(), Error> {
    let options = parse(rt, text)?;
    object_add(rt, &options)
}

/// Reads an option of the command line that makes an object.
///
/// # Errors
///
/// The text cannot be read, there is no such type or property, or the id is in use.
pub fn object_of_option(rt: &Runtime<Machine>, text: &str) -> Result<QDict, Error> {
    let mut v = visitor(rt, text)?;
    if !text.starts_with('{') {
        v = v.of_option();
    }
    let options = ObjectOptions::visit_in(&mut v, "")?;
    let id = &options.id;
    if rt.state.user_object(id).is_some() {
        return Err(Error::new(format!("Duplicate ID '{id}' for object")));
    }
    let QObject::Dict(options) = to_qobject(&options) else {
        return Err(Error::new("options of an object are an object"));
    };
    Ok(options)
}

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "object_add",
            "[qom-type=]type,id=str[,prop=value][,...]",
            "create QOM object",
        )
        .args(&[HmpArg::new("object", RestOfLine).completes(CompletionKind::ObjectTypes)])
        .preconfig(),
        hmp_object_add,
    ),
    (
        HmpRow::new("object_del", "id", "destroy QOM object")
            .args(&[HmpArg::new("id", Str).completes(CompletionKind::ObjectIds)])
            .preconfig(),
        hmp_object_del,
    ),
];

fn hmp_object_add(hmp: Cx, args: &HmpArgs) {
    let profile = hmp.rt.profile();
    let types = user_creatable_types(profile);
    if let Some(text) = object_help(args.str("object"), profile, &types) {
        return hmp.print(text);
    }
    let result = object_from_text(hmp.rt, args.str("object"));
    hmp.handle_error(result);
}

fn hmp_object_del(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_object_del(hmp.rt, args.str("id").to_owned());
    hmp.handle_error(result);
}

/// The help that `-object` asks for, if it does. Of a type that users cannot make there is
/// none.
pub fn object_help_wanted(options: &str, profile: Profile) -> Option<Result<String, Error>> {
    let types = user_creatable_types(profile);
    let text = object_help(options, profile, &types)?;
    let name = type_named(options);
    let is_known = matches!(name, "help" | "?") || types.contains(&name);
    Some(if is_known {
        Ok(text)
    } else {
        Err(Error::new(format!(
            "Parameter 'qom-type' does not accept value '{name}'"
        )))
    })
}

/// The type that the first option names.
fn type_named(options: &str) -> &str {
    let first = options.split(',').next().unwrap_or_default();
    first.strip_prefix("qom-type=").unwrap_or(first)
}

/// The text of `object_add` with `help` among the options: the types, or the properties
/// of one of them (`user_creatable_print_help`).
pub fn object_help(options: &str, profile: Profile, types: &[&str]) -> Option<String> {
    let mut items = options.split(',');
    if options.starts_with('{') || !items.any(|item| matches!(item, "help" | "?")) {
        return None;
    }
    let name = type_named(options);
    let Some(class) = find_type(name).filter(|_| types.contains(&name)) else {
        let lines = types.iter().map(|name| format!("  {name}\n"));
        return Some(format!(
            "List of user creatable objects:\n{}",
            lines.collect::<String>()
        ));
    };
    let properties = class.listed_properties(profile);
    let settable = properties.iter().filter(|p| p.set.is_some());
    let mut lines: Vec<String> = settable
        .map(|p| match p.description {
            "" => format!("  {}=<{}>\n", p.name, p.type_name),
            about => format!(
                "{:<24} - {about}\n",
                format!("  {}=<{}>", p.name, p.type_name)
            ),
        })
        .collect();
    lines.sort_unstable();
    Some(if lines.is_empty() {
        format!("There are no options for {name}.\n")
    } else {
        format!("{name} options:\n{}", lines.concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_types_or_what_a_type_can_be_given() {
        let types = user_creatable_types(Profile::V10_0);
        for options in ["iothread,id=x", "{'qom-type': 'help'}", "", "helpx"] {
            assert_eq!(
                object_help(options, Profile::V10_0, &types),
                None,
                "{options}"
            );
        }
        for options in ["help", "?", "nosuch,help", "help,id=x", "container,help"] {
            let text = object_help(options, Profile::V10_0, &types).unwrap_or_default();
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some("List of user creatable objects:"));
            assert!(lines.any(|line| line == "  iothread"), "{options}");
        }
        let options =
            "aio-max-batch poll-grow poll-max-ns poll-shrink thread-pool-max thread-pool-min";
        let lines = options.split(' ').map(|name| format!("  {name}=<int>\n"));
        let text = format!("iothread options:\n{}", lines.collect::<String>());
        assert_eq!(
            object_help("qom-type=iothread,id=x,help", Profile::V10_0, &types),
            Some(text)
        );
        let text = "There are no options for rng-builtin.\n";
        assert_eq!(
            object_help("rng-builtin,help", Profile::V10_0, &types).as_deref(),
            Some(text)
        );
    }
}
