//! A bank, the texts in use, and what they say about regions.

use super::texts::{TextPairs, TextSide};
use super::{Relative, ScoreParts};
use crate::ground::bank::{Bank, BankError, NewPair, PairId, Side, unit};

/// A bank with the texts that are asked for.
///
/// Pairs come and go while texts are in use: both sides are kept in step, with no rebuild.
#[derive(Debug)]
pub struct Asif {
    bank: Bank,
    texts: TextSide,
}

impl Asif {
    /// With no texts yet.
    #[must_use]
    pub fn new(bank: Bank) -> Self {
        Self { bank, texts: TextSide::default() }
    }

    /// The bank.
    #[must_use]
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Puts texts into use, each by its vector from the bank's text encoder, of any length but 0.
    ///
    /// # Errors
    /// A vector of another dimension, with numbers that are none, or of length 0; what libtorch
    /// reports. The texts in use before stay in use.
    pub fn set_texts(&mut self, vectors: &[Vec<f32>]) -> Result<(), BankError> {
        let vectors = self.units(Side::Text, vectors)?;
        let pairs = TextPairs::of(&self.bank);
        let nearest = pairs.nearest(&vectors)?;
        self.use_texts(TextSide::new(pairs.settings(), vectors, nearest));
        Ok(())
    }

    /// Puts texts into use that were described by the pairs which the bank has now.
    pub(in crate::ground) fn use_texts(&mut self, texts: TextSide) {
        self.texts = texts;
    }

    /// Adds pairs; scores take them into account from now on.
    ///
    /// # Errors
    /// As [`Bank::add`]; then none of them is added.
    pub fn add(&mut self, pairs: Vec<NewPair>) -> Result<Vec<PairId>, BankError> {
        let added = self.bank.add(pairs)?;
        self.texts.added(&self.bank, &added)?;
        Ok(added)
    }

    /// Removes pairs; gives how many there were.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn remove(&mut self, pairs: &[PairId]) -> Result<usize, BankError> {
        let removed = self.bank.remove(pairs)?;
        self.texts.removed(&self.bank, pairs)?;
        Ok(removed)
    }

    /// Describes regions by the pairs of the bank, each by its vector from the bank's image encoder,
    /// of any length but 0. One product of matrices for all.
    ///
    /// # Errors
    /// As [`set_texts`](Self::set_texts).
    pub fn describe(&self, vectors: &[Vec<f32>]) -> Result<Vec<Relative>, BankError> {
        let vectors = self.units(Side::Image, vectors)?;
        let settings = self.bank.settings();
        let nearest = self.bank.side(Side::Image).nearest(&vectors, settings.k)?;
        Ok(nearest.iter().map(|nearest| Relative::new(nearest, &settings)).collect())
    }

    /// The score of each text in use for a region, in `[0, 1]`.
    #[must_use]
    pub fn scores(&self, region: &Relative) -> Vec<f32> {
        self.texts.index().scores(region)
    }

    /// How many texts are in use.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.texts.index().texts()
    }

    /// Which pairs spoke for the score of the text at a place; at most `most` are listed.
    #[must_use]
    pub fn explain(&self, region: &Relative, text: usize, most: usize) -> ScoreParts {
        ScoreParts::new(region, self.texts.index(), text, most)
    }

    fn units(&self, side: Side, vectors: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, BankError> {
        let expected = self.bank.dimension(side);
        let each = vectors.iter().enumerate();
        each.map(|(index, vector)| unit(side, index, vector, expected)).collect()
    }
}
