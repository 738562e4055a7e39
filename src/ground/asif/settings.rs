//! How many pairs describe a thing, and how much the best of them outweigh the others.

use serde::{Deserialize, Serialize};

/// The two numbers of ASIF.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AsifSettings {
    /// Pairs that are kept of each description; clipped to the size of the bank where that is
    /// smaller. At least 1.
    pub k: usize,
    /// The power that similarities are raised to, in `(0, 64]`.
    pub p: f64,
}

impl Default for AsifSettings {
    /// What the paper found best on a million pairs: 800 and 8.
    fn default() -> Self {
        Self { k: 800, p: 8.0 }
    }
}

/// Settings that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ASIF settings: {}", .problems.join("; "))]
pub struct SettingsRefused {
    /// Each with what was expected and found.
    pub problems: Vec<String>,
}

impl AsifSettings {
    /// The largest `k`: no use of more is known, and memory of a description grows with it.
    pub const MAX_K: usize = 100_000;
    /// The largest `p`: beyond it only the best pair counts.
    pub const MAX_P: f64 = 64.0;

    /// Checks both numbers.
    ///
    /// # Errors
    /// Each that is out of its range.
    pub fn check(&self) -> Result<(), SettingsRefused> {
        let mut problems = Vec::new();
        if !(1..=Self::MAX_K).contains(&self.k) {
            problems.push(format!("k: expected 1 to {}, found {}", Self::MAX_K, self.k));
        }
        if !(f64::MIN_POSITIVE..=Self::MAX_P).contains(&self.p) {
            problems.push(format!(
                "p: expected more than 0 and at most {}, found {}",
                Self::MAX_P,
                self.p
            ));
        }
        if problems.is_empty() { Ok(()) } else { Err(SettingsRefused { problems }) }
    }

    /// The weight of a similarity before scaling; see the [module](super) for negative ones.
    pub(super) fn power(&self, similarity: f64) -> f64 {
        if similarity < 0.0 && self.p % 2.0 != 0.0 { 0.0 } else { similarity.abs().powf(self.p) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_are_checked_at_once() {
        assert_eq!(AsifSettings::default().check(), Ok(()));
        for (k, p, count) in [(0, f64::NAN, 2), (1, 0.0, 1), (200_000, 1.0, 1), (1, 65.0, 1)] {
            let refused = AsifSettings { k, p }.check().unwrap_err();
            assert_eq!(refused.problems.len(), count, "{refused}");
        }
    }

    #[test]
    fn a_negative_similarity_has_weight_only_under_an_even_power() {
        let power = |p, similarity| AsifSettings { k: 1, p }.power(similarity);
        assert_eq!(power(2.0, -0.5), 0.25);
        assert_eq!(power(3.0, -0.5), 0.0);
        assert_eq!(power(2.5, -0.5), 0.0);
        assert_eq!(power(1.0, 0.5), 0.5);
    }
}
