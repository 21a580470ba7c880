//! Times as text.

/// Microseconds since 1970 as `2026-11-22T16:25:11.782451Z`.
///
/// ```
/// use qmonitor::util::time::iso8601;
///
/// assert_eq!(iso8601(951_782_400_000_001), "2000-02-29T00:00:00.000001Z");
/// ```
#[must_use]
pub fn iso8601(micros: u64) -> String {
    let (secs, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (days, secs) = (secs / 86_400, secs % 86_400);
    // Days since 0000-03-01, so that the leap day is the year's last.
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        secs / 3600,
        secs / 60 % 60,
        secs % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_calendar_times() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (1_795_364_711_782_451, "2026-11-22T16:25:11.782451Z"),
        ] {
            assert_eq!(iso8601(micros), text);
        }
    }
}
