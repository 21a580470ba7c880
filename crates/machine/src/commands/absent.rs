//! The balloon, and things that this machine does not have: `absent.json`.
//!
//! HMP commands take QEMU's arguments and answer as QEMU does about a machine without
//! such things, so that scripts succeed or fail as they do there.

use super::hmp::{fail, nothing, Cx};
use crate::schema::{
    AbsentCommands, BalloonInfo, JobInfo, MouseInfo, ReplayInfo, ReplayMode, TpmModel, TpmType,
    VncInfo,
};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

impl AbsentCommands for Machine {
    fn qmp_query_balloon(rt: &mut Runtime<Self>) -> Result<BalloonInfo, Error> {
        let actual = rt.state.balloon_actual()?;
        Ok(BalloonInfo { actual })
    }

    fn qmp_balloon(rt: &mut Runtime<Self>, value: i64) -> Result<(), Error> {
        rt.state.balloon_request(value)
    }

    fn qmp_query_mice(rt: &mut Runtime<Self>) -> Result<Vec<MouseInfo>, Error> {
        Ok(rt.state.mice())
    }

    fn qmp_query_replay(_: &mut Runtime<Self>) -> Result<ReplayInfo, Error> {
        Ok(ReplayInfo {
            mode: ReplayMode::None,
            filename: None,
            icount: 0,
        })
    }

    fn qmp_query_jobs(rt: &mut Runtime<Self>) -> Result<Vec<JobInfo>, Error> {
        Ok(super::jobs::jobs(&rt.state))
    }

    fn qmp_query_vnc(rt: &mut Runtime<Self>) -> Result<VncInfo, Error> {
        Ok(super::vnc_info::query_vnc(&rt.state))
    }

    fn qmp_query_tpm_models(_: &mut Runtime<Self>) -> Result<Vec<TpmModel>, Error> {
        Ok(vec![TpmModel::TpmCrb, TpmModel::TpmTis])
    }

    fn qmp_query_tpm_types(_: &mut Runtime<Self>) -> Result<Vec<TpmType>, Error> {
        Ok(vec![TpmType::Passthrough, TpmType::Emulator])
    }
}

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "balloon",
            "target",
            "request VM to change its memory allocation (in MB)",
        )
        .args(&[HmpArg::new("target", MiB)]),
        hmp_balloon,
    ),
    (
        HmpRow::new(
            "gdbserver",
            "[device]",
            "start gdbserver on given device (default 'tcp::1234'), stop with 'none'",
        )
        .args(&[HmpArg::new("device", Str).optional()]),
        |hmp, args| {
            let device = args.try_str("device").unwrap_or("tcp::1234").to_owned();
            if hmp.rt.state.cpus().is_empty() {
                hmp.print(
                    "warning: gdbstub: meaningless to attach gdb to a machine without any CPU.\n",
                );
            }
            hmp.print(format!("Could not open gdbserver on device '{device}'\n"));
        },
    ),
    (
        HmpRow::new(
            "replay_break",
            "icount",
            "set breakpoint at the specified instruction count",
        )
        .args(&[HmpArg::new("icount", Int)]),
        |hmp, _| hmp.print("setting the breakpoint is allowed only in play mode\n"),
    ),
    (
        HmpRow::new("replay_delete_break", "", "remove replay breakpoint"),
        |hmp, _| hmp.print("replay breakpoints are allowed only in play mode\n"),
    ),
    (
        HmpRow::new(
            "replay_seek",
            "icount",
            "replay execution to the specified instruction count",
        )
        .args(&[HmpArg::new("icount", Int)]),
        |hmp, _| hmp.print("replay must be enabled to seek\n"),
    ),
    (
        HmpRow::new("xen-event-inject", "port", "inject event channel")
            .args(&[HmpArg::new("port", Int32)]),
        no_xen,
    ),
    (
        HmpRow::new("xen-event-list", "", "list event channel state"),
        no_xen,
    ),
];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("balloon", "", "show balloon information"),
        hmp_info_balloon,
    ),
    (
        HmpRow::new("cryptodev", "", "show the crypto devices"),
        super::statistics::hmp_info_cryptodev,
    ),
    (
        HmpRow::new("replay", "", "show record/replay information"),
        |hmp, _| hmp.print("Record/replay is not active\n"),
    ),
    (HmpRow::new("tpm", "", "show the TPM device"), nothing),
];

fn hmp_balloon(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_balloon(hmp.rt, args.int("target"));
    hmp.handle_error(result);
}

fn hmp_info_balloon(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_balloon(hmp.rt);
    if let Some(info) = hmp.handle_error(result) {
        hmp.print(format!("balloon: actual={}\n", info.actual >> 20));
    }
}

fn no_xen(hmp: Cx, _args: &HmpArgs) {
    fail(hmp, "Xen event channel emulation not enabled");
}
