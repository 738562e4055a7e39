//! What something is, told by pairs.

use super::{AsifSettings, Similar};
use crate::ground::PairId;

/// A description by pairs: weights whose squares sum to 1, none of them negative, those of 0 left
/// out. Empty where nothing is similar at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relative {
    /// By falling similarity.
    weights: Vec<(PairId, f32)>,
}

impl Relative {
    /// From the most similar pairs, best first; only the first `k` count.
    #[must_use]
    pub fn new(nearest: &[Similar], settings: &AsifSettings) -> Self {
        let nearest = &nearest[..nearest.len().min(settings.k)];
        // A common factor goes out with the scaling: high powers of small numbers stay numbers.
        let largest = nearest.iter().map(|one| one.cosine.abs()).fold(0.0, f32::max);
        if largest == 0.0 {
            return Self::default();
        }
        let powers: Vec<f64> = nearest
            .iter()
            .map(|one| settings.power(f64::from(one.cosine) / f64::from(largest)))
            .collect();
        let length = powers.iter().map(|power| power * power).sum::<f64>().sqrt();
        let weights = nearest
            .iter()
            .zip(&powers)
            .map(|(one, power)| (one.pair, (power / length) as f32))
            // Also where all powers are 0 and the quotient is no number.
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        Self { weights }
    }

    /// Each pair with its weight in `(0, 1]`.
    #[must_use]
    pub fn weights(&self) -> &[(PairId, f32)] {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similar(cosines: &[f32]) -> Vec<Similar> {
        let pairs = (0..).map(PairId);
        pairs.zip(cosines).map(|(pair, cosine)| Similar { pair, cosine: *cosine }).collect()
    }

    #[test]
    fn weights_are_powers_of_unit_length() {
        let relative = Relative::new(&similar(&[0.8, 0.4, 0.4]), &AsifSettings { k: 2, p: 2.0 });
        let length = (1.0f64 + 0.0625).sqrt();
        let weights = relative.weights();
        assert_eq!(weights.iter().map(|(pair, _)| pair.0).collect::<Vec<_>>(), [0, 1]);
        for ((_, weight), expected) in weights.iter().zip([1.0 / length, 0.25 / length]) {
            // 0.4 / 0.8 is a half up to the rounding of two f32.
            assert!((f64::from(*weight) - expected).abs() < 1e-6, "{weights:?}");
        }
    }

    #[test]
    fn small_similarities_to_high_powers_stay_numbers() {
        // 1e-4 to the power of 64 is 1e-256, and its square no f64 at all.
        let relative = Relative::new(&similar(&[1e-4, 1e-4]), &AsifSettings { k: 2, p: 64.0 });
        let expected = std::f32::consts::FRAC_1_SQRT_2;
        assert!(relative.weights().iter().all(|(_, weight)| (weight - expected).abs() < 1e-7));
    }

    #[test]
    fn what_is_similar_to_nothing_has_no_description() {
        let settings = AsifSettings { k: 2, p: 3.0 };
        assert_eq!(Relative::new(&similar(&[0.0, 0.0]), &settings), Relative::default());
        assert_eq!(Relative::new(&similar(&[-0.1, -0.3]), &settings), Relative::default());
        assert_eq!(Relative::new(&[], &settings), Relative::default());
    }
}
