//! Detections in the results format of COCO.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::boxes::CocoBox;
use super::dataset::{Dataset, RawMask, coco_box};
use super::json::{self, DatasetError};
use super::matching::Found;
use super::remarks::{RemarkKind, Remarks};
use super::stored::StoredMask;
use crate::types::CocoRle;

const EXPECTED: &str =
    "a COCO results file: a list of {\"image_id\", \"category_id\", \"bbox\", \"score\"}";

#[derive(Deserialize)]
struct RawResult {
    image_id: i64,
    category_id: i64,
    bbox: Option<Vec<Option<f64>>>,
    /// Missing, or a number that is none.
    #[serde(default, deserialize_with = "json::present")]
    score: Option<Option<f64>>,
    #[serde(default)]
    segmentation: RawMask,
}

#[derive(Serialize)]
struct ResultRecord<'a> {
    image_id: i64,
    category_id: i64,
    bbox: CocoBox,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    segmentation: Option<&'a CocoRle>,
}

/// Reads a results file for a dataset, in the order of the file. Entries that cannot be used are
/// counted in `remarks`.
///
/// # Errors
/// [`DatasetError`]: a file that is not JSON or of another form; entries of which none can be used.
pub fn read_results(
    path: &Path,
    dataset: &Dataset,
    remarks: &mut Remarks,
) -> Result<Vec<Found>, DatasetError> {
    let raw: Vec<RawResult> = json::read(path, EXPECTED)?;
    let image_at: HashMap<_, _> =
        dataset.images.iter().enumerate().map(|(at, image)| (image.id, at)).collect();
    let category_at: HashMap<_, _> =
        dataset.categories.iter().enumerate().map(|(at, one)| (one.id, at)).collect();
    let mut found = Vec::with_capacity(raw.len());
    for (index, result) in raw.iter().enumerate() {
        let RawResult { image_id, category_id, .. } = result;
        let mut remark =
            |kind, what: String| remarks.add(kind, || format!("result {index}: {what}"));
        let Some(&image) = image_at.get(image_id) else {
            remark(RemarkKind::ResultOfUnknownImage, format!("image {image_id}"));
            continue;
        };
        let Some(&category) = category_at.get(category_id) else {
            remark(RemarkKind::ResultOfUnknownCategory, format!("category {category_id}"));
            continue;
        };
        let (Some(area), Some(score)) = (coco_box(result.bbox.as_deref()), result.score) else {
            remark(RemarkKind::ResultIncomplete, format!("image {image_id}"));
            continue;
        };
        let score = score.unwrap_or(f64::NAN);
        let shown = || format!("image {image_id}, box {:?}, score {score}", <[f64; 4]>::from(area));
        if !area.is_finite() || !score.is_finite() {
            remark(RemarkKind::ResultNotFinite, shown());
            continue;
        }
        if area.width <= 0.0 || area.height <= 0.0 {
            remark(RemarkKind::ResultWithoutArea, shown());
        }
        let mask = match result.segmentation.mask(dataset.images[image].size_px) {
            Ok(mask) => mask.as_ref().map(StoredMask::from),
            Err(reason) => {
                remark(RemarkKind::ResultMaskUnusable, format!("image {image_id}: {reason}"));
                None
            }
        };
        found.push(Found { image, category, box_in_source_px: area, score, mask });
    }
    if found.is_empty() && !raw.is_empty() {
        let reasons = remarks.iter().map(ToString::to_string);
        let problem = "expected results for this dataset, found none that can be used:";
        let problems = std::iter::once(problem.to_owned()).chain(reasons).collect();
        return Err(DatasetError::Broken { path: path.to_owned(), problems });
    }
    Ok(found)
}

