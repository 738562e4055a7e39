//! What was wrong with single entries: counted by kind, the first ones named.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Entries of one kind that are named; more are only counted.
const MAX_NAMED: usize = 5;

/// What can be wrong with one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemarkKind {
    /// An annotation of an image that the dataset does not list: skipped.
    AnnotationOfUnknownImage,
    /// An annotation of a category that the dataset does not list: skipped.
    AnnotationOfUnknownCategory,
    /// An annotation with no `bbox` of four numbers: skipped.
    AnnotationWithoutBox,
    /// An annotation whose box or area holds NaN or infinity: skipped.
    AnnotationNotFinite,
    /// An annotation whose box has no or a negative width or height, or whose area is negative:
    /// skipped.
    AnnotationWithoutArea,
    /// An annotation whose box lies wholly outside of its image: skipped.
    AnnotationOutsideImage,
    /// A mask (RLE) of another size than its image: of no use, its box is used.
    MaskOfAnotherSize,
    /// A picture that is not there: left out.
    PictureMissing,
    /// A picture that cannot be read: left out.
    PictureUnreadable,
    /// A picture of another size than the dataset says, so that its boxes are in other pixels: left
    /// out.
    PictureOfAnotherSize,
    /// A picture that the model failed on: left out.
    PictureFailed,
    /// A result for an image that the dataset does not list: skipped.
    ResultOfUnknownImage,
    /// A result of a category that the dataset does not list: skipped.
    ResultOfUnknownCategory,
    /// A result with no `bbox` of four numbers or no `score`: skipped.
    ResultIncomplete,
    /// A result whose box or score holds NaN or infinity: skipped.
    ResultNotFinite,
    /// A result whose box has no or a negative width or height: used as pycocotools does, it can
    /// find nothing.
    ResultWithoutArea,
}

impl RemarkKind {
    /// What it is and what was done with it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::AnnotationOfUnknownImage => "annotations skipped, no such image",
            Self::AnnotationOfUnknownCategory => "annotations skipped, no such category",
            Self::AnnotationWithoutBox => "annotations skipped, no `bbox` of four numbers",
            Self::AnnotationNotFinite => "annotations skipped, a number is NaN or infinite",
            Self::AnnotationWithoutArea => "annotations skipped, box or mask without area",
            Self::AnnotationOutsideImage => "annotations skipped, box outside of its image",
            Self::MaskOfAnotherSize => {
                "masks of another size than their image, of no use; their boxes are used"
            }
            Self::PictureMissing => "images left out, no such picture",
            Self::PictureUnreadable => "images left out, picture cannot be read",
            Self::PictureOfAnotherSize => {
                "images left out, picture of another size than the dataset says"
            }
            Self::PictureFailed => "images left out, the model failed",
            Self::ResultOfUnknownImage => "results skipped, no such image",
            Self::ResultOfUnknownCategory => "results skipped, no such category",
            Self::ResultIncomplete => "results skipped, no `bbox` of four numbers or no `score`",
            Self::ResultNotFinite => "results skipped, a number is NaN or infinite",
            Self::ResultWithoutArea => "results without area, used though they can find nothing",
        }
    }

    /// Whether something is missing from the evaluation for it.
    #[must_use]
    pub fn is_loss(self) -> bool {
        !matches!(self, Self::MaskOfAnotherSize | Self::ResultWithoutArea)
    }
}

/// All entries of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// What was wrong.
    pub kind: RemarkKind,
    /// How many entries.
    pub count: u64,
    /// The first of them, each by its id or name and what was found.
    pub first: Vec<String>,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}", self.kind.text(), self.count, self.first.join("; "))?;
        if self.count > self.first.len() as u64 {
            write!(f, "; ...")?;
        }
        write!(f, ")")
    }
}

/// Counts what is wrong with entries, in memory that does not grow with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks(BTreeMap<RemarkKind, Remark>);

impl Remarks {
    /// Counts one entry; `name` is called for the first ones of a kind.
    pub fn add(&mut self, kind: RemarkKind, name: impl FnOnce() -> String) {
        let remark =
            self.0.entry(kind).or_insert_with(|| Remark { kind, count: 0, first: Vec::new() });
        remark.count += 1;
        if remark.first.len() < MAX_NAMED {
            remark.first.push(name());
        }
    }

    /// One for each kind that was seen.
    pub fn iter(&self) -> impl Iterator<Item = &Remark> {
        self.0.values()
    }

    /// How many entries of a kind there were.
    #[must_use]
    pub fn count(&self, kind: RemarkKind) -> u64 {
        self.0.get(&kind).map_or(0, |remark| remark.count)
    }

    /// Whether something is missing from the evaluation.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        self.0.keys().any(|kind| kind.is_loss())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_named_and_all_are_counted() {
        let mut remarks = Remarks::default();
        for id in 0..7 {
            remarks.add(RemarkKind::PictureMissing, || format!("image {id}"));
        }
        let mut more = Remarks::default();
        more.add(RemarkKind::MaskOfAnotherSize, || "annotation 3".to_owned());
        assert!(remarks.is_loss() && !more.is_loss());
        let text = more.iter().next().unwrap().to_string();
        assert!(text.ends_with("their boxes are used: 1 (annotation 3)"), "{text}");
        assert_eq!(
            remarks.iter().next().unwrap().to_string(),
            "images left out, no such picture: 7 (image 0; image 1; image 2; image 3; image 4; ...)"
        );
        assert_eq!(remarks.count(RemarkKind::PictureMissing), 7);
    }
}
