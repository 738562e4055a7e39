//! What a pair is.

use std::fmt;
use std::sync::Arc;

use super::BankError;
use crate::types::{PixelBox, Stamp};

pub use crate::types::PairId;

/// The longest caption in bytes of UTF-8: far beyond what any text encoder takes.
pub const MAX_CAPTION_BYTES: usize = 16 << 10;

/// The largest thumbnail in bytes of JPEG: pictures of 256 pixels on a side stay far below.
pub const MAX_THUMBNAIL_BYTES: usize = 64 << 10;

/// The longest name of a source or topic in bytes.
const MAX_NAME_BYTES: usize = 4 << 10;

/// One of the two sides of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The picture.
    Image,
    /// The caption.
    Text,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Text => "text",
        })
    }
}

/// What a pair says, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct PairOrigin {
    /// The text.
    pub caption: String,
    /// The picture's file or recording, or who taught it.
    pub source: Arc<str>,
    /// The topic of a recording.
    pub topic: Option<Arc<str>>,
    /// The stamp of the image in a recording or of a live frame.
    pub stamp: Option<Stamp>,
    /// The part of the picture that is meant; `None` is all of it.
    pub box_in_source_px: Option<PixelBox>,
}

impl PairOrigin {
    /// A copy to keep. It is made when what came with it is gone: texts that lie between vectors
    /// which are freed leave holes, and a bank of many pairs half as much memory again.
    pub(super) fn settled(&self) -> Self {
        let own = |name: &Arc<str>| match Arc::strong_count(name) {
            1 => Arc::from(&**name),
            _ => Arc::clone(name),
        };
        Self { source: own(&self.source), topic: self.topic.as_ref().map(own), ..self.clone() }
    }

    /// What tells pairs apart: two of one key are the same pair. Numbers of the box as bits.
    #[must_use]
    pub fn key(&self) -> impl Eq + std::hash::Hash + use<> {
        let corners = self.box_in_source_px.map(|area| area.corners().map(f32::to_bits));
        let Self { caption, source, topic, stamp, .. } = self.clone();
        (caption, source, topic, stamp, corners)
    }
}

/// A pair that is not in a bank yet.
#[derive(Clone, Debug)]
pub struct NewPair {
    /// The picture's vector, of any length but 0.
    pub image: Vec<f32>,
    /// The caption's vector, of any length but 0.
    pub text: Vec<f32>,
    /// What it says and where it came from.
    pub origin: PairOrigin,
    /// A small JPEG of the picture.
    pub thumbnail: Option<Vec<u8>>,
}

impl NewPair {
    /// Checks all but the vectors; `index` is the pair's place among those that come with it.
    pub(super) fn check(&self, index: usize) -> Result<(), BankError> {
        let PairOrigin { caption, source, topic, box_in_source_px, .. } = &self.origin;
        let refuse = |reason: String| Err(BankError::Pair { index, reason });
        if caption.trim().is_empty() {
            return refuse("the caption is empty".to_owned());
        }
        let topic = topic.as_deref().unwrap_or("");
        for (what, text, limit) in [
            ("caption", caption.as_str(), MAX_CAPTION_BYTES),
            ("source", source, MAX_NAME_BYTES),
            ("topic", topic, MAX_NAME_BYTES),
        ] {
            if text.len() > limit {
                return refuse(format!(
                    "the {what} has {} bytes, at most {limit} are kept",
                    text.len()
                ));
            }
        }
        if let Some(area) = box_in_source_px
            && !(area.corners().iter().all(|corner| corner.is_finite()) && area.area() > 0.0)
        {
            return refuse(format!("the box {:?} has no area", area.corners()));
        }
        match &self.thumbnail {
            Some(jpeg) if jpeg.len() > MAX_THUMBNAIL_BYTES => refuse(format!(
                "the thumbnail has {} bytes, at most {MAX_THUMBNAIL_BYTES} are kept",
                jpeg.len()
            )),
            _ => Ok(()),
        }
    }
}
