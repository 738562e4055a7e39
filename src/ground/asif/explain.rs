//! Which pairs spoke for a score.

use super::{InvertedIndex, Relative};
use crate::types::Evidence;

/// A score and the pairs that it is the sum over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreParts {
    /// The score, in `[0, 1]`.
    pub score: f32,
    /// Pairs that both descriptions have, however many of them are listed.
    pub pairs: usize,
    /// The first of them by falling product.
    pub evidence: Vec<Evidence>,
}

impl ScoreParts {
    /// Takes the score of a text for a region apart; at most `most` pairs are listed.
    #[must_use]
    pub fn new(region: &Relative, index: &InvertedIndex, text: usize, most: usize) -> Self {
        let mut evidence: Vec<Evidence> = region
            .weights()
            .iter()
            .filter_map(|(pair, image_weight)| {
                let text_weight = index.weight(*pair, text);
                let product = image_weight * text_weight;
                (text_weight > 0.0).then_some(Evidence {
                    pair: *pair,
                    image_weight: *image_weight,
                    text_weight,
                    product,
                    share: product,
                })
            })
            .collect();
        let sum: f32 = evidence.iter().map(|one| one.product).sum();
        let pairs = evidence.len();
        evidence.sort_by(|a, b| b.product.total_cmp(&a.product).then(a.pair.cmp(&b.pair)));
        evidence.truncate(most);
        for one in &mut evidence {
            // Products of tiny weights may be 0.
            one.share = if sum > 0.0 { one.product / sum } else { 0.0 };
        }
        Self { score: sum.min(1.0), pairs, evidence }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AsifSettings, Similar};
    use super::*;
    use crate::types::PairId;

    fn relative(cosines: &[(u64, f32)]) -> Relative {
        let similar =
            cosines.iter().map(|(pair, cosine)| Similar { pair: PairId(*pair), cosine: *cosine });
        Relative::new(&similar.collect::<Vec<_>>(), &AsifSettings { k: 9, p: 2.0 })
    }

    #[test]
    fn shares_sum_to_one_and_products_to_the_score() {
        let texts = [relative(&[(1, 0.9), (2, 0.5), (7, 0.3)]), relative(&[(9, 1.0)])];
        let index = InvertedIndex::new(texts.iter());
        let region = relative(&[(2, 0.8), (1, 0.7), (3, 0.6)]);
        let all = ScoreParts::new(&region, &index, 0, 10);
        assert_eq!(all.pairs, 2);
        assert_eq!(all.evidence.iter().map(|one| one.pair.0).collect::<Vec<_>>(), [1, 2]);
        assert!((all.evidence.iter().map(|one| one.share).sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((all.score - index.scores(&region)[0]).abs() < 1e-6);
        let first = ScoreParts::new(&region, &index, 0, 1);
        assert_eq!((first.evidence.len(), first.pairs, first.score), (1, 2, all.score));
        assert_eq!(first.evidence[0], all.evidence[0]);
        assert_eq!(ScoreParts::new(&region, &index, 1, 10), ScoreParts::default());
    }
}
