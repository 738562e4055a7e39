//! A bank as it was at one time, for other threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::matrix::Matrix;
use super::rows::BLOCK_ROWS;
use super::rows::Rows;
use super::thumbnails::Thumbnail;
use super::{BankError, EncoderId, PairId, PairOrigin, SegmentRecord, Side};
use crate::ground::asif::{AsifSettings, Nearest, Similar};

/// Descriptions that are worked on at once: their similarities to one block of rows take 2 MB.
const QUERIES_PER_PASS: usize = 64;

/// Blocks whose pairs are on the disk together. A change rewrites the files of its segment: at some
/// 4 KB for a pair and a picture of some more less than 200 MB, and no more than two of them.
pub(super) const SEGMENT_BLOCKS: usize = 2;

/// Pairs of every segment but the last.
pub(super) const SEGMENT_ROWS: usize = SEGMENT_BLOCKS * BLOCK_ROWS;

/// A folder, and which of its states is in memory.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub(super) folder: PathBuf,
    pub(super) generation: u64,
    /// What was written or read for each segment, and at which of its changes.
    pub(super) segments: Vec<(u64, SegmentRecord)>,
}

/// The pairs of a bank as they were at one time, with all that is kept on the disk.
///
/// It shares memory with the bank until that changes: making one costs some counters whatever the
/// number of pairs, and a change of the bank meanwhile costs a copy of the blocks that it touches.
#[derive(Clone, Debug)]
pub struct BankSnapshot {
    pub(super) image_encoder: EncoderId,
    pub(super) text_encoder: EncoderId,
    pub(super) settings: AsifSettings,
    pub(super) margin: f32,
    pub(super) images: Matrix,
    pub(super) texts: Matrix,
    /// By row, as the origins and thumbnails.
    pub(super) ids: Rows<PairId>,
    pub(super) origins: Rows<PairOrigin>,
    pub(super) thumbnails: Rows<Thumbnail>,
    /// For each segment its last change.
    pub(super) changes: Vec<u64>,
    /// Changes so far, of all segments.
    pub(super) changed: u64,
    pub(super) next_id: u64,
    /// Where it was loaded from or saved to last; of one bank and all its snapshots.
    pub(super) home: Arc<Mutex<Option<Home>>>,
}

impl BankSnapshot {
    pub(super) fn matrix(&self, side: Side) -> &Matrix {
        match side {
            Side::Image => &self.images,
            Side::Text => &self.texts,
        }
    }

    pub(super) fn home(&self) -> MutexGuard<'_, Option<Home>> {
        // It is replaced as a whole.
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All pairs with caption and origin, in the order of rows.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (PairId, &PairOrigin)> {
        self.ids.iter().copied().zip(self.origins.iter())
    }

    /// Remembers that the segment of a row is to be saved anew, before the row is changed or put in.
    pub(super) fn touch(&mut self, row: usize) {
        let at = row / SEGMENT_ROWS;
        self.changed += 1;
        // A segment that was emptied and filled again is another one.
        self.changes.resize(self.changes.len().max(at + 1), 0);
        self.changes[at] = self.changed;
    }

    pub(super) fn side(&self, side: Side) -> BankSide {
        BankSide { vectors: self.matrix(side).clone(), ids: self.ids.clone() }
    }
}

/// The vectors of one side of all pairs, as a [`BankSnapshot`] has them.
#[derive(Clone, Debug)]
pub(in crate::ground) struct BankSide {
    vectors: Matrix,
    ids: Rows<PairId>,
}

impl BankSide {
    /// The `k` most similar pairs of each vector of unit length, best first.
    ///
    /// # Errors
    /// What libtorch reports.
    pub(in crate::ground) fn nearest(
        &self,
        vectors: &[Vec<f32>],
        k: usize,
    ) -> Result<Vec<Vec<Similar>>, BankError> {
        let mut all = Vec::with_capacity(vectors.len());
        for vectors in vectors.chunks(QUERIES_PER_PASS) {
            let mut nearest = vec![Nearest::new(k); vectors.len()];
            self.vectors.for_each_block(vectors, |block, rows, cosines| {
                for (nearest, cosines) in nearest.iter_mut().zip(cosines.chunks_exact(rows)) {
                    nearest.offer(self.ids.block(block), cosines);
                }
            })?;
            all.extend(nearest.into_iter().map(Nearest::finish));
        }
        Ok(all)
    }
}
