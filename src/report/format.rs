//! Numbers and times as people read them.

use std::time::Duration;

use crate::types::Stamp;

/// `1234567` as `1,234,567`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 frame`, `2,000 frames`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `part` of `whole` in percent; `0 %` of nothing. What is not none and not all never reads so.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    match 100.0 * part as f64 / whole as f64 {
        share if part > 0 && share < 1.0 => "<1 %".to_owned(),
        share if part < whole && share > 99.0 => ">99 %".to_owned(),
        share => format!("{share:.0} %"),
    }
}

/// A share in `[0, 1]` in percent. What is not none and not all never reads so.
pub(super) fn share(share: f32) -> String {
    match 100.0 * share {
        part if part > 0.0 && part < 1.0 => "<1 %".to_owned(),
        part if part < 100.0 && part > 99.0 => ">99 %".to_owned(),
        part => format!("{part:.0} %"),
    }
}

/// `text` with every control character replaced, so that a name from a recording cannot steer a
/// terminal.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A score with three decimals.
pub(super) fn score(score: f32) -> String {
    format!("{score:.3}")
}

/// Milliseconds with three significant digits.
pub(super) fn millis(millis: f64) -> String {
    match millis {
        m if m >= 100.0 => format!("{m:.0} ms"),
        m if m >= 10.0 => format!("{m:.1} ms"),
        m if m >= 0.1 => format!("{m:.2} ms"),
        m => format!("{:.1} µs", m * 1000.0),
    }
}

/// A length of time in the unit that suits it.
pub(super) fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        _ => format!("{} h {} min", secs / 3600, secs / 60 % 60),
    }
}

/// Seconds from `start` to `stamp`, to the millisecond.
pub(super) fn since(start: Stamp, stamp: Stamp) -> String {
    let nanos = i128::from(stamp.0) - i128::from(start.0);
    format!("{:+.3} s", nanos as f64 / 1e9)
}

/// Date and time in UTC where the stamp is that of a clock on system time (2001 to 2286), else
/// plain seconds, as of a simulated clock.
pub(super) fn moment(stamp: Stamp) -> String {
    let secs = stamp.0.div_euclid(1_000_000_000);
    if !(1_000_000_000..10_000_000_000).contains(&secs) {
        return format!("{:.3} s", stamp.as_secs_f64());
    }
    let (days, second_of_day) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) =
        (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of the Gregorian calendar for days since 1970-01-01 (not before).
///
/// Years are counted from March, so that the leap day is the last of its year.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097; // 400 years
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shares() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "frame"), "1 frame");
        assert_eq!(counted(2000, "frame"), "2,000 frames");
        assert_eq!(percent(0, 0), "0 %");
        assert_eq!(percent(1, 1000), "<1 %");
        assert_eq!(percent(999, 1000), ">99 %");
        assert_eq!(percent(1000, 1000), "100 %");
        assert_eq!(percent(1, 3), "33 %");
        assert_eq!(visible("a\x1b[2J\nb é"), "a\u{fffd}[2J\u{fffd}b é");
    }

    #[test]
    fn times() {
        assert_eq!(
            [0.0123, 1.234, 12.34, 1234.5].map(millis),
            ["12.3 µs", "1.23 ms", "12.3 ms", "1234 ms"]
        );
        assert_eq!(duration(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(duration(Duration::from_secs(61)), "1 min 1 s");
        assert_eq!(duration(Duration::from_secs(3720)), "1 h 2 min");
        assert_eq!(since(Stamp(5_000_000_000), Stamp(6_500_000_000)), "+1.500 s");
        assert_eq!(since(Stamp(i64::MAX), Stamp(i64::MIN)), "-18446744073.710 s");
    }

    #[test]
    fn moments_are_dates_where_the_clock_is_one() {
        let secs = |secs: i64| Stamp(secs * 1_000_000_000);
        // Taken from `date -u -d @…`.
        assert_eq!(moment(secs(1_000_000_000)), "2001-09-09 01:46:40 UTC");
        assert_eq!(moment(secs(1_709_164_800)), "2024-02-29 00:00:00 UTC");
        assert_eq!(moment(secs(1_735_689_599)), "2024-12-31 23:59:59 UTC");
        assert_eq!(moment(secs(4_107_542_400)), "2100-03-01 00:00:00 UTC");
        assert_eq!(moment(Stamp(12_345_678_901)), "12.346 s");
        assert_eq!(moment(Stamp(-1_000_000)), "-0.001 s");
    }
}
