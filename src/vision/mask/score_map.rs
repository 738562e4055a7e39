//! Scores for every place of an image.

/// The logit whose score this is: `-inf` for 0, `inf` for 1.
#[must_use]
pub fn logit_of_score(score: f32) -> f32 {
    let score = f64::from(score);
    (score / (1.0 - score)).ln() as f32
}

/// The score of a logit, in `[0, 1]`.
#[must_use]
pub fn score_of_logit(logit: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32
}

/// How much each place of an image looks like what a prompt asks for, at the resolution of the
/// network. It covers the whole image, however the sides of both are: the network sees images
/// stretched.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreMap {
    width: u32,
    height: u32,
    /// Row by row.
    logits: Vec<f32>,
}

impl ScoreMap {
    /// From logits row by row.
    ///
    /// # Panics
    /// Where there are not `width * height` of them, or none.
    #[must_use]
    pub fn new(width: u32, height: u32, logits: Vec<f32>) -> Self {
        assert_eq!(logits.len(), width as usize * height as usize, "values of a score map");
        assert!(!logits.is_empty(), "a score map has values");
        Self { width, height, logits }
    }

    /// Width of the map, not of the image.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the map, not of the image.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The logits, row by row.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// The best score of all places, in `[0, 1]`.
    #[must_use]
    pub fn best_score(&self) -> f32 {
        score_of_logit(self.logits.iter().copied().fold(f32::NEG_INFINITY, f32::max))
    }

    /// Takes the better of both for each place: another text of the same prompt.
    ///
    /// # Panics
    /// Where `other` has another number of values.
    pub fn join(&mut self, other: &[f32]) {
        assert_eq!(other.len(), self.logits.len(), "values of a score map");
        for (mine, other) in self.logits.iter_mut().zip(other) {
            *mine = mine.max(*other);
        }
    }

    /// The logits at the size of the image, row by row.
    ///
    /// Logits and not scores are interpolated, bilinearly between the centres of places and with
    /// the edge repeated: what `transformers` 5.23.0 does to bring the logits of a segmentation
    /// model to the size of the image (`interpolate` with `mode="bilinear"` and
    /// `align_corners=False`). Its CLIPSeg processor itself leaves that to the caller.
    #[must_use]
    pub fn logits_at(&self, width: u32, height: u32) -> Vec<f32> {
        let columns = Between::all(self.width, width);
        let rows = Between::all(self.height, height);
        let stride = self.width as usize;
        let mut resized = Vec::with_capacity(width as usize * height as usize);
        for row in &rows {
            let upper = &self.logits[row.first * stride..][..stride];
            let lower = &self.logits[row.second * stride..][..stride];
            resized.extend(columns.iter().map(|column| {
                let along = |line: &[f32]| {
                    line[column.first] * (1.0 - column.share) + line[column.second] * column.share
                };
                along(upper) * (1.0 - row.share) + along(lower) * row.share
            }));
        }
        resized
    }
}

/// Where a sample lies between two of the map.
pub(super) struct Between {
    pub(super) first: usize,
    pub(super) second: usize,
    /// Of the second one, in `[0, 1]`.
    pub(super) share: f32,
}

impl Between {
    /// For each of `count` samples that are spread over `places`. In f32, as in the reference.
    pub(super) fn all(places: u32, count: u32) -> Vec<Self> {
        let last = places.saturating_sub(1) as usize;
        let scale = places as f32 / count as f32;
        (0..count)
            .map(|index| {
                let at = (scale * (index as f32 + 0.5) - 0.5).max(0.0);
                let first = (at as usize).min(last);
                let share = (at - first as f32).clamp(0.0, 1.0);
                Self { first, second: (first + 1).min(last), share }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_and_logits_are_each_others_inverse() {
        for score in [0.0_f32, 0.001, 0.3, 0.5, 0.97, 1.0] {
            assert!((score_of_logit(logit_of_score(score)) - score).abs() < 1e-7, "{score}");
        }
        assert_eq!((logit_of_score(0.0), logit_of_score(1.0)), (f32::NEG_INFINITY, f32::INFINITY));
    }

    #[test]
    fn a_map_at_its_own_size_is_itself_and_a_constant_one_stays_constant() {
        let map = ScoreMap::new(3, 2, vec![1.0, -2.0, 3.5, 0.25, 7.0, -1.0]);
        assert_eq!(map.logits_at(3, 2), map.logits());
        assert_eq!(map.best_score(), score_of_logit(7.0));
        let flat = ScoreMap::new(4, 4, vec![0.5; 16]);
        for (width, height) in [(1, 1), (7, 3), (2, 90)] {
            let resized = flat.logits_at(width, height);
            assert_eq!(resized.len(), (width * height) as usize);
            assert!(resized.iter().all(|logit| (logit - 0.5).abs() < 1e-6));
        }
    }

    #[test]
    fn samples_lie_between_centres() {
        // Centres of two places at 0.5 and 1.5; four samples at 0.25, 0.75, 1.25 and 1.75.
        let map = ScoreMap::new(2, 1, vec![0.0, 4.0]);
        assert_eq!(map.logits_at(4, 1), [0.0, 1.0, 3.0, 4.0]);
        assert_eq!(map.logits_at(1, 3), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn the_better_of_two_texts_counts() {
        let mut map = ScoreMap::new(2, 1, vec![0.0, 4.0]);
        map.join(&[1.0, 3.0]);
        assert_eq!(map.logits(), [1.0, 4.0]);
    }
}
