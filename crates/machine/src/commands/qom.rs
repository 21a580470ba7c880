//! The tree of objects: `qom.json`.

use super::hmp::Cx;
use super::objects;
use crate::model::qom::{Chardevs, PropertyInput, PropertyListing};
use crate::model::types::{find_type, qom_list_properties, qom_list_types};
use crate::schema::{
    FdSocketAddress, InetSocketAddress, ObjectOptions, ObjectPropertyInfo, ObjectTypeInfo,
    QomCommands, SocketAddress, UnixSocketAddress, VcEncoding, VsockSocketAddress,
};
use crate::Machine;
use qmonitor::chardev::{self, ChardevHost, SocketAddress as Address};
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::json::{qobject_from_json_in, qobject_to_json};
use qmonitor::qapi::visit::to_qobject;
use qmonitor::qapi::{Error, QObject};
use qmonitor::Runtime;

impl QomCommands for Machine {
    fn qmp_qom_list(rt: &mut Runtime<Self>, path: &str) -> Result<Vec<ObjectPropertyInfo>, Error> {
        let list = rt.state.qom_list(path, &ChardevNodes(rt))?;
        Ok(list.into_iter().map(property_info).collect())
    }

    fn qmp_qom_get(rt: &mut Runtime<Self>, path: &str, property: &str) -> Result<QObject, Error> {
        let chardevs = ChardevNodes(rt);
        if rt.current_monitor_is_read_only() && rt.state.is_secret(path, property, &chardevs) {
            let what = format!("The property '{property}' is hidden");
            return Err(Error::new(format!(
                "{what} because this monitor is read-only"
            )));
        }
        rt.state.qom_get(path, property, &chardevs)
    }

    fn qmp_qom_set(
        rt: &mut Runtime<Self>,
        path: String,
        property: String,
        value: QObject,
    ) -> Result<(), Error> {
        let input = PropertyInput::json(&property, value, rt.policy());
        qom_set(rt, &path, &property, &input)
    }

    fn qmp_qom_list_types(
        rt: &mut Runtime<Self>,
        implements: Option<String>,
        r#abstract: Option<bool>,
    ) -> Result<Vec<ObjectTypeInfo>, Error> {
        let list = qom_list_types(
            implements.as_deref(),
            r#abstract.unwrap_or(false),
            rt.profile(),
        );
        let info = |t: crate::model::qom::TypeListing| ObjectTypeInfo {
            name: t.name.to_owned(),
            r#abstract: t.is_abstract.then_some(true),
            parent: t.parent.map(str::to_owned),
        };
        Ok(list.into_iter().map(info).collect())
    }

    fn qmp_qom_list_properties(
        rt: &mut Runtime<Self>,
        typename: String,
    ) -> Result<Vec<ObjectPropertyInfo>, Error> {
        let list = qom_list_properties(&typename, rt.profile())?;
        Ok(list.into_iter().map(property_info).collect())
    }

    fn qmp_object_add(rt: &mut Runtime<Self>, options: ObjectOptions) -> Result<(), Error> {
        objects::object_add(rt, &options)
    }

    fn qmp_object_del(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        objects::object_del(rt, &id)
    }
}

pub(super) fn property_info(listing: PropertyListing) -> ObjectPropertyInfo {
    ObjectPropertyInfo {
        name: listing.name,
        r#type: listing.type_name,
        description: listing.description.map(str::to_owned),
        default_value: listing.default_value,
    }
}

fn qom_set(
    rt: &mut Runtime<Machine>,
    path: &str,
    property: &str,
    input: &PropertyInput,
) -> Result<(), Error> {
    let id = rt.state.settable(path, property, &ChardevNodes(rt))?;
    rt.state.property_set(id, property, input)?;
    objects::property_changed(rt, id, property);
    Ok(())
}

/// The chardevs of a runtime, as the tree of objects shows them.
pub(super) struct ChardevNodes<'a>(pub(super) &'a Runtime<Machine>);

impl ChardevNodes<'_> {
    fn chardev(&self, label: &str) -> Option<&chardev::Chardev<Runtime<Machine>>> {
        let chardevs = self.0.chardevs();
        chardevs.get(chardevs.find(label)?)
    }
}

