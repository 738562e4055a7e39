//! Why something was found by a bank of pairs.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The id of a pair, unique in its bank and never given again there.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct PairId(pub u64);

impl fmt::Display for PairId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one pair has given to a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The pair.
    pub pair: PairId,
    /// Its weight in the description of the region, in `(0, 1]`.
    pub image_weight: f32,
    /// Its weight in the description of the text, in `(0, 1]`.
    pub text_weight: f32,
    /// The product of both: what it adds to the score.
    pub product: f32,
    /// The product's part of the whole score, in `[0, 1]`.
    pub share: f32,
}

/// A pair that spoke for a score, and what it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct PairEvidence {
    /// How much it spoke for it.
    pub weights: Evidence,
    /// Its text.
    pub caption: Arc<str>,
    /// Its picture's file or recording, or who taught it.
    pub source: Arc<str>,
    /// A small JPEG of its picture, where the bank keeps one.
    pub thumbnail: Option<Arc<[u8]>>,
}

/// Why a detection has its score: a sum over pairs of a bank (ASIF), so that all of it can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The text of the prompt that scored best.
    pub text: Arc<str>,
    /// Pairs that the descriptions of both the text and the region have, however many of them are
    /// listed.
    pub pairs: usize,
    /// The first of them, those that gave most.
    pub evidence: Vec<PairEvidence>,
}