/// The detections as a results file, which pycocotools and [`read_results`] take: one on a line.
///
/// # Errors
/// What `serde_json` reports, as for a score that is not finite.
pub fn results_text(found: &[Found], dataset: &Dataset) -> Result<String, serde_json::Error> {
    let mut text = String::from("[");
    for (index, one) in found.iter().enumerate() {
        let record = ResultRecord {
            image_id: dataset.images[one.image].id,
            category_id: dataset.categories[one.category].id,
            bbox: one.box_in_source_px,
            score: one.score,
            segmentation: one.mask.as_ref().map(StoredMask::rle),
        };
        text += if index == 0 { "\n" } else { ",\n" };
        text += &serde_json::to_string(&record)?;
    }
    Ok(text + "\n]\n")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::dataset::{Category, DatasetImage};
    use super::*;
    use crate::types::Mask;

    fn dataset() -> Dataset {
        let image = |id| DatasetImage { id, file_name: String::new(), size_px: Some((3, 2)) };
        let category = Category { id: 4, name: "mug".to_owned(), group: None, texts: vec![] };
        Dataset { images: vec![image(10), image(20)], categories: vec![category], truths: vec![] }
    }

    fn read(text: &str) -> (Result<Vec<Found>, DatasetError>, Remarks) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut remarks = Remarks::default();
        (read_results(file.path(), &dataset(), &mut remarks), remarks)
    }

    #[test]
    fn results_come_back_as_they_were_written() {
        let mask = StoredMask::from(&Mask::new(3, 2, vec![false, true, true, false, false, true]));
        let found = vec![
            Found {
                image: 1,
                category: 0,
                box_in_source_px: [0.1, 2.0, 30.25, 4.0].into(),
                score: 0.1 + 0.2,
                mask: Some(mask),
            },
            Found {
                image: 0,
                category: 0,
                box_in_source_px: [0.0; 4].into(),
                score: 1.0,
                mask: None,
            },
        ];
        let text = results_text(&found, &dataset()).unwrap();
        let first = r#"{"image_id":20,"category_id":4,"bbox":[0.1,2.0,30.25,4.0],"score":0.30000000000000004,"segmentation":{"size":[2,3],"counts":"2111"}}"#;
        assert_eq!(text.lines().nth(1).unwrap(), format!("{first},"));
        let (again, remarks) = read(&text);
        assert_eq!(again.unwrap(), found);
        assert_eq!(remarks.count(RemarkKind::ResultWithoutArea), 1);
        assert!(!remarks.is_loss());
        assert_eq!(read(&results_text(&[], &dataset()).unwrap()).0.unwrap(), []);
    }

    #[test]
    fn single_entries_are_skipped_and_a_broken_file_is_refused() {
        let (found, remarks) = read(
            r#"[{"image_id": 10, "category_id": 4, "bbox": [1, 2, 3, 4], "score": 0.5},
                {"image_id": 10, "category_id": 4, "bbox": [1, 2, 3, 4], "score": NaN},
                {"image_id": 10, "category_id": 4, "bbox": [1, 2, Infinity, 4], "score": 0.5},
                {"image_id": 10, "category_id": 4, "bbox": [1, 2, 3, 4]},
                {"image_id": 10, "category_id": 4, "segmentation": {}, "score": 0.5},
                {"image_id": 11, "category_id": 4, "bbox": [1, 2, 3, 4], "score": 0.5},
                {"image_id": 10, "category_id": 5, "bbox": [1, 2, 3, 4], "score": 0.5}]"#,
        );
        assert_eq!(found.unwrap().len(), 1);
        for (kind, count) in [
            (RemarkKind::ResultNotFinite, 2),
            (RemarkKind::ResultIncomplete, 2),
            (RemarkKind::ResultOfUnknownImage, 1),
            (RemarkKind::ResultOfUnknownCategory, 1),
        ] {
            assert_eq!(remarks.count(kind), count, "{kind:?}");
        }
        for text in ["{}", "[1]", r#"[{"image_id": "a"}]"#] {
            let error = read(text).0.unwrap_err().to_string();
            assert!(error.contains("expected a COCO results file"), "{error}");
        }
        let error = read(r#"[{"image_id": 1, "category_id": 4}]"#).0.unwrap_err().to_string();
        assert!(error.contains("no such image: 1 (result 0: image 1)"), "{error}");
    }
}
