//! Time stamps.

use std::fmt;

/// A point in time: nanoseconds since the epoch of the clock that wrote it (UTC for a robot on
/// system time, the start of the world for a simulated one).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub i64);

const NANOS_PER_SEC: i64 = 1_000_000_000;

impl Stamp {
    /// From the two fields of `builtin_interfaces/Time`. `nanosec` at or above one second carries
    /// over, as it does in rcl.
    #[must_use]
    pub fn from_ros(sec: i32, nanosec: u32) -> Self {
        Self(i64::from(sec) * NANOS_PER_SEC + i64::from(nanosec))
    }

    /// The two fields of `builtin_interfaces/Time`: seconds (rounded down) and nanoseconds in
    /// `[0, 1e9)`. Seconds that do not fit 32 bits are clamped to the nearest that do.
    #[must_use]
    pub fn to_ros(self) -> (i32, u32) {
        let sec = self.0.div_euclid(NANOS_PER_SEC);
        let nanosec = self.0.rem_euclid(NANOS_PER_SEC);
        let sec = sec.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        (sec as i32, nanosec as u32)
    }

    /// Seconds from `earlier` to this one, below 0 where that is the later one. Differences are taken
    /// in whole nanoseconds first, so that those of seconds are exact to a nanosecond.
    #[must_use]
    pub fn secs_since(self, earlier: Self) -> f64 {
        (i128::from(self.0) - i128::from(earlier.0)) as f64 / NANOS_PER_SEC as f64
    }

    /// Seconds as a float, for display and rates only: it cannot hold every nanosecond.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SEC as f64
    }
}

impl fmt::Display for Stamp {
    /// `seconds.nanoseconds` with all nine digits, so that nothing is rounded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let per_sec = NANOS_PER_SEC.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nanos / per_sec, nanos % per_sec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ros_fields_round_trip_and_negative_stamps_round_down() {
        for stamp in [Stamp(0), Stamp(1), Stamp(-1), Stamp(1_700_000_000_123_456_789)] {
            let (sec, nanosec) = stamp.to_ros();
            assert!(nanosec < 1_000_000_000);
            assert_eq!(Stamp::from_ros(sec, nanosec), stamp);
        }
        assert_eq!(Stamp(-1).to_ros(), (-1, 999_999_999));
        assert_eq!(Stamp(-1).to_string(), "-0.000000001");
    }

    #[test]
    fn differences_are_exact_where_seconds_as_floats_are_not() {
        let start = Stamp(1_700_000_000_123_456_789);
        assert_eq!(Stamp(start.0 + 1).secs_since(start), 1e-9);
        assert_eq!(start.secs_since(Stamp(start.0 + 300_000_000)), -0.3);
        assert!(Stamp(i64::MAX).secs_since(Stamp(i64::MIN)) > 1.8e10);
    }
}
