//! Streams, commits, and other names for the images below.

use super::job_args::{device_node, named_node, root_node, settings};
use super::jobs::with_jobs;
use crate::model::block::BlockOp;
use crate::model::jobs::{
    above, backing, find_file, unfiltered, CommitPlan, Extents, MirrorPlan, StreamPlan,
};
use crate::model::qom::device_not_found;
use crate::schema::{
    BlockCommit, BlockStream, BlockdevDriver, BlockdevOnError, JobType, MirrorCopyMode,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

pub(super) fn block_stream(rt: &mut Rt, arg: BlockStream) -> Result<(), Error> {
    let m = &rt.state;
    for (one, other, names) in [
        (&arg.base, &arg.base_node, ["base", "base-node"]),
        (&arg.base, &arg.bottom, ["base", "bottom"]),
        (&arg.bottom, &arg.base_node, ["bottom", "base-node"]),
    ] {
        if one.is_some() && other.is_some() {
            let [one, other] = names;
            return Err(Error::new(format!(
                "'{one}' and '{other}' cannot be specified at the same time"
            )));
        }
    }
    let node = device_node(m, &arg.device)?;
    let base = stream_base(m, &node, &arg)?;
    let is_based = arg.base.is_some() || arg.base_node.is_some();
    if !is_based && arg.backing_file.is_some() {
        return Err(Error::new(
            "backing file specified, but streaming the entire chain",
        ));
    }
    let plan = StreamPlan {
        backing: base.as_deref().map(|base| {
            let mask = arg.backing_mask_protocol == Some(true);
            header_backing(m, base, arg.backing_file.as_deref(), mask)
        }),
        node,
        base,
        on_error: arg.on_error.unwrap_or(BlockdevOnError::Report),
        filter_name: arg.filter_node_name,
    };
    let settings = settings(
        m,
        JobType::Stream,
        (arg.job_id, &arg.device),
        arg.speed,
        arg.auto_finalize,
        arg.auto_dismiss,
    );
    with_jobs(rt, |m| m.start_stream(settings, plan).map(|_| ()))
}

/// The image that stays below.
fn stream_base(m: &Machine, node: &str, arg: &BlockStream) -> Result<Option<String>, Error> {
    let below = |name: &str| backing(&m.blocks, name);
    let chain = above(&m.blocks, node, None).unwrap_or_default();
    if let Some(file) = &arg.base {
        let found = find_file(&m.blocks, node, file).filter(|base| base != node);
        let missing = || Error::new(format!("Can't find '{file}' in the backing chain"));
        return found.map(Some).ok_or_else(missing);
    }
    if let Some(name) = &arg.base_node {
        let name = named_node(m, name)?;
        if name == node || !chain.contains(&unfiltered(&m.blocks, &name)) {
            return Err(Error::new(format!(
                "Node '{name}' is not a backing image of '{node}'"
            )));
        }
        return Ok(Some(unfiltered(&m.blocks, &name)));
    }
    if let Some(name) = &arg.bottom {
        let name = named_node(m, name)?;
        if !chain.contains(&name) {
            return Err(Error::new(format!(
                "Node '{name}' is not in a chain starting from '{node}'"
            )));
        }
        return Ok(below(&name));
    }
    Ok(None)
}

/// What a header says of an image below: a name that was given or its own, and its format.
fn header_backing(m: &Machine, base: &str, name: Option<&str>, mask: bool) -> (String, String) {
    let node = m.blocks.node(base);
    let own = node.map(|node| node.filename.clone());
    let name = name.map(str::to_owned).or(own).unwrap_or_default();
    let driver = node.map_or(BlockdevDriver::Raw, |node| node.driver);
    let is_protocol = node.is_some_and(|node| {
        !node.is_filter() && m.blocks.file_of(node).is_none() && m.blocks.backing_of(node).is_none()
    });
    let format = if mask && is_protocol {
        BlockdevDriver::Raw
    } else {
        driver
    };
    (name, format.as_str().to_owned())
}

#[allow(deprecated)] // They are still to be taken.
pub(super) fn block_commit(rt: &mut Rt, arg: BlockCommit) -> Result<(), Error> {
    let m = &rt.state;
    if m.blocks.node(&arg.device).is_none() && m.blocks.backends.get(&arg.device).is_none() {
        return Err(device_not_found(&arg.device));
    }
    let device = root_node(m, &arg.device)?;
    m.blocks.check_op(&device, BlockOp::CommitSource)?;
    let exclusive = |one: &str, other: &str| {
        Error::new(format!("'{one}' and '{other}' are mutually exclusive"))
    };
    let not_in_chain =
        |name: &str| Error::new(format!("'{name}' is not in this backing file chain"));
    let chain = above(&m.blocks, &device, None).unwrap_or_default();
    let top = match (&arg.top_node, &arg.top) {
        (Some(_), Some(_)) => return Err(exclusive("top-node", "top")),
        (Some(name), None) => {
            let name = named_node(m, name)?;
            if !chain.contains(&name) {
                return Err(not_in_chain(&name));
            }
            name
        }
        (None, Some(file)) => find_file(&m.blocks, &device, file)
            .ok_or_else(|| Error::new(format!("Top image file {file} not found")))?,
        (None, None) => device.clone(),
    };
    let from_top = above(&m.blocks, &top, None).unwrap_or_default();
    let base = match (&arg.base_node, &arg.base) {
        (Some(_), Some(_)) => return Err(exclusive("base-node", "base")),
        (Some(name), None) => {
            let name = named_node(m, name)?;
            if name == device && name != top {
                return Err(Error::new("cannot commit an image into itself"));
            }
            if !from_top.contains(&name) {
                return Err(not_in_chain(&name));
            }
            name
        }
        (None, Some(file)) => find_file(&m.blocks, &top, file)
            .ok_or_else(|| Error::new(format!("Can't find '{file}' in the backing chain")))?,
        (None, None) => from_top.last().cloned().unwrap_or_default(),
    };
    for image in from_top.iter().skip_while(|image| **image != top) {
        m.blocks.check_op(image, BlockOp::CommitTarget)?;
        if *image == base {
            break;
        }
    }
    if top == base {
        return Err(Error::new("cannot commit an image into itself"));
    }
    let settings = settings(
        m,
        JobType::Commit,
        (arg.job_id, &arg.device),
        arg.speed,
        arg.auto_finalize,
        arg.auto_dismiss,
    );
    let on_error = arg.on_error.unwrap_or(BlockdevOnError::Report);
    if top == device {
        if arg.backing_file.is_some() {
            return Err(Error::new(format!(
                "'backing-file' specified, but '{top}' is the active layer"
            )));
        }
        let plan = MirrorPlan {
            extents: Extents::Above(Some(base.clone())),
            source: top,
            target: base,
            replaces: None,
            backing: None,
            copy_mode: MirrorCopyMode::Background,
            granularity: 65536,
            on_source_error: on_error,
            on_target_error: on_error,
            filter_name: arg.filter_node_name,
            is_own_target: false,
        };
        return with_jobs(rt, |m| m.start_mirror(settings, plan).map(|_| ()));
    }
    let mask = arg.backing_mask_protocol == Some(true);
    let plan = CommitPlan {
        backing: header_backing(m, &base, arg.backing_file.as_deref(), mask),
        top,
        base,
        on_error,
        filter_name: arg.filter_node_name,
    };
    with_jobs(rt, |m| m.start_commit(settings, plan, &device).map(|_| ()))
}

pub(super) fn change_backing_file(
    rt: &mut Rt,
    device: &str,
    image: &str,
    name: &str,
) -> Result<(), Error> {
    let m = &rt.state;
    let device = root_node(m, device)?;
    let image = named_node(m, image)?;
    let Some(below) = backing(&m.blocks, &image) else {
        return Err(Error::new(
            "not allowing backing file change on an image without a backing file",
        ));
    };
    m.blocks.check_op(&device, BlockOp::Change)?;
    let chain = above(&m.blocks, &device, None).unwrap_or_default();
    if !chain.contains(&image) {
        return Err(Error::new(format!(
            "'{device}' and image file are not in the same chain"
        )));
    }
    let format = m.blocks.node(&below).map(|node| node.driver.as_str());
    let read_only = m.blocks.node(&image).is_some_and(|node| node.read_only);
    let blocks = &mut rt.state.blocks;
    if read_only {
        blocks.set_read_only(&image, false)?;
    }
    let name = Some(name).filter(|name| !name.is_empty());
    let changed = blocks.change_backing_file(&image, name, format.filter(|_| name.is_some()));
    if read_only {
        blocks.set_read_only(&image, true)?;
    }
    changed
}
