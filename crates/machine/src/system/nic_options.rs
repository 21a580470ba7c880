//! `-nic` and `-net`: adapters of the board, and back ends on a common hub.

use super::cli::Opt;
use super::report::{Failure, Pending, Reporter};
use super::settings::Settings;
use crate::commands::netdev_from_cli;
use crate::model::board::Family;
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::{QemuOpts, QemuOptsList};
use qmonitor::Runtime;

static NIC_OPTS: QemuOptsList = QemuOptsList {
    name: "nic",
    implied_opt_name: Some("type"),
    desc: &[],
    extensions: &[],
};

/// An adapter to be made with the board.
pub(super) struct Nic {
    model: Option<String>,
    mac: Option<String>,
    name: Option<String>,
    netdev: String,
}

/// Options of the adapter in `-nic`; the others are of the back end.
const OF_THE_ADAPTER: &[&str] = &["model", "mac", "macaddr", "addr", "vectors", "name"];

/// Makes the back ends of these options and returns the adapters.
pub(super) fn make_nets(
    rt: &mut Runtime<Machine>,
    pending: &[Pending],
    by_default: bool,
) -> Result<Vec<Nic>, Failure> {
    let mut nics = Vec::new();
    let mut ports = 0;
    let defaults = [
        Pending::by_default(Opt::Net, "nic"),
        Pending::by_default(Opt::Net, "user"),
    ];
    let defaults = defaults.iter().filter(|_| by_default);
    for item in pending.iter().chain(defaults) {
        let made = match item.opt {
            Opt::Nic => make_nic(rt, &item.arg),
            Opt::Net => make_net(rt, &item.arg, &mut ports),
            _ => continue,
        };
        nics.extend(made.map_err(|e| item.failed(e))?);
    }
    Ok(nics)
}

fn check_mac(opts: &QemuOpts) -> Result<Option<String>, Error> {
    let Some(mac) = opts.get("mac").or(opts.get("macaddr")) else {
        return Ok(None);
    };
    let parts: Vec<&str> = mac.split([':', '-']).collect();
    let byte = |part: &&str| !part.is_empty() && u8::from_str_radix(part, 16).is_ok();
    if parts.len() == 6 && parts.iter().all(byte) {
        Ok(Some(mac.to_owned()))
    } else {
        Err(Error::new("invalid syntax for ethernet address"))
    }
}

/// Checks the options of `-net nic` and `-net none`.
fn check_names(opts: &QemuOpts, kind: &str) -> Result<(), Error> {
    let known: &[&str] = match kind {
        "nic" => &[
            "type", "name", "netdev", "macaddr", "model", "addr", "vectors",
        ],
        _ => &["type", "name"],
    };
    for (name, value) in opts.iter() {
        if !known.contains(&name) {
            return Err(Error::new(format!("Invalid parameter '{name}'")));
        }
        if name == "vectors" && value.parse::<u32>().is_err() {
            let desc = "Parameter 'vectors' expects a uint64 value";
            return Err(Error::new(desc));
        }
    }
    Ok(())
}

/// The options but for some, as text.
fn text_without(opts: &QemuOpts, left_out: &[&str]) -> String {
    let kept = opts.iter().filter(|(name, _)| !left_out.contains(name));
    let words: Vec<String> = kept
        .map(|(name, value)| format!("{name}={}", value.replace(',', ",,")))
        .collect();
    words.join(",")
}

fn make_nic(rt: &mut Runtime<Machine>, arg: &str) -> Result<Option<Nic>, Error> {
    let opts = QemuOpts::parse(&NIC_OPTS, arg, &mut Vec::new())?;
    let kind = opts.get("type").unwrap_or("user");
    if kind == "none" {
        return Ok(None);
    }
    let mac = check_mac(&opts)?;
    let netdev = match opts.id() {
        Some(id) => id.to_owned(),
        None => rt.state.net.new_id("#net"),
    };
    if kind != "hubport" && kind == "nic" {
        let desc = format!("Parameter 'type' does not accept value '{kind}'");
        return Err(Error::new(desc));
    }
    let mut backend = text_without(&opts, OF_THE_ADAPTER);
    if opts.get("type").is_none() {
        backend = format!("type={kind},{backend}");
    }
    let backend = backend.trim_end_matches(',');
    add_netdev(rt, backend, &netdev)?;
    Ok(Some(Nic {
        model: opts.get("model").map(str::to_owned),
        mac,
        name: opts.id().map(str::to_owned),
        netdev,
    }))
}

