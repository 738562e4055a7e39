//! From a COCO annotation file to a dataset.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::mask::RawMask;
use super::{Category, Dataset, DatasetImage};
use crate::eval::boxes::CocoBox;
use crate::eval::json::{self, DatasetError};
use crate::eval::matching::Truth;
use crate::eval::remarks::{RemarkKind, Remarks};
use crate::eval::stored::StoredMask;

const EXPECTED: &str = "a COCO annotation file with `images`, `categories` and `annotations`";

/// Ids that a problem names; more are only counted.
const MAX_NAMED: usize = 5;

#[derive(Deserialize)]
struct RawDataset {
    images: Option<Vec<RawImage>>,
    categories: Option<Vec<RawCategory>>,
    annotations: Option<Vec<RawAnnotation>>,
}

#[derive(Deserialize)]
struct RawImage {
    id: i64,
    file_name: String,
    width: Option<u32>,
    height: Option<u32>,
}

#[derive(Deserialize)]
struct RawCategory {
    id: i64,
    name: String,
    supercategory: Option<String>,
    #[serde(default)]
    texts: Vec<String>,
}

#[derive(Deserialize)]
struct RawAnnotation {
    id: i64,
    image_id: i64,
    category_id: i64,
    bbox: Option<Vec<Option<f64>>>,
    #[serde(default, deserialize_with = "json::present")]
    area: Option<Option<f64>>,
    #[serde(default)]
    iscrowd: Flag,
    #[serde(default)]
    segmentation: RawMask,
}

/// 0 and 1, or `true` and `false`.
#[derive(Clone, Copy, Default)]
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0 or 1")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Flag, E> {
                Ok(Flag(number != 0))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

pub(super) fn read(path: &Path, remarks: &mut Remarks) -> Result<Dataset, DatasetError> {
    let raw: RawDataset = json::read(path, EXPECTED)?;
    let broken = |problems| Err(DatasetError::Broken { path: path.to_owned(), problems });
    let mut problems = Vec::new();
    for (key, length) in [
        ("images", raw.images.as_ref().map(Vec::len)),
        ("categories", raw.categories.as_ref().map(Vec::len)),
        ("annotations", raw.annotations.as_ref().map(Vec::len)),
    ] {
        match length {
            None => problems.push(format!("expected {EXPECTED}, found no key `{key}`")),
            Some(0) => problems.push(format!("expected at least one of `{key}`, found none")),
            Some(_) => {}
        }
    }
    if !problems.is_empty() {
        return broken(problems);
    }
    let mut images = raw.images.unwrap_or_default();
    let mut categories = raw.categories.unwrap_or_default();
    let annotations = raw.annotations.unwrap_or_default();
    images.sort_by_key(|image| image.id);
    categories.sort_by_key(|category| category.id);

    let ids = |ids: Vec<i64>| ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>();
    let names = categories.iter().map(|category| category.name.clone()).collect();
    problems.extend(repeated("image id", ids(images.iter().map(|image| image.id).collect())));
    problems.extend(repeated("category id", ids(categories.iter().map(|one| one.id).collect())));
    problems.extend(repeated("category name", names));
    problems.extend(repeated("annotation id", ids(annotations.iter().map(|one| one.id).collect())));
    for category in categories.iter().filter(|category| category.name.trim().is_empty()) {
        problems.push(format!("category {}: expected a name, found a blank one", category.id));
    }
    if !problems.is_empty() {
        return broken(problems);
    }
    let reader = Reader {
        image_at: images.iter().enumerate().map(|(at, image)| (image.id, at)).collect(),
        category_at: categories.iter().enumerate().map(|(at, one)| (one.id, at)).collect(),
        images: &images,
    };
    let truths: Vec<Truth> = annotations
        .into_iter()
        .filter_map(|annotation| match reader.truth(&annotation, remarks) {
            Ok(truth) => Some(truth),
            Err((kind, found)) => {
                remarks.add(kind, || format!("annotation {}: {found}", annotation.id));
                None
            }
        })
        .collect();
    if truths.is_empty() {
        let reasons = remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
        return broken(vec![format!(
            "expected annotations, found none that can be used:\n  {reasons}"
        )]);
    }
    Ok(Dataset {
        images: images.into_iter().map(DatasetImage::from).collect(),
        categories: categories.into_iter().map(Category::from).collect(),
        truths,
    })
}

struct Reader<'a> {
    image_at: HashMap<i64, usize>,
    category_at: HashMap<i64, usize>,
    images: &'a [RawImage],
}

