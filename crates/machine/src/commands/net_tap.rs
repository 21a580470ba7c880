//! `tap`: an interface of the host. No packet moves, so none is made, but options that
//! contradict each other are refused.

use super::netdevs::Flat;
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::qapi_bool_parse;

/// What `info network` says of it.
///
/// # Errors
///
/// An option is wrong, or another one excludes it.
pub(super) fn tap(id: &str, options: &Flat) -> Result<String, Error> {
    check_values(options)?;
    check_company(options)?;
    if let Some(fd) = options.get("fd") {
        check_fd(id, fd)?;
        return Ok(format!("fd={fd}"));
    }
    if let Some(fds) = options.get("fds") {
        let count = |text: &str| text.split(':').count();
        let vhostfds = options.get("vhostfds");
        if vhostfds.is_some_and(|vhostfds| count(vhostfds) != count(fds)) {
            let desc = "The number of fds passed does not match the number of vhostfds passed";
            return Err(Error::new(desc));
        }
        fds.split(':').try_for_each(|fd| check_fd(id, fd))?;
        return Ok("fd=0".to_owned());
    }
    if let Some(helper) = options.get("helper") {
        if std::fs::metadata(helper).is_err() {
            return Err(Error::new("bridge helper failed"));
        }
        return Ok(format!("helper={helper}"));
    }
    let or = |name, default| options.get(name).unwrap_or(default);
    Ok(format!(
        "ifname={},script={},downscript={}",
        or("ifname", "tap0"),
        or("script", "/etc/qemu-ifup"),
        or("downscript", "/etc/qemu-ifdown")
    ))
}

fn check_values(options: &Flat) -> Result<(), Error> {
    for name in ["vnet_hdr", "vhost", "vhostforce"] {
        if let Some(value) = options.get(name) {
            qapi_bool_parse(name, value)?;
        }
    }
    for name in ["queues", "poll-us"] {
        if options.get(name).is_some_and(|n| n.parse::<u64>().is_err()) {
            let desc = format!("Parameter '{name}' expects a uint64 value");
            return Err(Error::new(desc));
        }
    }
    match options.get("sndbuf") {
        Some(size) if qmonitor::qapi::visit::parse_size(size).is_err() => {
            Err(Error::new("Parameter 'sndbuf' expects a size value"))
        }
        _ => Ok(()),
    }
}

/// Each way to come by an interface, the options that it excludes, and the error about one.
const EXCLUDED: &[(&str, &[&str], &str)] = &[
    (
        "fd",
        &[
            "ifname",
            "script",
            "downscript",
            "vnet_hdr",
            "helper",
            "queues",
            "fds",
            "vhostfds",
        ],
        "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, fds=, and vhostfds= are \
         invalid with fd=",
    ),
    (
        "fds",
        &[
            "ifname",
            "script",
            "downscript",
            "vnet_hdr",
            "helper",
            "queues",
            "vhostfd",
        ],
        "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, and vhostfd= are invalid \
         with fds=",
    ),
    (
        "helper",
        &[
            "ifname",
            "script",
            "downscript",
            "vnet_hdr",
            "queues",
            "vhostfds",
        ],
        "ifname=, script=, downscript=, vnet_hdr=, queues=, and vhostfds= are invalid with \
         helper=",
    ),
];

fn check_company(options: &Flat) -> Result<(), Error> {
    let mut ways = EXCLUDED.iter();
    let Some((_, excluded, desc)) = ways.find(|(way, ..)| options.get(way).is_some()) else {
        return Ok(());
    };
    match excluded.iter().find(|name| options.get(name).is_some()) {
        Some(_) => Err(Error::new(*desc)),
        None => Ok(()),
    }
}

/// A number is a descriptor of the program; a name would be one that a monitor was sent.
fn check_fd(id: &str, fd: &str) -> Result<(), Error> {
    if fd.parse::<i32>().is_err() {
        let desc = format!("Invalid file descriptor number '{fd}'");
        return Err(Error::new(desc));
    }
    if std::fs::metadata(format!("/proc/self/fd/{fd}")).is_err() {
        return Err(Error::new(format!(
            "{id}: Can't use file descriptor {fd}: Bad file descriptor"
        )));
    }
    Ok(())
}
