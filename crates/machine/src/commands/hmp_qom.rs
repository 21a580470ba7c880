//! HMP commands about objects.

use crate::commands;
use crate::model::backends::{find_type, user_creatable_types};
use crate::model::qom::{PropertyInput, PropertyListing};
use crate::schema::QomCommands;
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, Hmp, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::json::{qobject_from_json, qobject_to_json};
use qmonitor::Runtime;

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// The path of an object.
const QOM_PATH: HmpArg = HmpArg::new("path", Str).completes_in_full(CompletionKind::QomPaths);

const QOM_PROPERTY: HmpArg =
    HmpArg::new("property", Str).completes_in_full(CompletionKind::QomProperties);

/// The commands.
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
    (
        HmpRow::new("qom-get", "path property", "print QOM property")
            .args(&[QOM_PATH, QOM_PROPERTY])
            .preconfig()
            .read_only(),
        hmp_qom_get,
    ),
    (
        HmpRow::new("qom-list", "path", "list QOM properties")
            .args(&[QOM_PATH.optional()])
            .preconfig()
            .read_only(),
        hmp_qom_list,
    ),
    (
        HmpRow::new(
            "qom-set",
            "[-j] path property value",
            "set QOM property.\n\t\t\t-j: the value is specified in json format.",
        )
        .args(&[
            HmpArg::new("json", Flag('j')),
            QOM_PATH,
            QOM_PROPERTY,
            HmpArg::new("value", RestOfLine),
        ])
        .preconfig(),
        hmp_qom_set,
    ),
];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new("qom-tree", "[path]", "show QOM composition tree")
        .args(&[QOM_PATH.optional()])
        .preconfig(),
    hmp_info_qom_tree,
)];

fn hmp_object_add(hmp: Cx, args: &HmpArgs) {
    if let Some(text) = object_help(args.str("object")) {
        return hmp.print(text);
    }
    let result = commands::object_from_text(hmp.rt, args.str("object"));
    hmp.handle_error(result);
}

/// What `object_add` prints if `help` is among the options: the types, or what
/// a type can be given (`user_creatable_print_help`).
fn object_help(options: &str) -> Option<String> {
    let mut items = options.split(',');
    if options.starts_with('{') || !items.any(|item| matches!(item, "help" | "?")) {
        return None;
    }
    let first = options.split(',').next().unwrap_or_default();
    let name = first.strip_prefix("qom-type=").unwrap_or(first);
    let types = user_creatable_types();
    let Some(class) = find_type(name).filter(|_| types.contains(&name)) else {
        let lines = types.iter().map(|name| format!("  {name}\n"));
        return Some(format!(
            "List of user creatable objects:\n{}",
            lines.collect::<String>()
        ));
    };
    let properties = class.all_properties();
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
    Some(match lines.is_empty() {
        true => format!("There are no options for {name}.\n"),
        false => format!("{name} options:\n{}", lines.concat()),
    })
}

fn hmp_object_del(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_object_del(hmp.rt, args.str("id").to_owned());
    hmp.handle_error(result);
}

fn hmp_qom_get(hmp: Cx, args: &HmpArgs) {
    let (path, property) = (args.str("path").to_owned(), args.str("property").to_owned());
    let result = Machine::qmp_qom_get(hmp.rt, path, property);
    if let Some(value) = hmp.handle_error(result) {
        let text = qobject_to_json(&value, true);
        hmp.print(format!("{text}\n"));
    }
}

fn hmp_qom_list(hmp: Cx, args: &HmpArgs) {
    let Some(path) = args.try_str("path") else {
        hmp.print("/\n");
        return;
    };
    let result = Machine::qmp_qom_list(hmp.rt, path.to_owned());
    for info in hmp.handle_error(result).unwrap_or_default() {
        hmp.print(format!("{} ({})\n", info.name, info.r#type));
    }
}

fn hmp_qom_set(hmp: Cx, args: &HmpArgs) {
    let (path, property) = (args.str("path").to_owned(), args.str("property").to_owned());
    let value = args.str("value");
    let result = if args.flag("json") {
        qobject_from_json(value.as_bytes())
            .and_then(|value| Machine::qmp_qom_set(hmp.rt, path, property, value))
    } else {
        let chardevs = commands::chardev_nodes(hmp.rt);
        let input = PropertyInput::text(&property, value);
        hmp.rt.state.qom_set(&path, &property, &input, &chardevs)
    };
    hmp.handle_error(result);
}

fn hmp_info_qom_tree(hmp: Cx, args: &HmpArgs) {
    let path = args.try_str("path").unwrap_or("/machine");
    let chardevs = commands::chardev_nodes(hmp.rt);
    match hmp.rt.state.qom_tree(path, &chardevs) {
        Some(lines) => {
            for (depth, name, typename) in lines {
                let indent = 2 * depth;
                hmp.print(format!("{:indent$}/{name} ({typename})\n", ""));
            }
        }
        None => hmp.print(format!("Path '{path}' could not be resolved.\n")),
    }
}

/// The children of the object that a path has come to so far, with `/` behind
/// those that have children themselves.
pub(super) fn complete_path(rt: &Runtime<Machine>, word: &[u8]) -> Vec<String> {
    let word = String::from_utf8_lossy(word);
    let Some(slash) = word.rfind('/') else {
        return vec!["/".to_owned()];
    };
    let parent = if slash == 0 { "/" } else { &word[..slash] };
    let children = |path: &str| {
        let list = rt.state.qom_list(path, &commands::chardev_nodes(rt));
        let mut list = list.unwrap_or_default();
        list.retain(|property| property.type_name.starts_with("child<"));
        list
    };
    let name = |child: PropertyListing| {
        let path = format!("{}{}", &word[..=slash], child.name);
        match children(&path).is_empty() {
            true => path,
            false => path + "/",
        }
    };
    children(parent).into_iter().map(name).collect()
}

/// The properties of the object with this path, but for its children.
pub(super) fn complete_property(rt: &Runtime<Machine>, path: &[u8]) -> Vec<String> {
    let path = String::from_utf8_lossy(path);
    let list = rt.state.qom_list(&path, &commands::chardev_nodes(rt));
    let properties = list.unwrap_or_default().into_iter();
    properties
        .filter(|property| !property.type_name.starts_with("child<"))
        .map(|property| property.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_types_or_what_a_type_can_be_given() {
        for options in ["iothread,id=x", "{'qom-type': 'help'}", "", "helpx"] {
            assert_eq!(object_help(options), None, "{options}");
        }
        for options in ["help", "?", "nosuch,help", "help,id=x", "container,help"] {
            let text = object_help(options).unwrap_or_default();
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some("List of user creatable objects:"));
            assert!(lines.any(|line| line == "  iothread"), "{options}");
        }
        let options =
            "aio-max-batch poll-grow poll-max-ns poll-shrink thread-pool-max thread-pool-min";
        let lines = options.split(' ').map(|name| format!("  {name}=<int>\n"));
        let text = format!("iothread options:\n{}", lines.collect::<String>());
        assert_eq!(object_help("qom-type=iothread,id=x,help"), Some(text));
        let text = "There are no options for rng-builtin.\n";
        assert_eq!(object_help("rng-builtin,help").as_deref(), Some(text));
    }
}
