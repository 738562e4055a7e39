//! A dataset with true boxes, in the form of COCO.

mod fingerprint;
mod mask;
mod read;

use std::path::Path;

use super::json::DatasetError;
use super::matching::Truth;
use super::remarks::Remarks;

pub(super) use self::mask::RawMask;
pub(super) use self::read::coco_box;

/// Images, categories and objects whose parts belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// By rising id.
    pub images: Vec<DatasetImage>,
    /// By rising id.
    pub categories: Vec<Category>,
    /// In the order of the file; images and categories are positions in the lists above.
    pub truths: Vec<Truth>,
}

/// One image of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetImage {
    /// Its id, unique in the dataset.
    pub id: i64,
    /// Its picture, relative to the folder of pictures.
    pub file_name: String,
    /// Width and height in pixels, where the dataset says them.
    pub size_px: Option<(u32, u32)>,
}

/// One kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Its id, unique in the dataset.
    pub id: i64,
    /// Its name, unique in the dataset and not blank.
    pub name: String,
    /// The group for which averages are told as well (`supercategory`).
    pub group: Option<String>,
    /// Texts that describe it (`texts`, Owlet's extension); empty where its name does.
    pub texts: Vec<String>,
}

/// Which images of a dataset are meant: one flag for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part(pub Vec<bool>);

impl Part {
    /// How many images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().filter(|used| **used).count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }

    /// Whether the image at this position is meant.
    #[must_use]
    pub fn has(&self, image: usize) -> bool {
        self.0.get(image).is_some_and(|used| *used)
    }

    /// Leaves an image out.
    pub fn leave_out(&mut self, image: usize) {
        if let Some(used) = self.0.get_mut(image) {
            *used = false;
        }
    }
}

impl Dataset {
    /// Reads a COCO annotation file. Entries that cannot be used are counted in `remarks`.
    ///
    /// # Errors
    /// [`DatasetError`]: a file that is not JSON or of another form; ids and category names that
    /// are not unique; no images, categories or annotations.
    pub fn read(path: &Path, remarks: &mut Remarks) -> Result<Self, DatasetError> {
        read::read(path, remarks)
    }

    /// All images.
    #[must_use]
    pub fn whole(&self) -> Part {
        Part(vec![true; self.images.len()])
    }

    /// The evaluation part and the calibration part, which is each `every`-th image by rising id.
    #[must_use]
    pub fn split(&self, every: usize) -> (Part, Part) {
        let aside: Vec<bool> =
            (1..=self.images.len()).map(|number| number.is_multiple_of(every)).collect();
        (Part(aside.iter().map(|aside| !aside).collect()), Part(aside))
    }

    /// The objects in a part.
    #[must_use]
    pub fn truths_in(&self, part: &Part) -> Vec<Truth> {
        self.truths.iter().filter(|truth| part.has(truth.image)).cloned().collect()
    }

    /// The names of the groups, sorted.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<_> =
            self.categories.iter().filter_map(|category| category.group.as_deref()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// SHA-256 in hex over the ids of the images of a part, the categories and the objects in it:
    /// equal where two evaluations had the same to find, whatever their files are called.
    #[must_use]
    pub fn fingerprint(&self, part: &Part) -> String {
        fingerprint::of(self, part)
    }
}
