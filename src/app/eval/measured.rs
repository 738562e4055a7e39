//! All numbers of one evaluation.

use owlet::eval::{
    AtThresholds, Dataset, DatasetRecord, EvalRecord, Evaluation, FORMAT, Found, Part, Truth,
    confusion_records, group_records, prompt_records,
};
use serde_json::Value;

use super::asked::Asked;
use super::calibration::Chosen;

/// The evaluated part of a dataset, what was found in it, and how good that is.
pub(super) struct Measured {
    part: Part,
    pub(super) truths: Vec<Truth>,
    pub(super) found: Vec<Found>,
    evaluation: Evaluation,
    at_thresholds: AtThresholds,
    pub(super) chosen: Option<(Chosen, AtThresholds)>,
}

impl Measured {
    pub(super) fn of(
        dataset: &Dataset,
        part: Part,
        found: &[Found],
        asked: &Asked,
        chosen: Option<Chosen>,
    ) -> Self {
        let truths = dataset.truths_in(&part);
        let found: Vec<Found> = found.iter().filter(|one| part.has(one.image)).copied().collect();
        let evaluation = Evaluation::of(dataset.categories.len(), &truths, &found);
        let at = |thresholds: &[f32]| AtThresholds::of(&evaluation, &truths, &found, thresholds);
        let at_thresholds = at(&asked.thresholds);
        let chosen = chosen.map(|chosen| {
            let at = at(&chosen.thresholds);
            (chosen, at)
        });
        Self { part, truths, found, evaluation, at_thresholds, chosen }
    }

    /// At the thresholds that were chosen, or else at those in use.
    pub(super) fn best(&self) -> &AtThresholds {
        self.chosen.as_ref().map_or(&self.at_thresholds, |(_, at)| at)
    }

    /// The record, but for what only the command knows.
    pub(super) fn record(&self, dataset: &Dataset, asked: &Asked) -> EvalRecord {
        let calibrated = self.chosen.as_ref().map(|(_, at)| at);
        EvalRecord {
            format: FORMAT.to_owned(),
            owlet: String::new(),
            dataset: DatasetRecord {
                path: String::new(),
                fingerprint: dataset.fingerprint(&dataset.whole()),
                evaluated_fingerprint: dataset.fingerprint(&self.part),
                images: self.part.len(),
                objects: self.evaluation.categories.iter().map(|one| one.objects()).sum(),
                detections: self.found.len(),
                left_out: Vec::new(),
            },
            calibration: self.chosen.as_ref().map(|(chosen, _)| chosen.record.clone()),
            detector: Value::Null,
            settings: Value::Null,
            overall: self.evaluation.metrics(),
            at_threshold: self.at_thresholds.total.clone(),
            calibrated: calibrated.map(|at| at.total.clone()),
            groups: group_records(dataset, &self.evaluation),
            prompts: prompt_records(
                dataset,
                &self.evaluation,
                &self.at_thresholds,
                calibrated,
                &asked.texts(),
            ),
            confusions: confusion_records(dataset, self.best()),
            remarks: Vec::new(),
            against: None,
            looking_secs: None,
        }
    }
}
