//! Banks of coupled pairs: in memory, and on the disk.
//!
//! In memory each side is a matrix of f32 in blocks of rows, one row of unit length for each pair.
//! A pair is added behind the last row, and removed by putting the last row in its place, so that
//! neither costs more in a larger bank. A pair is known by an id that is never given again. Blocks
//! are shared with snapshots ([`BankSnapshot`]), which other threads save or search while the bank
//! goes on changing, and copied when one is written to that is shared.
//!
//! On the disk a bank is a folder of segments of 16384 pairs (the last one may have less):
//!
//! | file | what |
//! | --- | --- |
//! | `bank.json` | the manifest: both encoders with their checksums, `k`, `p`, the margin around regions, how many pairs, and name, size and SHA-256 of the files of each segment |
//! | `embeddings-S-N.safetensors` | `image_embeddings` and `text_embeddings`, f32, a row of unit length for each pair |
//! | `pairs-S-N.jsonl` | a line for each row: its id, its caption and where it came from |
//! | `thumbnails-S-N.safetensors` | small JPEGs, where pairs have some |
//!
//! Saving writes the files of segments that have changed under new names (N counts up) and then
//! replaces the manifest in one step: whoever reads, and whatever happens meanwhile, sees the old bank
//! or the new one. So a pair more costs the same in a bank of any size.
//!
//! f32 and not f16: the product with it is several times faster on a CPU, where f16 has to be
//! widened first, and similarities are held to 1e-5.

mod error;
mod load;
mod manifest;
mod matrix;
mod merge;
mod pair;
mod rows;
mod safetensors_out;
mod save;
mod snapshot;
#[cfg(test)]
mod tests;
mod thumbnails;
mod vector;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

pub use error::{BankError, EncoderMismatch};
pub use manifest::{BankManifest, EncoderId, FileRecord, SegmentRecord};
pub use merge::Merged;
pub use pair::{MAX_CAPTION_BYTES, MAX_THUMBNAIL_BYTES, NewPair, PairId, PairOrigin, Side};
pub use snapshot::BankSnapshot;

pub(in crate::ground) use snapshot::BankSide;
pub(in crate::ground) use vector::unit;

use matrix::Matrix;
use rows::Rows;
use snapshot::Home;
use thumbnails::Thumbnail;

use super::asif::AsifSettings;

/// The most pairs of a bank.
pub const MAX_PAIRS: usize = 10_000_000;

/// The largest [margin](Bank::margin): nine times a region's sides.
pub const MAX_MARGIN: f32 = 4.0;

/// The margin of banks that nobody chose another for.
pub const DEFAULT_MARGIN: f32 = 0.1;

/// Coupled pairs by two encoders.
#[derive(Debug)]
pub struct Bank {
    now: BankSnapshot,
    row_of: HashMap<PairId, usize>,
}

impl Bank {
    /// A bank with no pairs.
    ///
    /// # Errors
    /// Settings out of range; an encoder of no or of a hopelessly large dimension.
    pub fn new(
        image_encoder: EncoderId,
        text_encoder: EncoderId,
        settings: AsifSettings,
    ) -> Result<Self, BankError> {
        settings.check()?;
        for (side, encoder) in [(Side::Image, &image_encoder), (Side::Text, &text_encoder)] {
            if !(1..=EncoderId::MAX_DIMENSION).contains(&encoder.dimension) {
                return Err(BankError::Dimension { side, found: encoder.dimension });
            }
        }
        let now = BankSnapshot {
            images: Matrix::new(image_encoder.dimension),
            texts: Matrix::new(text_encoder.dimension),
            image_encoder,
            text_encoder,
            settings,
            margin: DEFAULT_MARGIN,
            ids: Rows::default(),
            origins: Rows::default(),
            thumbnails: Rows::default(),
            changes: Vec::new(),
            changed: 0,
            next_id: 1,
            home: Arc::default(),
        };
        Ok(Self { now, row_of: HashMap::new() })
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.now.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `k` and `p`.
    #[must_use]
    pub fn settings(&self) -> AsifSettings {
        self.now.settings
    }

    /// Sets `k` and `p` for whoever describes things by this bank from now on.
    ///
    /// # Errors
    /// Numbers out of range.
    pub fn set_settings(&mut self, settings: AsifSettings) -> Result<(), BankError> {
        settings.check()?;
        self.now.settings = settings;
        Ok(())
    }

    /// How much of the surroundings of a region is looked at, in the pictures of all pairs as in
    /// those that are named by them: times the region's sides, on each side.
    #[must_use]
    pub fn margin(&self) -> f32 {
        self.now.margin
    }

    /// Sets the margin, before the first pair is added: it holds for all.
    ///
    /// # Errors
    /// [`BankError::Margin`] where it is not in `[0, MAX_MARGIN]`.
    pub fn set_margin(&mut self, margin: f32) -> Result<(), BankError> {
        if !(0.0..=MAX_MARGIN).contains(&margin) {
            return Err(BankError::Margin { found: margin });
        }
        self.now.margin = margin;
        Ok(())
    }

    /// The encoder of one side.
    #[must_use]
    pub fn encoder(&self, side: Side) -> &EncoderId {
        match side {
            Side::Image => &self.now.image_encoder,
            Side::Text => &self.now.text_encoder,
        }
    }

    /// Numbers in a vector of one side.
    #[must_use]
    pub fn dimension(&self, side: Side) -> usize {
        self.now.matrix(side).dimension()
    }

    /// Refuses encoders that the bank was not made with: vectors of others mean something else.
    ///
    /// # Errors
    /// [`BankError::OtherEncoders`] with each side that differs.
    pub fn check_encoders(&self, image: &EncoderId, text: &EncoderId) -> Result<(), BankError> {
        let sides = [(Side::Image, image), (Side::Text, text)];
        let differing = sides.into_iter().filter(|(side, found)| !self.encoder(*side).is(found));
        let mismatches: Vec<_> = differing
            .map(|(side, found)| EncoderMismatch {
                side,
                expected: self.encoder(side).clone(),
                found: found.clone(),
            })
            .collect();
        match mismatches.is_empty() {
            true => Ok(()),
            false => Err(BankError::OtherEncoders { mismatches }),
        }
    }

    /// The ids of all pairs, in the order of rows.
    pub fn ids(&self) -> impl Iterator<Item = PairId> {
        self.now.ids.iter().copied()
    }

    /// Whether there is a pair of this id.
    #[must_use]
    pub fn contains(&self, pair: PairId) -> bool {
        self.row_of.contains_key(&pair)
    }

    /// Caption and origin of a pair.
    #[must_use]
    pub fn origin(&self, pair: PairId) -> Option<&PairOrigin> {
        self.now.origins.get(*self.row_of.get(&pair)?)
    }

    /// All pairs with caption and origin, in the order of rows.
    pub fn pairs(&self) -> impl Iterator<Item = (PairId, &PairOrigin)> {
        self.now.pairs()
    }

    /// The small JPEG of a pair, where it has one.
    ///
    /// # Errors
    /// Where it is on the disk and cannot be read.
    pub fn thumbnail(&self, pair: PairId) -> Result<Option<Vec<u8>>, BankError> {
        let row = self.row_of.get(&pair).and_then(|row| self.now.thumbnails.get(*row));
        row.map_or(Ok(None), Thumbnail::read)
    }

    /// The vector of one side of a pair, of unit length.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn vector(&self, side: Side, pair: PairId) -> Result<Option<Vec<f32>>, BankError> {
        let row = self.row_of.get(&pair);
        row.map(|row| self.now.matrix(side).row(*row)).transpose().map_err(BankError::from)
    }