impl Chardevs for ChardevNodes<'_> {
    fn find(&self, label: &str) -> Option<&str> {
        self.chardev(label).map(chardev::Chardev::label)
    }

    fn labels(&self) -> Vec<&str> {
        let chardevs = self.0.chardevs().listed();
        chardevs.map(|chr| chr.label()).collect()
    }

    fn class(&self, label: &str) -> &'static str {
        let class = self.chardev(label).and_then(|chr| {
            let name = format!("chardev-{}", chr.kind());
            find_type(&name)
        });
        class.map_or("chardev", |class| class.name)
    }

    fn properties(&self, label: &str) -> Vec<(&'static str, &'static str, QObject)> {
        let Some(id) = chardev::qemu_chr_find(self.0, label) else {
            return Vec::new();
        };
        let encoding = self.0.chardevs().state::<VcEncoding>(id);
        if let Some(encoding) = encoding.filter(|_| self.0.profile().has_console_objects()) {
            return vec![("encoding", "ChardevVCEncoding", encoding.as_str().into())];
        }
        let Some(addr) = chardev::char_socket_get_addr(self.0, id) else {
            return Vec::new();
        };
        let is_open = self.chardev(label).is_some_and(|chr| chr.is_open());
        vec![
            ("connected", "bool", is_open.into()),
            ("addr", "SocketAddress", to_qobject(&socket_address(addr))),
        ]
    }
}

/// An address as clients see it.
pub(super) fn socket_address(addr: &Address) -> SocketAddress {
    match addr.clone() {
        Address::Inet(inet) => SocketAddress::Inet(InetSocketAddress {
            host: inet.host,
            port: inet.port,
            numeric: None,
            to: inet.to,
            ipv4: inet.ipv4,
            ipv6: inet.ipv6,
            keep_alive: None,
            keep_alive_count: None,
            keep_alive_idle: None,
            keep_alive_interval: None,
            mptcp: None,
        }),
        Address::Unix(unix) => SocketAddress::Unix(UnixSocketAddress {
            path: unix.path,
            r#abstract: unix.abstract_,
            tight: unix.tight,
        }),
        Address::Vsock { cid, port } => SocketAddress::Vsock(VsockSocketAddress { cid, port }),
        Address::Fd(str) => SocketAddress::Fd(FdSocketAddress { str }),
    }
}

/// The path of an object.
const QOM_PATH: HmpArg = HmpArg::new("path", Str).completes_in_full(CompletionKind::QomPaths);

const QOM_PROPERTY: HmpArg =
    HmpArg::new("property", Str).completes_in_full(CompletionKind::QomProperties);

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
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

fn hmp_qom_get(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_qom_get(hmp.rt, args.str("path"), args.str("property"));
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
    let result = Machine::qmp_qom_list(hmp.rt, path);
    for info in hmp.handle_error(result).unwrap_or_default() {
        hmp.print(format!("{} ({})\n", info.name, info.r#type));
    }
}

fn hmp_qom_set(hmp: Cx, args: &HmpArgs) {
    let (path, property) = (args.str("path").to_owned(), args.str("property").to_owned());
    let value = args.str("value");
    let result = if args.flag("json") {
        qobject_from_json_in(hmp.rt.profile().dialect(), value.as_bytes())
            .and_then(|value| Machine::qmp_qom_set(hmp.rt, path, property, value))
    } else {
        let input = PropertyInput::text(&property, value);
        qom_set(hmp.rt, &path, &property, &input)
    };
    hmp.handle_error(result);
}

fn hmp_info_qom_tree(hmp: Cx, args: &HmpArgs) {
    let path = args.try_str("path").unwrap_or("/machine");
    let chardevs = ChardevNodes(hmp.rt);
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
        let list = rt.state.qom_list(path, &ChardevNodes(rt));
        let mut list = list.unwrap_or_default();
        list.retain(|property| property.type_name.starts_with("child<"));
        list
    };
    let name = |child: PropertyListing| {
        let path = format!("{}{}", &word[..=slash], child.name);
        if children(&path).is_empty() {
            path
        } else {
            path + "/"
        }
    };
    children(parent).into_iter().map(name).collect()
}

/// The properties of the object with this path, but for its children.
pub(super) fn complete_property(rt: &Runtime<Machine>, path: &[u8]) -> Vec<String> {
    let path = String::from_utf8_lossy(path);
    let list = rt.state.qom_list(&path, &ChardevNodes(rt));
    let properties = list.unwrap_or_default().into_iter();
    properties
        .filter(|property| !property.type_name.starts_with("child<"))
        .map(|property| property.name)
        .collect()
}
