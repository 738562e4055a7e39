//! Detections, by a model or from a file.

use std::path::Path;
use std::time::Duration;

use owlet::eval::{Found, Part, Remarks, read_results};
use serde_json::{Value, json};

use super::super::Chatter;
use super::super::fingerprint::{model_record, weights};
use super::super::settings::Settings;
use super::calibration::Calibration;
use super::files::about_results;
use super::looking::look_at_all;
use super::source::{Source, refused};
use super::true_boxes;

/// Where detections came from, and which there are.
#[derive(Default)]
pub(super) struct Detected {
    /// The model or the results file, for `eval.json`.
    pub(super) detector: Value,
    pub(super) random_weights: bool,
    /// In the dataset.
    pub(super) found: Vec<Found>,
    /// In the dataset of `--calibrate`.
    pub(super) found_aside: Vec<Found>,
    /// Images of the dataset that could not be looked at.
    pub(super) left_out: Vec<usize>,
    /// The same of the dataset of `--calibrate`.
    left_out_aside: Vec<usize>,
    /// How long a model looked.
    pub(super) looking: Option<Duration>,
}

impl Detected {
    /// Those of a results file.
    pub(super) fn read(
        path: &Path,
        source: &Source,
        remarks: &mut Remarks,
    ) -> anyhow::Result<Self> {
        let detector = about_results(path)?;
        let found = read_results(path, &source.dataset, remarks).map_err(refused)?;
        Ok(Self { detector, found, ..Self::default() })
    }

    /// Those of a model on every picture of the dataset, and of the one of `--calibrate`.
    pub(super) fn by_model(
        settings: &Settings,
        source: &Source,
        aside: Option<&Source>,
        chatter: &Chatter,
        remarks: &mut Remarks,
    ) -> anyhow::Result<Self> {
        let sources: Vec<&Source> = std::iter::once(source).chain(aside).collect();
        let looked = look_at_all(settings, &sources, chatter, remarks)?;
        let mut looked_at = looked.sources.into_iter();
        let own = looked_at.next().unwrap_or_default();
        let aside = looked_at.next().unwrap_or_default();
        Ok(Self {
            detector: json!({
                "model": model_record(&looked.model),
                "weights": weights(&settings.model_dir),
                "bank": settings.bank.as_ref().map(|bank| &bank.manifest),
                "random_weights": settings.random_weights,
            }),
            random_weights: settings.random_weights,
            found: own.found,
            found_aside: aside.found,
            left_out: own.left_out,
            left_out_aside: aside.left_out,
            looking: Some(looked.took),
        })
    }

    /// The objects themselves, with masks that the segmenter draws for their boxes, or with the names
    /// that a bank gives them.
    pub(super) fn by_true_boxes(
        settings: &Settings,
        source: &Source,
        chatter: &Chatter,
        remarks: &mut Remarks,
    ) -> anyhow::Result<Self> {
        let looked = true_boxes::look_at_all(settings, source, chatter, remarks)?;
        let own = looked.sources.into_iter().next().unwrap_or_default();
        Ok(Self {
            detector: json!({
                "model": model_record(&looked.model),
                "weights": settings.segmenter_dir.as_ref().map(weights),
                "bank": settings.bank.as_ref().map(|bank| &bank.manifest),
                "random_weights": settings.random_weights,
                "boxes": "true",
            }),
            random_weights: settings.random_weights,
            found: own.found,
            left_out: own.left_out,
            looking: Some(looked.took),
            ..Self::default()
        })
    }

    /// Takes images that could not be looked at out of the evaluation and of the calibration.
    pub(super) fn leave_out(&self, part: &mut Part, calibration: &mut Calibration) {
        self.left_out.iter().for_each(|image| part.leave_out(*image));
        let aside = match calibration.source() {
            Some(_) => &self.left_out_aside,
            None => &self.left_out,
        };
        aside.iter().for_each(|image| calibration.leave_out(*image));
    }
}
