//! The text side of the prompts in use, kept in step with the bank.

use super::{AsifSettings, InvertedIndex, Relative, Similar};
use crate::ground::bank::{Bank, BankError, BankSide, PairId, Side};

/// The captions of a bank as they were at one time: what texts are described by, on any thread.
#[derive(Clone, Debug)]
pub(in crate::ground) struct TextPairs {
    captions: BankSide,
    settings: AsifSettings,
}

impl TextPairs {
    pub(in crate::ground) fn of(bank: &Bank) -> Self {
        Self { captions: bank.side(Side::Text), settings: bank.settings() }
    }

    pub(in crate::ground) fn settings(&self) -> &AsifSettings {
        &self.settings
    }

    /// What a [`TextSide`] keeps of each text, given by its vector of unit length. One product of
    /// matrices for all.
    pub(in crate::ground) fn nearest(
        &self,
        vectors: &[Vec<f32>],
    ) -> Result<Vec<Vec<Similar>>, BankError> {
        self.captions.nearest(vectors, kept(&self.settings))
    }
}

/// Texts that are described by the pairs of a bank.
///
/// Of each text more pairs are kept than its description has, so that removing pairs rarely needs a
/// look at the whole bank. What is kept of a text is always exactly the most similar pairs of the
/// bank, so many as there are in its list.
#[derive(Clone, Debug, Default)]
pub(in crate::ground) struct TextSide {
    /// Each of unit length.
    vectors: Vec<Vec<f32>>,
    /// For each text, best first.
    nearest: Vec<Vec<Similar>>,
    index: InvertedIndex,
}

/// How many pairs are kept of each text.
fn kept(settings: &AsifSettings) -> usize {
    settings.k + (settings.k / 4).max(16)
}

impl TextSide {
    /// `vectors` are of unit length, and `nearest` is what [`TextPairs::nearest`] gives for them.
    pub(in crate::ground) fn new(
        settings: &AsifSettings,
        vectors: Vec<Vec<f32>>,
        nearest: Vec<Vec<Similar>>,
    ) -> Self {
        let mut side = Self { vectors, nearest, index: InvertedIndex::default() };
        side.turn_round(settings);
        side
    }

    pub(super) fn index(&self) -> &InvertedIndex {
        &self.index
    }

    /// Takes pairs into account that were added to the bank. Costs one product of vectors for each
    /// text and pair, and the index anew where a text has a pair among its nearest.
    pub(super) fn added(&mut self, bank: &Bank, pairs: &[PairId]) -> Result<(), BankError> {
        let most = kept(&bank.settings());
        let before = bank.len() - pairs.len();
        let mut changed = false;
        for (count, pair) in pairs.iter().enumerate() {
            let Some(vector) = bank.vector(Side::Text, *pair)? else { continue };
            for (text, nearest) in self.vectors.iter().zip(&mut self.nearest) {
                let one = Similar { pair: *pair, cosine: dot(text, &vector) };
                let at = nearest.partition_point(|other| Similar::order(other, &one).is_lt());
                // Behind the last one there may be pairs of the bank that the list does not hold.
                let holds_all = nearest.len() == before + count;
                if at < most && (at < nearest.len() || holds_all) {
                    nearest.insert(at, one);
                    nearest.truncate(most);
                    changed = true;
                }
            }
        }
        if changed {
            self.turn_round(&bank.settings());
        }
        Ok(())
    }

    /// Takes pairs out that are no longer in the bank. Costs nothing that grows with the bank until
    /// as many of the nearest of a text are gone as were kept in reserve.
    pub(super) fn removed(&mut self, bank: &Bank, pairs: &[PairId]) -> Result<(), BankError> {
        let mut gone = pairs.to_vec();
        gone.sort_unstable();
        let needed = bank.settings().k.min(bank.len());
        let mut changed = false;
        let mut short = Vec::new();
        for (text, nearest) in self.nearest.iter_mut().enumerate() {
            let before = nearest.len();
            nearest.retain(|one| gone.binary_search(&one.pair).is_err());
            changed |= nearest.len() != before;
            if nearest.len() < needed {
                short.push(text);
            }
        }
        if !short.is_empty() {
            let vectors: Vec<_> = short.iter().map(|text| self.vectors[*text].clone()).collect();
            let found = TextPairs::of(bank).nearest(&vectors)?;
            for (text, nearest) in short.into_iter().zip(found) {
                self.nearest[text] = nearest;
            }
        }
        if changed {
            self.turn_round(&bank.settings());
        }
        Ok(())
    }

    fn turn_round(&mut self, settings: &AsifSettings) {
        let relatives: Vec<_> =
            self.nearest.iter().map(|nearest| Relative::new(nearest, settings)).collect();
        self.index = InvertedIndex::new(relatives.iter());
    }
}

/// Eight sums side by side, which become vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a, b) = (a.chunks(8), b.chunks(8));
    for (a, b) in a.zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}
