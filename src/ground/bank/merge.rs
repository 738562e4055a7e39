//! One bank out of two.

use std::collections::HashSet;

use super::{Bank, BankError, NewPair, PairId, Side};

/// Pairs that are copied at once.
const PAIRS_PER_STEP: usize = 1024;

/// What came of a merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// For each pair that was taken over: its id there, and its new one here.
    pub added: Vec<(PairId, PairId)>,
    /// Pairs that were here already, with the same caption and origin.
    pub already_there: usize,
}

impl Bank {
    /// Takes over all pairs of another bank of the same encoders. Pairs of this bank keep their ids;
    /// those that come get new ones.
    ///
    /// # Errors
    /// [`BankError::OtherEncoders`], [`BankError::OtherMargin`]; no room for all; what the file system or libtorch report. Where
    /// it fails on the way, what was taken over by then stays.
    pub fn merge(&mut self, other: &Self) -> Result<Merged, BankError> {
        self.check_encoders(other.encoder(Side::Image), other.encoder(Side::Text))?;
        if self.margin().to_bits() != other.margin().to_bits() {
            return Err(BankError::OtherMargin { expected: self.margin(), found: other.margin() });
        }
        let known: HashSet<_> = self.now.origins.iter().map(super::PairOrigin::key).collect();
        let (mut wanted, mut merged) = (Vec::new(), Merged::default());
        for (id, origin) in other.pairs() {
            match known.contains(&origin.key()) {
                true => merged.already_there += 1,
                false => wanted.push(id),
            }
        }
        self.room_for(wanted.len())?;
        for ids in wanted.chunks(PAIRS_PER_STEP) {
            let pairs: Result<Vec<_>, BankError> =
                ids.iter().filter_map(|id| other.copy_of(*id).transpose()).collect();
            let added = self.add(pairs?)?;
            merged.added.extend(ids.iter().copied().zip(added));
        }
        Ok(merged)
    }

    fn copy_of(&self, id: PairId) -> Result<Option<NewPair>, BankError> {
        let (image, text) = (self.vector(Side::Image, id)?, self.vector(Side::Text, id)?);
        let thumbnail = self.thumbnail(id)?;
        let parts = image.zip(text).zip(self.origin(id));
        Ok(parts.map(|((image, text), origin)| NewPair {
            image,
            text,
            origin: origin.clone(),
            thumbnail,
        }))
    }
}
