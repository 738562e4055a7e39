//! Why a pair was not taught.

use crate::ground::bank::BankError;
use crate::tasks::{DetectError, EncodeError};
use crate::types::PixelBox;

/// Why a pair was not taught.
#[derive(Debug, thiserror::Error)]
pub enum GrounderError {
    /// A box that has no part of the image.
    #[error(
        "the box {:?} has no part of an image of {width}x{height}",
        box_in_source_px.corners()
    )]
    Outside {
        /// The box.
        box_in_source_px: PixelBox,
        /// Width of the image in pixels.
        width: u32,
        /// Height of the image in pixels.
        height: u32,
    },
    /// The picture.
    #[error(transparent)]
    Image(#[from] DetectError),
    /// The caption.
    #[error("the caption cannot be used: {0}")]
    Caption(#[from] EncodeError),
    /// Its small picture for people.
    #[error("no thumbnail could be made: {0}")]
    Thumbnail(#[from] crate::vision::encode::EncodeError),
    /// The bank.
    #[error(transparent)]
    Bank(#[from] BankError),
}
