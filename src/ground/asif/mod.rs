//! ASIF: coupled data turns unimodal models into a multimodal one without training.
//!
//! A. Norelli, M. Fumero, V. Maiorca, L. Moschella, E. Rodolà, F. Locatello: "ASIF: Coupled Data
//! Turns Unimodal Models to Multimodal Without Training" (NeurIPS 2023, arXiv:2210.01738). Held
//! against the authors' code (`relreps.py` of noranta4/ASIF), written anew in NumPy by
//! `tools/make_asif_goldens.py`.
//!
//! An image has cosine similarities to the pictures of all pairs of a bank, a text has them to the
//! captions of the same pairs. Of each the `k` largest are kept, raised to the power `p`, and scaled
//! so that their squares sum to 1 ([`Relative`]). The score of an image and a text is the product of
//! the two: the cosine between their descriptions by pairs.
//!
//! What the paper leaves open is done as its code does it:
//! - **Negative similarities.** The largest are taken by their signed value, and the power is then
//!   taken of what was kept. Where `p` is even, as the default of 8 is, a kept negative similarity
//!   counts by its size; that happens only in banks of so few pairs that `k` takes all. Where `p` is
//!   not even the code's power is negative or no number, and here it is 0: no weight is ever
//!   negative, and every score is in `[0, 1]`.
//! - **`k`** is clipped to the size of the bank.
//! - **Scaling.** The code scales only texts, since the scale of an image moves the scores of all
//!   texts alike. Here both sides are scaled, so that scores of several images compare and thresholds
//!   mean something; the order of texts for an image is the same.
//! - **Ties.** Of equal similarities the pair with the smaller id is kept.
//!
//! The work is spread so that a frame pays little ([`Asif`]): the text side of the prompts is kept as
//! an [`InvertedIndex`] from pairs to the texts that they speak for. A region then costs one product
//! with the matrix of picture vectors (blocks of rows through libtorch, f32), one pass over its
//! similarities that keeps the best ([`Nearest`]), and `k` look-ups in the index, however many
//! prompts there are.

mod engine;
mod explain;
mod index;
mod nearest;
mod relative;
mod settings;
mod texts;

pub use engine::Asif;
pub use explain::ScoreParts;
pub use index::InvertedIndex;
pub use nearest::{Nearest, Similar};
pub use relative::Relative;
pub use settings::{AsifSettings, SettingsRefused};
pub(in crate::ground) use texts::{TextPairs, TextSide};