impl Reader<'_> {
    /// The object of an annotation, or why there is none and what was found.
    fn truth(
        &self,
        annotation: &RawAnnotation,
        remarks: &mut Remarks,
    ) -> Result<Truth, (RemarkKind, String)> {
        let RawAnnotation { id, image_id, category_id, .. } = *annotation;
        let image = *self
            .image_at
            .get(&image_id)
            .ok_or((RemarkKind::AnnotationOfUnknownImage, format!("image {image_id}")))?;
        let category = *self
            .category_at
            .get(&category_id)
            .ok_or((RemarkKind::AnnotationOfUnknownCategory, format!("category {category_id}")))?;
        let area = coco_box(annotation.bbox.as_deref())
            .ok_or((RemarkKind::AnnotationWithoutBox, "no box".to_owned()))?;
        let shown = || format!("box {:?}", <[f64; 4]>::from(area));
        // Where no area is given it is that of the box; a given one that is no number is refused.
        let area_px = annotation.area.map_or(area.area(), |number| number.unwrap_or(f64::NAN));
        if !area.is_finite() || !area_px.is_finite() {
            return Err((RemarkKind::AnnotationNotFinite, format!("{}, area {area_px}", shown())));
        }
        if area.width <= 0.0 || area.height <= 0.0 || area_px < 0.0 {
            return Err((
                RemarkKind::AnnotationWithoutArea,
                format!("{}, area {area_px}", shown()),
            ));
        }
        if let RawImage { width: Some(width), height: Some(height), .. } = self.images[image]
            && !area.touches(width, height)
        {
            let found = format!("{} in {width}x{height}", shown());
            return Err((RemarkKind::AnnotationOutsideImage, found));
        }
        let size_px = self.images[image].width.zip(self.images[image].height);
        let mask = annotation.segmentation.mask(size_px).unwrap_or_else(|reason| {
            let of_another_size = annotation.segmentation.size().zip(size_px);
            let kind = match of_another_size {
                Some((size, (width, height))) if size != [height, width] => {
                    RemarkKind::MaskOfAnotherSize
                }
                _ => RemarkKind::MaskUnusable,
            };
            remarks.add(kind, || format!("annotation {id}: {reason}"));
            None
        });
        let mask = mask.as_ref().map(StoredMask::from);
        let crowd = annotation.iscrowd.0;
        Ok(Truth { id, image, category, box_in_source_px: area, area_px, crowd, mask })
    }
}

/// A box of four numbers, those that are none as NaN.
pub(in crate::eval) fn coco_box(numbers: Option<&[Option<f64>]>) -> Option<CocoBox> {
    let numbers: [Option<f64>; 4] = numbers?.try_into().ok()?;
    Some(numbers.map(|number| number.unwrap_or(f64::NAN)).into())
}

impl From<RawImage> for DatasetImage {
    fn from(raw: RawImage) -> Self {
        Self { id: raw.id, file_name: raw.file_name, size_px: raw.width.zip(raw.height) }
    }
}

impl From<RawCategory> for Category {
    fn from(raw: RawCategory) -> Self {
        let group = raw.supercategory.filter(|group| !group.trim().is_empty());
        Self { id: raw.id, name: raw.name, group, texts: raw.texts }
    }
}

