//! Times in REST: ISO 8601 in UTC with microseconds, from the microseconds of stores and wire.

use serde::{Serialize, Serializer};

/// A time, written as `2026-11-18T09:30:00.000001Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(u64);

impl Time {
    /// From microseconds since the Unix epoch; 0 stands for never.
    pub(super) fn of(us: u64) -> Option<Self> {
        (us > 0).then_some(Self(us))
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, us) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{us:06}Z")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01. Years are counted from March, so
/// that the leap day is the last one (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_the_calendar_has_it() {
        let text = |us| Time::of(us).map(|time| time.to_string());
        assert_eq!(text(0), None);
        assert_eq!(text(1).as_deref(), Some("1970-01-01T00:00:00.000001Z"));
        assert_eq!(text(951_827_696_000_000).as_deref(), Some("2000-02-29T12:34:56.000000Z"));
        assert_eq!(text(1_795_046_399_999_999).as_deref(), Some("2026-11-18T23:59:59.999999Z"));
        assert_eq!(text(4_107_542_400_000_000).as_deref(), Some("2100-03-01T00:00:00.000000Z"));
    }
}
