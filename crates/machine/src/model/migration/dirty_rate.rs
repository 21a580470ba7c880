//! How fast memory changes: a measurement of what the simulated guest writes.

use qmonitor::qapi::Error;

use crate::schema::{DirtyRateMeasureMode as Mode, DirtyRateStatus as Status};

/// Pages of each GiB that are looked at, unless told otherwise.
const SAMPLE_PAGES: i64 = 512;

/// The last measurement, or the one under way.
pub struct DirtyRate {
    /// How far it is.
    pub status: Status,
    /// Seconds of the host's clock when it began.
    pub start_time: i64,
    /// How many milliseconds it takes.
    pub calc_time: i64,
    /// Pages of each GiB that are looked at.
    pub sample_pages: i64,
    /// The kind.
    pub mode: Mode,
    /// The result, in MiB each second.
    pub rate: Option<i64>,
}

impl Default for DirtyRate {
    fn default() -> Self {
        DirtyRate {
            status: Status::Unstarted,
            start_time: 0,
            calc_time: 0,
            sample_pages: 0,
            mode: Mode::PageSampling,
            rate: None,
        }
    }
}

impl DirtyRate {
    /// Begins to measure, for so many milliseconds.
    ///
    /// # Errors
    ///
    /// A number is out of range, or the kind is not available.
    pub fn start(
        &mut self,
        calc_time: i64,
        sample_pages: Option<i64>,
        mode: Mode,
        start_time: i64,
    ) -> Result<(), Error> {
        let error = |text: &'static str| Err(Error::new(text));
        if self.status == Status::Measuring {
            return error("the dirty rate is already being measured.");
        }
        if !(50..=60_000).contains(&calc_time) {
            return error("Calculation time is out of range [50ms, 60000ms].");
        }
        if mode != Mode::PageSampling && sample_pages.is_some() {
            return error("sample-pages is used only in page-sampling mode");
        }
        if sample_pages.is_some_and(|pages| !(128..=16384).contains(&pages)) {
            return error("sample-pages is out of range[128, 16384].");
        }
        if mode == Mode::DirtyRing {
            return error("mode dirty-ring is not enabled, use other method instead.");
        }
        *self = DirtyRate {
            status: Status::Measuring,
            start_time,
            calc_time,
            sample_pages: sample_pages.unwrap_or(SAMPLE_PAGES),
            mode,
            rate: None,
        };
        Ok(())
    }

    /// Ends: so many bytes were written each second. A sample of no memory has no rate.
    pub fn finish(&mut self, bytes: u64, has_memory: bool) {
        self.status = Status::Measured;
        let mib = i64::try_from(bytes >> 20).unwrap_or(i64::MAX);
        self.rate = Some(match self.mode {
            Mode::PageSampling if !has_memory => -1,
            _ => mib,
        });
        if self.mode != Mode::PageSampling {
            self.sample_pages = 0;
        }
    }
}
