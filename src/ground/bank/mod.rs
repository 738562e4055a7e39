//! Banks of coupled pairs: in memory, and on the disk.
//!
//! In memory each side is a matrix of f32 in blocks of rows, one row of unit length for each pair.
//! A pair is added behind the last row, and removed by putting the last row in its place, so that
//! neither costs more in a larger bank. A pair is known by an id that is never given again.
//!
//! On the disk a bank is a folder:
//!
//! | file | what |
//! | --- | --- |
//! | `bank.json` | the manifest: both encoders with their checksums, `k`, `p`, how many pairs, and name, size and SHA-256 of the other files |
//! | `embeddings-N.safetensors` | `image_embeddings` and `text_embeddings`, f32, a row of unit length for each pair |
//! | `pairs-N.jsonl` | a line for each row: its id, its caption and where it came from |
//! | `thumbnails-N.safetensors` | small JPEGs, where pairs have some |
//!
//! Saving writes the other files under new names (N counts up) and then replaces the manifest in one
//! step: whoever reads, and whatever happens meanwhile, sees the old bank or the new one.
//!
//! f32 and not f16: the product with it is several times faster on a CPU, where f16 has to be
//! widened first, and similarities are held to 1e-5.

mod error;
mod load;
mod manifest;
mod matrix;
mod merge;
mod pair;
mod safetensors_out;
mod save;
#[cfg(test)]
mod tests;
mod thumbnails;
mod vector;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use error::{BankError, EncoderMismatch};
pub use manifest::{BankManifest, EncoderId, FileRecord};
pub use merge::Merged;
pub use pair::{MAX_CAPTION_BYTES, MAX_THUMBNAIL_BYTES, NewPair, PairId, PairOrigin, Side};

pub(in crate::ground) use vector::unit;

use matrix::Matrix;
use thumbnails::Thumbnails;

use super::asif::{AsifSettings, Nearest, Similar};

/// The most pairs of a bank.
pub const MAX_PAIRS: usize = 10_000_000;

/// Descriptions that are worked on at once: their similarities to one block of rows take 2 MB.
const QUERIES_PER_PASS: usize = 64;

/// Coupled pairs by two encoders.
#[derive(Debug)]
pub struct Bank {
    image_encoder: EncoderId,
    text_encoder: EncoderId,
    settings: AsifSettings,
    images: Matrix,
    texts: Matrix,
    /// By row, as the origins and thumbnails.
    ids: Vec<PairId>,
    origins: Vec<PairOrigin>,
    thumbnails: Thumbnails,
    row_of: HashMap<PairId, usize>,
    next_id: u64,
    /// Where it was loaded from or saved to last; of one bank and all its snapshots.
    home: Arc<Mutex<Option<Home>>>,
}