    /// Adds pairs and gives their ids, in the same order. Vectors may have any length but 0.
    ///
    /// # Errors
    /// The first pair that cannot be one, or no room for all; then none is added.
    pub fn add(&mut self, pairs: Vec<NewPair>) -> Result<Vec<PairId>, BankError> {
        self.room_for(pairs.len())?;
        let mut units = Vec::with_capacity(pairs.len());
        for (index, pair) in pairs.iter().enumerate() {
            pair.check(index)?;
            let image = unit(Side::Image, index, &pair.image, self.dimension(Side::Image))?;
            units.push((image, unit(Side::Text, index, &pair.text, self.dimension(Side::Text))?));
        }
        let before = self.len();
        let now = &mut self.now;
        for (image, text) in &units {
            let pushed = now.images.push(image).and_then(|()| now.texts.push(text));
            if let Err(error) = pushed {
                now.images.truncate(before);
                now.texts.truncate(before);
                return Err(error.into());
            }
        }
        drop(units);
        let kept: Vec<_> = pairs.into_iter().map(|pair| (pair.origin, pair.thumbnail)).collect();
        let mut added = Vec::with_capacity(kept.len());
        for (origin, thumbnail) in &kept {
            let id = PairId(now.next_id);
            now.next_id += 1;
            now.touch(now.ids.len());
            self.row_of.insert(id, now.ids.len());
            now.ids.push(id);
            now.origins.push(origin.settled());
            now.thumbnails.push(Thumbnail::own(thumbnail.as_deref()));
            added.push(id);
        }
        Ok(added)
    }

    /// Removes pairs, in time that does not grow with the bank; gives how many of them there were.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn remove(&mut self, pairs: &[PairId]) -> Result<usize, BankError> {
        let mut removed = 0;
        let now = &mut self.now;
        for pair in pairs {
            let Some(row) = self.row_of.get(pair).copied() else { continue };
            // What takes memory comes first: where there is none, both sides are as they were.
            now.images.own(row)?;
            now.texts.own(row)?;
            now.images.copy_last_to(row)?;
            now.texts.copy_last_to(row)?;
            let last = now.ids.len() - 1;
            now.touch(row);
            now.touch(last);
            now.images.truncate(last);
            now.texts.truncate(last);
            self.row_of.remove(pair);
            now.ids.swap_remove(row);
            now.origins.swap_remove(row);
            now.thumbnails.swap_remove(row);
            if let Some(moved) = now.ids.get(row) {
                self.row_of.insert(*moved, row);
            }
            removed += 1;
        }
        Ok(removed)
    }

    /// The vectors of one side, to be searched on any thread while this bank goes on changing.
    #[must_use]
    pub(in crate::ground) fn side(&self, side: Side) -> BankSide {
        self.now.side(side)
    }

    /// All pairs as they are now, to be saved on any thread while this bank goes on changing. Both
    /// know of each other's savings: they are of one bank.
    #[must_use]
    pub fn snapshot(&self) -> BankSnapshot {
        self.now.clone()
    }

    /// As [`BankSnapshot::save`].
    ///
    /// # Errors
    /// As there.
    pub fn save(&self, folder: &Path) -> Result<(), BankError> {
        self.now.save(folder)
    }

    fn room_for(&self, more: usize) -> Result<(), BankError> {
        match self.len().saturating_add(more) {
            asked if asked > MAX_PAIRS => Err(BankError::Full { limit: MAX_PAIRS, asked }),
            _ => Ok(()),
        }
    }
}
