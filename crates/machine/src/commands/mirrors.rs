//! Mirrors of disks.

use super::job_args::{device_node, root_node, settings};
use super::jobs::with_jobs;
use super::new_images::{open_target, NewTarget};
use crate::model::block::BlockOp;
use crate::model::jobs::{backing, unfiltered, Extents, MirrorPlan, Settings};
use crate::schema::{
    BlockdevMirror, BlockdevOnError, DriveMirror, JobType, MirrorCopyMode, MirrorSyncMode,
    NewImageMode,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The pieces in which changes are marked, if nothing else is said.
const GRANULARITY: u32 = 65536;

/// What both commands say.
struct Common {
    replaces: Option<String>,
    sync: MirrorSyncMode,
    granularity: Option<i64>,
    buf_size: Option<i64>,
    on_source_error: Option<BlockdevOnError>,
    on_target_error: Option<BlockdevOnError>,
    copy_mode: Option<MirrorCopyMode>,
    filter_name: Option<String>,
}

pub(super) fn blockdev_mirror(rt: &mut Rt, arg: BlockdevMirror) -> Result<(), Error> {
    let m = &rt.state;
    let source = root_node(m, &arg.device)?;
    let target = device_node(m, &arg.target)?;
    let settings = settings(
        m,
        JobType::Mirror,
        (arg.job_id, &arg.device),
        arg.speed,
        arg.auto_finalize,
        arg.auto_dismiss,
    );
    let common = Common {
        replaces: arg.replaces,
        sync: arg.sync,
        granularity: arg.granularity,
        buf_size: arg.buf_size,
        on_source_error: arg.on_source_error,
        on_target_error: arg.on_target_error,
        copy_mode: arg.copy_mode,
        filter_name: arg.filter_node_name,
    };
    let extents = extents(m, &source, common.sync, true);
    let plan = plan(m, (source, target), common, extents)?;
    start(rt, settings, plan)
}

fn start(rt: &mut Rt, settings: Settings, plan: MirrorPlan) -> Result<(), Error> {
    with_jobs(rt, |m| m.start_mirror(settings, plan).map(|_| ()))
}

/// What is copied at first. A node that the user gave may have anything in it.
fn extents(m: &Machine, source: &str, sync: MirrorSyncMode, is_used: bool) -> Extents {
    match sync {
        MirrorSyncMode::None => Extents::None,
        MirrorSyncMode::Top => Extents::Above(backing(&m.blocks, source)),
        _ if is_used => Extents::All,
        _ => Extents::Above(None),
    }
}

fn plan(
    m: &Machine,
    (source, target): (String, String),
    common: Common,
    extents: Extents,
) -> Result<MirrorPlan, Error> {
    let granularity = granularity(common.granularity)?;
    m.blocks.check_op(&source, BlockOp::MirrorSource)?;
    m.blocks.check_op(&target, BlockOp::MirrorTarget)?;
    if let Some(replaces) = &common.replaces {
        check_replaced(m, &source, &target, replaces)?;
    }
    if matches!(
        common.sync,
        MirrorSyncMode::Incremental | MirrorSyncMode::Bitmap
    ) {
        return Err(Error::new(format!(
            "Sync mode '{}' not supported",
            common.sync.as_str()
        )));
    }
    if common.buf_size.is_some_and(|size| size < 0) {
        return Err(Error::new("Invalid parameter 'buf-size'"));
    }
    if source == target {
        return Err(Error::new("Can't mirror node into itself"));
    }
    Ok(MirrorPlan {
        source,
        target,
        replaces: common.replaces,
        extents,
        backing: None,
        copy_mode: common.copy_mode.unwrap_or(MirrorCopyMode::Background),
        granularity,
        on_source_error: common.on_source_error.unwrap_or(BlockdevOnError::Report),
        on_target_error: common.on_target_error.unwrap_or(BlockdevOnError::Report),
        filter_name: common.filter_name,
        is_own_target: false,
    })
}

fn granularity(wanted: Option<i64>) -> Result<u32, Error> {
    let wanted = wanted.filter(|granularity| *granularity != 0);
    let Some(wanted) = wanted else {
        return Ok(GRANULARITY);
    };
    let granularity = u32::try_from(wanted).ok();
    let granularity = granularity.filter(|size| (512..=64 << 20).contains(size));
    let granularity = granularity.ok_or_else(|| {
        Error::new("Parameter 'granularity' expects a value in range [512B, 64MB]")
    })?;
    if granularity.is_power_of_two() {
        Ok(granularity)
    } else {
        Err(Error::new("Parameter 'granularity' expects a power of 2"))
    }
}

/// Checks that the copy may take the place of a node: the node shows the same bytes.
fn check_replaced(m: &Machine, source: &str, target: &str, name: &str) -> Result<(), Error> {
    if m.blocks.node(name).is_none() {
        let text = format!("Failed to find node with node-name='{name}'");
        return Err(Error::new(text));
    }
    m.blocks.check_op(name, BlockOp::Replace)?;
    if unfiltered(&m.blocks, source) == unfiltered(&m.blocks, name) && name != target {
        return Ok(());
    }
    Err(Error::new(format!(
        "Cannot replace '{name}' by a node mirrored from '{source}', because it cannot be \
         guaranteed that doing so would not lead to an abrupt change of visible data"
    )))
}

pub(super) fn drive_mirror(rt: &mut Rt, arg: DriveMirror) -> Result<(), Error> {
    let m = &rt.state;
    let source = root_node(m, &arg.device)?;
    if arg.replaces.is_some() && arg.node_name.is_none() {
        return Err(Error::new(
            "a node-name must be provided when replacing a named node of the graph",
        ));
    }
    m.blocks.check_op(&source, BlockOp::MirrorSource)?;
    let settings = settings(
        m,
        JobType::Mirror,
        (arg.job_id, &arg.device),
        arg.speed,
        arg.auto_finalize,
        arg.auto_dismiss,
    );
    rt.state.jobs.check_id(&settings.id)?;
    let below = backing(&rt.state.blocks, &source);
    // A copy of what is above goes above the same image.
    let sync = match arg.sync {
        MirrorSyncMode::Top if below.is_none() => MirrorSyncMode::Full,
        sync => sync,
    };
    let backing = match sync {
        MirrorSyncMode::Top => below.clone(),
        MirrorSyncMode::None => Some(source.clone()),
        _ => None,
    };
    let is_used = arg.mode == Some(NewImageMode::Existing);
    let target = open_target(
        &mut rt.state,
        &NewTarget {
            source: &source,
            filename: &arg.target,
            format: arg.format.as_deref(),
            is_there: is_used,
            backing: backing.as_deref(),
            node_name: arg.node_name.as_deref(),
        },
    )?;
    let common = Common {
        replaces: arg.replaces,
        sync,
        granularity: arg.granularity,
        buf_size: arg.buf_size,
        on_source_error: arg.on_source_error,
        on_target_error: arg.on_target_error,
        copy_mode: arg.copy_mode,
        filter_name: None,
    };
    let extents = extents(&rt.state, &source, sync, is_used);
    let plan = plan(&rt.state, (source, target.clone()), common, extents);
    match plan {
        Ok(plan) => start(
            rt,
            settings,
            MirrorPlan {
                backing: (!is_used).then_some(backing),
                is_own_target: true,
                ..plan
            },
        ),
        Err(error) => {
            rt.state.blocks.close(&target);
            Err(error)
        }
    }
}
