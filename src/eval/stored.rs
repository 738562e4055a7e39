//! Masks as an evaluation keeps them.

use std::sync::Arc;

use crate::types::{CocoRle, Mask};

/// A mask as its run-length code: some hundred bytes, where its pixels take as many as it has, so
/// that all masks of a dataset fit into memory. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMask(Arc<CocoRle>);

impl StoredMask {
    /// The pixels.
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.0.mask().expect("it was made from a mask")
    }

    /// The code.
    #[must_use]
    pub fn rle(&self) -> &CocoRle {
        &self.0
    }
}

impl From<&Mask> for StoredMask {
    fn from(mask: &Mask) -> Self {
        Self(Arc::new(mask.rle()))
    }
}