/// Ids that are made up are no words that users may write.
fn add_netdev(rt: &mut Runtime<Machine>, backend: &str, id: &str) -> Result<(), Error> {
    if id.starts_with('#') {
        return crate::commands::netdev_with_id(rt, backend, id);
    }
    netdev_from_cli(rt, &format!("{backend},id={id}"), &mut Vec::new())
}

fn make_net(rt: &mut Runtime<Machine>, arg: &str, ports: &mut usize) -> Result<Option<Nic>, Error> {
    let opts = QemuOpts::parse(&NIC_OPTS, arg, &mut Vec::new())?;
    let kind = opts.get("type").unwrap_or_default();
    if matches!(kind, "none" | "nic") {
        check_names(&opts, kind)?;
    }
    if kind == "none" {
        return Ok(None);
    }
    let mac = check_mac(&opts)?;
    let netdev = opts.get("netdev").map(str::to_owned);
    if let Some(netdev) = netdev.as_ref().filter(|_| kind == "nic") {
        if rt.state.net.peer(netdev).is_none() {
            return Err(Error::new(format!("netdev '{netdev}' not found")));
        }
    }
    let port = format!("hub0port{ports}");
    if kind == "nic" {
        let netdev = match netdev {
            Some(netdev) => netdev,
            None => {
                *ports += 1;
                rt.state.net.add_port(0, &port, None)?;
                port
            }
        };
        return Ok(Some(Nic {
            model: opts.get("model").map(str::to_owned),
            mac,
            name: Some(match opts.get("name").or(opts.id()) {
                Some(name) => name.to_owned(),
                None => rt.state.net.new_id("#net"),
            }),
            netdev,
        }));
    }
    let id = match opts.get("name").or(opts.id()) {
        Some(id) => id.to_owned(),
        None => rt.state.net.new_id("#net"),
    };
    add_netdev(rt, &text_without(&opts, &["name"]), &id)?;
    *ports += 1;
    rt.state.net.add_port(0, &port, Some(&id))?;
    Ok(None)
}

/// Makes the adapters and returns those that have no model here, or no place on the board.
pub(super) fn make_nics<'a>(
    rt: &mut Runtime<Machine>,
    settings: &Settings,
    nics: &'a [Nic],
) -> Result<Vec<&'a Nic>, Failure> {
    let class = settings.hardware.class;
    let mut missing = Vec::new();
    for nic in nics {
        let default = match class.family {
            Family::Q35 => "e1000e",
            Family::Isa => "ne2k_isa",
            _ => "e1000",
        };
        let model = match nic.model.as_deref() {
            None => default,
            Some("virtio") => "virtio-net-pci",
            Some(model) => model,
        };
        let mut properties = vec![("netdev", nic.netdev.as_str())];
        if let Some(mac) = &nic.mac {
            properties.push(("mac", mac));
        }
        if !class.is_pc() || !crate::commands::board_nic(rt, model, &properties)? {
            missing.push(nic);
        }
    }
    Ok(missing)
}

/// Says of adapters that they were not made.
pub(super) fn warn_of_missing(nics: &[&Nic], reporter: &Reporter) {
    for nic in nics {
        let name = nic.name.as_deref().unwrap_or("anonymous");
        let model = nic.model.as_deref().unwrap_or("unspecified");
        let desc = format!(
            "requested NIC ({name}, model {model}) was not created (not supported by this \
             machine?)"
        );
        reporter.warning(None, &Error::new(desc));
    }
}
