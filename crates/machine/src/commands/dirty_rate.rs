//! Measuring how fast memory changes: `calc-dirty-rate`, `query-dirty-rate`.

use std::time::Duration;

use super::hmp::Cx;
use crate::schema::{
    DirtyRateInfo, DirtyRateMeasureMode as Mode, DirtyRateStatus as Status, TimeUnit,
};
use crate::Machine;
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

pub(super) fn calc(
    rt: &mut Rt,
    calc_time: i64,
    unit: Option<TimeUnit>,
    sample_pages: Option<i64>,
    mode: Option<Mode>,
) -> Result<(), Error> {
    let milliseconds = match unit {
        Some(TimeUnit::Millisecond) => calc_time,
        _ => calc_time.saturating_mul(1000),
    };
    let mode = mode.unwrap_or(Mode::PageSampling);
    let seconds = rt.main_loop().clock_get_ns(ClockType::Host) / 1_000_000_000;
    let rate = &mut rt.state.migration.measured;
    rate.start(milliseconds, sample_pages, mode, seconds)?;
    if mode == Mode::PageSampling && rt.state.ram_size() == 0 {
        finish(rt);
        return Ok(());
    }
    let wait = Duration::from_millis(milliseconds.unsigned_abs());
    let main_loop = rt.main_loop_mut();
    let timer = main_loop.timer_new(ClockType::Realtime, "get_dirtyrate", finish);
    main_loop.timer_mod_in(timer, wait);
    if let Some(last) = rt.state.migration.measuring.replace(timer) {
        rt.main_loop_mut().timer_free(last);
    }
    Ok(())
}

fn finish(rt: &mut Rt) {
    let bytes = rt.state.simulated_dirty_rate();
    let has_memory = rt.state.ram_size() > 0;
    rt.state.migration.measured.finish(bytes, has_memory);
}

pub(super) fn query(rt: &Rt, unit: Option<TimeUnit>) -> DirtyRateInfo {
    let rate = &rt.state.migration.measured;
    let unit = unit.unwrap_or(TimeUnit::Second);
    DirtyRateInfo {
        dirty_rate: rate.rate,
        status: rate.status,
        start_time: rate.start_time,
        calc_time: match unit {
            TimeUnit::Second => rate.calc_time / 1000,
            TimeUnit::Millisecond => rate.calc_time,
        },
        calc_time_unit: unit,
        sample_pages: rate.sample_pages,
        mode: rate.mode,
        vcpu_dirty_rate: None,
    }
}

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[(
    HmpRow::new(
        "calc_dirty_rate",
        "[-r] [-b] second [sample_pages_per_GB]",
        "start a round of guest dirty rate measurement (using -r to\n\t\t\t \
         specify dirty ring as the method of calculation and\n\t\t\t \
         -b to specify dirty bitmap as method of calculation)",
    )
    .args(&[
        HmpArg::new("dirty_ring", Flag('r')),
        HmpArg::new("dirty_bitmap", Flag('b')),
        HmpArg::new("second", Int),
        HmpArg::new("sample_pages_per_GB", Int).optional(),
    ]),
    hmp_calc_dirty_rate,
)];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new("dirty_rate", "", "show dirty rate information"),
    hmp_info_dirty_rate,
)];

fn hmp_calc_dirty_rate(hmp: Cx, args: &HmpArgs) {
    let seconds = args.int("second");
    if seconds == 0 {
        hmp.print("Incorrect period length specified!\n");
        return;
    }
    let mode = match (args.flag("dirty_ring"), args.flag("dirty_bitmap")) {
        (true, true) => {
            hmp.print("Either dirty ring or dirty bitmap can be specified!\n");
            return;
        }
        (true, false) => Mode::DirtyRing,
        (false, true) => Mode::DirtyBitmap,
        (false, false) => Mode::PageSampling,
    };
    let pages = args.try_int("sample_pages_per_GB");
    let result = calc(hmp.rt, seconds, None, pages, Some(mode));
    if hmp.handle_error(result).is_some() {
        hmp.print(format!(
            "Starting dirty rate measurement with period {seconds} seconds\n\
             [Please use 'info dirty_rate' to check results]\n"
        ));
    }
}

fn hmp_info_dirty_rate(hmp: Cx, _: &HmpArgs) {
    let info = query(hmp.rt, None);
    let mut page = format!(
        "Status: {}\nStart Time: {} (ms)\n",
        info.status.as_str(),
        info.start_time
    );
    if info.mode == Mode::PageSampling {
        page += &format!("Sample Pages: {} (per GB)\n", info.sample_pages);
    }
    page += &format!(
        "Period: {} (sec)\nMode: {}\nDirty rate: ",
        info.calc_time,
        info.mode.as_str()
    );
    page += &match (info.status, info.dirty_rate) {
        (Status::Measured, Some(rate)) => format!("{rate} (MB/s)\n"),
        _ => "(not ready)\n".to_owned(),
    };
    hmp.print(page);
}
