//! Floor 4: naming things with no training, by pairs of pictures and texts (ASIF).
//!
//! A [`Bank`] holds coupled pairs: the vector of a picture by one encoder, the vector of its caption
//! by another, and where the pair came from. A region of a frame and a prompt are each described by
//! how similar they are to the pairs of the bank ([`asif`]), and what two such descriptions have in
//! common is the score. Encoders that never saw each other meet in the pairs, and every score can be
//! read: it is a sum over pairs.
//!
//! [`encode`] has the encoders, [`Grounder`] names the regions of a frame, [`ClipClassifier`] chooses
//! among labels for a region, and [`similarity_maps`]
//! tells where in a picture something may be.

pub mod asif;
mod bank;
mod classifier;
mod crops;
pub mod encode;
mod grounder;
mod maps;

pub use bank::{
    Bank, BankError, BankManifest, BankSnapshot, DEFAULT_MARGIN, EncoderId, EncoderMismatch,
    FileRecord, MAX_CAPTION_BYTES, MAX_MARGIN, MAX_PAIRS, MAX_THUMBNAIL_BYTES, Merged, NewPair,
    PairId, PairOrigin, SegmentRecord, Side,
};
pub use classifier::ClipClassifier;
pub use crops::{crop_with_margin, square_around, thumbnail_of};
#[cfg(test)]
pub(crate) use grounder::by_hand;
pub use grounder::{
    EncodedPrompts, GroundedImage, Grounder, GrounderError, GrounderOptions, GroundingPrompt,
    GroundingQuery, Identified, MAX_REGIONS, MAX_TEXTS,
};
pub use maps::{SimilarityMap, similarity_maps};