/// A folder, and which of its states is in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Home {
    folder: PathBuf,
    generation: u64,
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
        Ok(Self {
            images: Matrix::new(image_encoder.dimension),
            texts: Matrix::new(text_encoder.dimension),
            image_encoder,
            text_encoder,
            settings,
            ids: Vec::new(),
            origins: Vec::new(),
            thumbnails: Thumbnails::default(),
            row_of: HashMap::new(),
            next_id: 1,
            home: Arc::default(),
        })
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// `k` and `p`.
    #[must_use]
    pub fn settings(&self) -> AsifSettings {
        self.settings
    }

    /// Sets `k` and `p` for whoever describes things by this bank from now on.
    ///
    /// # Errors
    /// Numbers out of range.
    pub fn set_settings(&mut self, settings: AsifSettings) -> Result<(), BankError> {
        settings.check()?;
        self.settings = settings;
        Ok(())
    }

    /// The encoder of one side.
    #[must_use]
    pub fn encoder(&self, side: Side) -> &EncoderId {
        match side {
            Side::Image => &self.image_encoder,
            Side::Text => &self.text_encoder,
        }
    }

    /// Numbers in a vector of one side.
    #[must_use]
    pub fn dimension(&self, side: Side) -> usize {
        self.matrix(side).dimension()
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
    #[must_use]
    pub fn ids(&self) -> &[PairId] {
        &self.ids
    }

    /// Whether there is a pair of this id.
    #[must_use]
    pub fn contains(&self, pair: PairId) -> bool {
        self.row_of.contains_key(&pair)
    }

    /// Caption and origin of a pair.
    #[must_use]
    pub fn origin(&self, pair: PairId) -> Option<&PairOrigin> {
        self.row_of.get(&pair).map(|row| &self.origins[*row])
    }

    /// All pairs with caption and origin, in the order of rows.
    pub fn pairs(&self) -> impl Iterator<Item = (PairId, &PairOrigin)> {
        self.ids.iter().copied().zip(&self.origins)
    }

    /// The small JPEG of a pair, where it has one.
    ///
    /// # Errors
    /// Where it is on the disk and cannot be read.
    pub fn thumbnail(&self, pair: PairId) -> Result<Option<Vec<u8>>, BankError> {
        self.row_of.get(&pair).map_or(Ok(None), |row| self.thumbnails.read(*row))
    }

    /// The vector of one side of a pair, of unit length.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn vector(&self, side: Side, pair: PairId) -> Result<Option<Vec<f32>>, BankError> {
        let row = self.row_of.get(&pair);
        row.map(|row| self.matrix(side).row(*row)).transpose().map_err(BankError::from)
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
        for (image, text) in &units {
            let pushed = self.images.push(image).and_then(|()| self.texts.push(text));
            if let Err(error) = pushed {
                self.images.truncate(before);
                self.texts.truncate(before);
                return Err(error.into());
            }
        }
        let mut added = Vec::with_capacity(pairs.len());
        for NewPair { origin, thumbnail, .. } in pairs {
            let id = PairId(self.next_id);
            self.next_id += 1;
            self.row_of.insert(id, self.ids.len());
            self.ids.push(id);
            self.origins.push(origin);
            self.thumbnails.push(thumbnail);
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
        for pair in pairs {
            let Some(row) = self.row_of.get(pair).copied() else { continue };
            // The copies first: where one fails, the pair is whole, and so is the last one.
            self.images.copy_last_to(row)?;
            self.texts.copy_last_to(row)?;
            let last = self.ids.len() - 1;
            self.images.truncate(last);
            self.texts.truncate(last);
            self.row_of.remove(pair);
            self.ids.swap_remove(row);
            self.origins.swap_remove(row);
            self.thumbnails.swap_remove(row);
            if let Some(moved) = self.ids.get(row) {
                self.row_of.insert(*moved, row);
            }
            removed += 1;
        }
        Ok(removed)
    }

    /// The `k` most similar pairs of each vector of unit length, best first, by one side.
    ///
    /// # Errors
    /// What libtorch reports.
    pub(in crate::ground) fn nearest(
        &self,
        side: Side,
        vectors: &[Vec<f32>],
        k: usize,
    ) -> Result<Vec<Vec<Similar>>, BankError> {
        let mut all = Vec::with_capacity(vectors.len());
        for vectors in vectors.chunks(QUERIES_PER_PASS) {
            let mut nearest = vec![Nearest::new(k); vectors.len()];
            self.matrix(side).for_each_block(vectors, |first_row, rows, cosines| {
                let ids = &self.ids[first_row..first_row + rows];
                for (nearest, cosines) in nearest.iter_mut().zip(cosines.chunks_exact(rows)) {
                    nearest.offer(ids, cosines);
                }
            })?;
            all.extend(nearest.into_iter().map(Nearest::finish));
        }
        Ok(all)
    }

    /// A copy that may be saved on another thread while this bank goes on changing. It knows of each
    /// other's savings: they are of one bank.
    ///
    /// # Errors
    /// No memory for it.
    pub fn snapshot(&self) -> Result<Self, BankError> {
        Ok(Self {
            image_encoder: self.image_encoder.clone(),
            text_encoder: self.text_encoder.clone(),
            settings: self.settings,
            images: self.images.copy()?,
            texts: self.texts.copy()?,
            ids: self.ids.clone(),
            origins: self.origins.clone(),
            thumbnails: self.thumbnails.clone(),
            row_of: self.row_of.clone(),
            next_id: self.next_id,
            home: Arc::clone(&self.home),
        })
    }

    fn home(&self) -> MutexGuard<'_, Option<Home>> {
        // It is replaced as a whole.
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn matrix(&self, side: Side) -> &Matrix {
        match side {
            Side::Image => &self.images,
            Side::Text => &self.texts,
        }
    }

    fn room_for(&self, more: usize) -> Result<(), BankError> {
        match self.len().saturating_add(more) {
            asked if asked > MAX_PAIRS => Err(BankError::Full { limit: MAX_PAIRS, asked }),
            _ => Ok(()),
        }
    }
}
