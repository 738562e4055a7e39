//! The k largest of many similarities, in one pass and in memory of the size of k.

use std::cmp::Ordering;

use crate::ground::PairId;

/// Similarities are looked at in blocks of this many: one comparison settles a whole block in which
/// nothing is large enough.
const BLOCK: usize = 64;

/// A pair and how similar something is to one of its sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similar {
    /// The pair.
    pub pair: PairId,
    /// Cosine, in `[-1, 1]` up to rounding.
    pub cosine: f32,
}

impl Similar {
    /// The more similar first; of equal ones that with the smaller id.
    pub(super) fn order(a: &Self, b: &Self) -> Ordering {
        b.cosine.total_cmp(&a.cosine).then(a.pair.cmp(&b.pair))
    }
}

/// Keeps the k largest of all similarities that it is offered, in whatever pieces and order.
#[derive(Clone, Debug)]
pub struct Nearest {
    k: usize,
    /// All that may be among the k largest; up to 2 k.
    kept: Vec<Similar>,
    /// What is below cannot be among them.
    floor: f32,
}

impl Nearest {
    /// For the `k` largest.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, kept: Vec::new(), floor: f32::NEG_INFINITY }
    }

    /// Takes the cosines to these pairs into account. NaN is passed over.
    ///
    /// # Panics
    /// Where the two differ in length.
    pub fn offer(&mut self, pairs: &[PairId], cosines: &[f32]) {
        assert_eq!(pairs.len(), cosines.len(), "one pair for each cosine");
        if self.k == 0 {
            return;
        }
        for (pairs, cosines) in pairs.chunks(BLOCK).zip(cosines.chunks(BLOCK)) {
            // Without a branch, so that it becomes vector instructions.
            let floor = self.floor;
            if !cosines.iter().fold(false, |any, cosine| any | (*cosine >= floor)) {
                continue;
            }
            for (pair, cosine) in pairs.iter().zip(cosines) {
                if *cosine >= self.floor {
                    self.kept.push(Similar { pair: *pair, cosine: *cosine });
                    if self.kept.len() >= 2 * self.k.max(BLOCK) {
                        self.shrink();
                    }
                }
            }
        }
    }

    /// The k largest, or all where there were fewer, best first.
    #[must_use]
    pub fn finish(mut self) -> Vec<Similar> {
        self.shrink();
        self.kept.sort_unstable_by(Similar::order);
        self.kept
    }

    fn shrink(&mut self) {
        if self.kept.len() > self.k {
            let (_, last, _) = self.kept.select_nth_unstable_by(self.k - 1, Similar::order);
            self.floor = last.cosine;
            self.kept.truncate(self.k);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(count: usize) -> Vec<PairId> {
        (0..count as u64).map(PairId).collect()
    }

    #[test]
    fn nothing_is_not_a_number_and_k_may_be_more_than_there_is() {
        let mut nearest = Nearest::new(5);
        nearest.offer(&ids(3), &[0.5, f32::NAN, -0.5]);
        let found: Vec<_> = nearest.finish().iter().map(|one| (one.pair.0, one.cosine)).collect();
        assert_eq!(found, [(0, 0.5), (2, -0.5)]);
        let mut none = Nearest::new(0);
        none.offer(&ids(1), &[1.0]);
        assert!(none.finish().is_empty());
    }

    proptest! {
        /// Few different values, so that ties at the edge are common.
        #[test]
        fn it_is_a_full_sort_cut_at_k_whatever_the_pieces(
            steps in prop::collection::vec(-20i32..20, 0..700),
            k in 1usize..200,
            piece in 1usize..300,
        ) {
            let cosines: Vec<f32> = steps.iter().map(|step| *step as f32 / 20.0).collect();
            let pairs = ids(cosines.len());
            let mut nearest = Nearest::new(k);
            for (pairs, cosines) in pairs.chunks(piece).zip(cosines.chunks(piece)) {
                nearest.offer(pairs, cosines);
            }
            let mut sorted: Vec<Similar> = pairs
                .iter()
                .zip(&cosines)
                .map(|(pair, cosine)| Similar { pair: *pair, cosine: *cosine })
                .collect();
            sorted.sort_by(Similar::order);
            sorted.truncate(k);
            prop_assert_eq!(nearest.finish(), sorted);
        }
    }
}
