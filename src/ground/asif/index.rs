//! From pairs to the texts that they speak for.

use std::collections::HashMap;
use std::ops::Range;

use super::Relative;
use crate::ground::PairId;

/// The descriptions of some texts, turned round: for each pair the texts that have it, with its
/// weight. Its memory grows with `k` times the texts, not with the bank.
#[derive(Clone, Debug, Default)]
pub struct InvertedIndex {
    texts: usize,
    places: HashMap<PairId, Range<usize>>,
    /// `(text, weight)`, those of a pair together and by rising text.
    postings: Vec<(u32, f32)>,
}

impl InvertedIndex {
    /// Turns descriptions round. A text is known by its place among them.
    ///
    /// # Panics
    /// Where there are more than 2^32 texts.
    #[must_use]
    pub fn new<'a>(texts: impl ExactSizeIterator<Item = &'a Relative> + Clone) -> Self {
        assert!(u32::try_from(texts.len()).is_ok(), "texts are numbered in 32 bits");
        let mut places: HashMap<PairId, Range<usize>> = HashMap::new();
        for (pair, _) in texts.clone().flat_map(Relative::weights) {
            places.entry(*pair).or_default().end += 1;
        }
        let mut count = 0;
        for place in places.values_mut() {
            let own = place.end;
            *place = count..count;
            count += own;
        }
        let mut postings = vec![(0, 0.0); count];
        let number_of_texts = texts.len();
        for (text, relative) in (0u32..).zip(texts) {
            for (pair, weight) in relative.weights() {
                if let Some(place) = places.get_mut(pair) {
                    postings[place.end] = (text, *weight);
                    place.end += 1;
                }
            }
        }
        Self { texts: number_of_texts, places, postings }
    }

    /// The score of each text for what is described, in `[0, 1]`. Costs one look-up for each weight
    /// of the description, and one product for each text that shares it.
    #[must_use]
    pub fn scores(&self, of: &Relative) -> Vec<f32> {
        let mut scores = vec![0.0f32; self.texts];
        for (pair, weight) in of.weights() {
            if let Some(place) = self.places.get(pair) {
                for (text, text_weight) in &self.postings[place.clone()] {
                    scores[*text as usize] += weight * text_weight;
                }
            }
        }
        // Rounding may take the product of two equal descriptions above 1.
        scores.iter_mut().for_each(|score| *score = score.min(1.0));
        scores
    }

    /// The weight of a pair in the description of a text; 0 where it has none.
    #[must_use]
    pub fn weight(&self, pair: PairId, text: usize) -> f32 {
        let postings =
            self.places.get(&pair).map_or(&[][..], |place| &self.postings[place.clone()]);
        let found = postings.binary_search_by_key(&text, |(text, _)| *text as usize);
        found.map_or(0.0, |at| postings[at].1)
    }

    /// How many texts there are.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.texts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{AsifSettings, Similar};
    use super::*;

    fn relative(cosines: &[(u64, f32)]) -> Relative {
        let similar =
            cosines.iter().map(|(pair, cosine)| Similar { pair: PairId(*pair), cosine: *cosine });
        Relative::new(&similar.collect::<Vec<_>>(), &AsifSettings { k: 9, p: 1.0 })
    }

    fn cosines() -> impl Strategy<Value = Vec<(u64, f32)>> {
        prop::collection::btree_map(0u64..30, -1.0f32..1.0, 0..12)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn scores_are_the_dense_products(
            texts in prop::collection::vec(cosines(), 0..8),
            region in cosines(),
        ) {
            let dense = |relative: &Relative| {
                let mut all = [0.0f64; 30];
                for (pair, weight) in relative.weights() {
                    all[pair.0 as usize] = f64::from(*weight);
                }
                all
            };
            let texts: Vec<Relative> = texts.iter().map(|text| relative(text)).collect();
            let region = relative(&region);
            let index = InvertedIndex::new(texts.iter());
            let scores = index.scores(&region);
            prop_assert_eq!(scores.len(), texts.len());
            for (at, (text, score)) in texts.iter().zip(&scores).enumerate() {
                let product: f64 = dense(text).iter().zip(dense(&region)).map(|(a, b)| a * b).sum();
                // A dozen products of f32 below 1.
                prop_assert!((f64::from(*score) - product).abs() < 1e-6);
                prop_assert!((0.0..=1.0).contains(score));
                for (pair, weight) in text.weights() {
                    prop_assert_eq!(index.weight(*pair, at), *weight);
                }
            }
            prop_assert_eq!(index.weight(PairId(99), 0), 0.0);
        }
    }
}