/// What stands more than once, as one problem.
fn repeated(what: &str, mut values: Vec<String>) -> Option<String> {
    values.sort_unstable();
    let twice: Vec<_> = values
        .chunk_by(|a, b| a == b)
        .filter(|same| same.len() > 1)
        .map(|same| format!("{:?}", same[0]))
        .collect();
    let shown = twice[..twice.len().min(MAX_NAMED)].join(", ");
    let more = if twice.len() > MAX_NAMED { ", ..." } else { "" };
    (!twice.is_empty()).then(|| {
        format!("expected each {what} once, found {} more than once: {shown}{more}", twice.len())
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::{Value, json};

    use super::*;

    fn base() -> Value {
        json!({
            "info": {"year": 2017},
            "images": [
                {"id": 7, "file_name": "b.jpg", "width": 100, "height": 50, "license": 1},
                {"id": 3, "file_name": "a.jpg"},
            ],
            "categories": [
                {"id": 18, "name": "dog", "supercategory": "animal"},
                {"id": 2, "name": "mug", "texts": ["a mug", "a cup"], "supercategory": ""},
            ],
            "annotations": [
                {"id": 5, "image_id": 7, "category_id": 2, "bbox": [1, 2, 30.5, 4], "area": 99.0,
                 "iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 6]]},
                {"id": 1, "image_id": 3, "category_id": 18, "bbox": [0, 0, 5, 5], "iscrowd": 1,
                 "segmentation": {"size": [50, 100], "counts": [1, 2]}},
            ],
        })
    }

    fn read_text(text: &str) -> (Result<Dataset, DatasetError>, Remarks) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut remarks = Remarks::default();
        (read(file.path(), &mut remarks), remarks)
    }

    fn refusal(value: &Value) -> String {
        read_text(&value.to_string()).0.unwrap_err().to_string()
    }

    #[test]
    fn a_dataset_is_read_and_sorted_by_id() {
        let (dataset, remarks) = read_text(&base().to_string());
        let dataset = dataset.unwrap();
        // Runs of an image whose size is not given, which do not fill it.
        assert_eq!(remarks.count(RemarkKind::MaskUnusable), 1);
        let mask = dataset.truths[0].mask.as_ref().unwrap().mask();
        assert_eq!((mask.width(), mask.height(), mask.area_px()), (100, 50, 0), "a line");
        let ids: Vec<_> = dataset.images.iter().map(|image| image.id).collect();
        assert_eq!(ids, [3, 7]);
        assert_eq!(dataset.images[1].size_px, Some((100, 50)));
        let names: Vec<_> = dataset.categories.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["mug", "dog"]);
        assert_eq!(dataset.categories[0].texts, ["a mug", "a cup"]);
        assert_eq!(dataset.groups(), ["animal"]);
        let [first, second] = &dataset.truths[..] else { panic!("{:?}", dataset.truths) };
        assert_eq!((first.image, first.category, first.area_px, first.crowd), (1, 0, 99.0, false));
        // No area given: that of the box.
        assert_eq!(
            (second.image, second.category, second.area_px, second.crowd),
            (0, 1, 25.0, true)
        );
    }

    #[test]
    fn entries_that_cannot_be_used_are_counted_and_named() {
        let mut value = base();
        let bad = [
            (RemarkKind::AnnotationOfUnknownImage, json!({"image_id": 99})),
            (RemarkKind::AnnotationOfUnknownCategory, json!({"category_id": 99})),
            (RemarkKind::AnnotationWithoutBox, json!({"bbox": null})),
            (RemarkKind::AnnotationWithoutBox, json!({"bbox": [1, 2, 3]})),
            (RemarkKind::AnnotationNotFinite, json!({"bbox": ["nan", 2, 3, 4]})),
            (RemarkKind::AnnotationNotFinite, json!({"area": "nan"})),
            (RemarkKind::AnnotationWithoutArea, json!({"bbox": [1, 2, 0, 4]})),
            (RemarkKind::AnnotationWithoutArea, json!({"bbox": [1, 2, 3, -4]})),
            (RemarkKind::AnnotationOutsideImage, json!({"bbox": [100, 2, 3, 4]})),
        ];
        for (index, (_, change)) in bad.iter().enumerate() {
            let mut entry = value["annotations"][0].clone();
            entry["id"] = json!(100 + index);
            for (key, new) in change.as_object().unwrap() {
                entry[key] = new.clone();
            }
            value["annotations"].as_array_mut().unwrap().push(entry);
        }
        let mut resized = value["annotations"][0].clone();
        resized["id"] = json!(200);
        resized["segmentation"] = json!({"size": [40, 100], "counts": "abc"});
        value["annotations"].as_array_mut().unwrap().push(resized);

        let (dataset, remarks) = read_text(&value.to_string().replace("\"nan\"", "NaN"));
        assert_eq!(dataset.unwrap().truths.len(), 3, "the one with a wrong mask is used");
        for (kind, _) in &bad {
            let expected = bad.iter().filter(|(other, _)| other == kind).count() as u64;
            assert_eq!(remarks.count(*kind), expected, "{kind:?}");
        }
        assert_eq!(remarks.count(RemarkKind::MaskOfAnotherSize), 1);
        let text: Vec<_> = remarks.iter().map(ToString::to_string).collect();
        let text = text.join("\n");
        for expected in [
            "annotation 100: image 99",
            "annotation 106: box [1.0, 2.0, 0.0, 4.0]",
            "annotation 200: 100x40 in an image of 100x50",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn a_broken_structure_is_refused_with_every_reason() {
        let mut twice = base();
        twice["images"][0]["id"] = json!(3);
        twice["annotations"][1]["id"] = json!(5);
        twice["categories"][0]["name"] = json!("mug");
        let text = refusal(&twice);
        for expected in [
            "each image id once",
            "\"3\"",
            "each annotation id once",
            "\"5\"",
            "each category name once",
            "\"mug\"",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let mut empty = base();
        empty["annotations"] = json!([]);
        assert!(refusal(&empty).contains("at least one of `annotations`, found none"));
        empty.as_object_mut().unwrap().remove("images");
        assert!(refusal(&empty).contains("found no key `images`"));
        let mut blank = base();
        blank["categories"][0]["name"] = json!("  ");
        assert!(refusal(&blank).contains("category 18: expected a name"));
        let mut useless = base();
        useless["annotations"] = json!([{"id": 1, "image_id": 9, "category_id": 2}]);
        assert!(refusal(&useless).contains("no such image: 1 (annotation 1: image 9)"));
        let mut text_id = base();
        text_id["images"][0]["id"] = json!("seven");
        let text = refusal(&text_id);
        assert!(text.contains("expected i64 at line 1 column"), "{text}");
        for other in ["", "{", "[]", "not json"] {
            let text = read_text(other).0.unwrap_err().to_string();
            assert!(text.contains("expected a COCO annotation file"), "{text}");
        }
    }
}
