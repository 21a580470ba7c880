//! The tree of objects: `qom.json`.

use super::objects;
use crate::model::backends::find_type;
use crate::model::qom::{
    qom_list_properties, qom_list_types, ChardevNode, PropertyInput, PropertyListing,
};
use crate::schema::{
    FdSocketAddress, InetSocketAddress, ObjectOptions, ObjectPropertyInfo, ObjectTypeInfo,
    QomCommands, SocketAddress, UnixSocketAddress, VsockSocketAddress,
};
use crate::Machine;
use qmonitor::chardev::{self, ChardevHost, SocketAddress as Address};
use qmonitor::qapi::visit::to_qobject;
use qmonitor::qapi::{Error, QObject};
use qmonitor::Runtime;

impl QomCommands for Machine {
    fn qmp_qom_list(
        rt: &mut Runtime<Self>,
        path: String,
    ) -> Result<Vec<ObjectPropertyInfo>, Error> {
        let list = rt.state.qom_list(&path, &chardev_nodes(rt))?;
        Ok(list.into_iter().map(property_info).collect())
    }

    fn qmp_qom_get(
        rt: &mut Runtime<Self>,
        path: String,
        property: String,
    ) -> Result<QObject, Error> {
        rt.state.qom_get(&path, &property, &chardev_nodes(rt))
    }

    fn qmp_qom_set(
        rt: &mut Runtime<Self>,
        path: String,
        property: String,
        value: QObject,
    ) -> Result<(), Error> {
        let chardevs = chardev_nodes(rt);
        let input = PropertyInput::json(&property, value, rt.policy());
        rt.state.qom_set(&path, &property, &input, &chardevs)
    }

    fn qmp_qom_list_types(
        _: &mut Runtime<Self>,
        implements: Option<String>,
        r#abstract: Option<bool>,
    ) -> Result<Vec<ObjectTypeInfo>, Error> {
        let list = qom_list_types(implements.as_deref(), r#abstract.unwrap_or(false));
        let info = |t: crate::model::qom::TypeListing| ObjectTypeInfo {
            name: t.name.to_owned(),
            r#abstract: t.is_abstract.then_some(true),
            parent: t.parent.map(str::to_owned),
        };
        Ok(list.into_iter().map(info).collect())
    }

    fn qmp_qom_list_properties(
        _: &mut Runtime<Self>,
        typename: String,
    ) -> Result<Vec<ObjectPropertyInfo>, Error> {
        let list = qom_list_properties(&typename)?;
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
        default_value: None,
    }
}

/// The chardevs that exist, as the tree of objects shows them.
pub fn chardev_nodes(rt: &Runtime<Machine>) -> Vec<ChardevNode> {
    let node = |(id, chr): (_, &chardev::Chardev<_>)| {
        let class = find_type(&format!("chardev-{}", chr.kind()));
        let properties = match chardev::char_socket_get_addr(rt, id) {
            Some(addr) => vec![
                ("addr", "SocketAddress", socket_address(addr)),
                ("connected", "bool", chr.is_open().into()),
            ],
            None => Vec::new(),
        };
        ChardevNode {
            label: chr.label().to_owned(),
            class: class.map_or("chardev", |class| class.name),
            properties,
        }
    };
    rt.chardevs().iter().map(node).collect()
}

fn socket_address(addr: &Address) -> QObject {
    to_qobject(&match addr.clone() {
        Address::Inet(inet) => SocketAddress::Inet(InetSocketAddress {
            host: inet.host,
            port: inet.port,
            numeric: None,
            to: inet.to,
            ipv4: inet.ipv4,
            ipv6: inet.ipv6,
            keep_alive: None,
            mptcp: None,
        }),
        Address::Unix(unix) => SocketAddress::Unix(UnixSocketAddress {
            path: unix.path,
            r#abstract: unix.abstract_,
            tight: unix.tight,
        }),
        Address::Vsock { cid, port } => SocketAddress::Vsock(VsockSocketAddress { cid, port }),
        Address::Fd(str) => SocketAddress::Fd(FdSocketAddress { str }),
    })
}
