//! The images that thresholds are chosen on.

use std::collections::HashMap;

use owlet::eval::{
    Calibrated, CalibrationRecord, Dataset, Evaluation, Found, KeptRecord, Part, Remarks,
    best_threshold,
};

use super::super::Refused;
use super::EvalArgs;
use super::asked::Asked;
use super::detected::Detected;
use super::source::Source;

/// Where thresholds are chosen.
pub(super) enum Calibration {
    /// Nowhere.
    None,
    /// On each n-th image of the dataset.
    Every { every: usize, aside: Part },
    /// On a dataset of its own, its categories in the order of the evaluated one.
    Dataset { source: Box<Source>, part: Part },
}

/// Thresholds that were chosen.
pub(super) struct Chosen {
    /// One for each category.
    pub(super) thresholds: Vec<f32>,
    pub(super) record: CalibrationRecord,
}

impl Calibration {
    pub(super) fn open(
        args: &EvalArgs,
        evaluated: &Source,
        remarks: &mut Remarks,
    ) -> anyhow::Result<Self> {
        if let Some(path) = &args.calibrate {
            let mut source = Source::open(path, args.calibrate_images.as_deref(), remarks)?;
            bring_into_order(&mut source.dataset, &evaluated.dataset).map_err(|problems| {
                Refused(format!("--calibrate:\n  {}", problems.join("\n  ")))
            })?;
            let part = source.dataset.whole();
            return Ok(Self::Dataset { source: Box::new(source), part });
        }
        if let Some(every) = args.calibrate_every {
            let every = every as usize;
            let (_, aside) = evaluated.dataset.split(every);
            if aside.is_empty() {
                let images = evaluated.dataset.images.len();
                let text = format!(
                    "--calibrate-every: expected at most the number of images, which is {images}, \
                     found {every}"
                );
                return Err(Refused(text).into());
            }
            return Ok(Self::Every { every, aside });
        }
        if args.prompts_out.is_some() {
            let text = "--prompts-out: expected --calibrate or --calibrate-every with it, found \
                        neither: without calibration no threshold is chosen";
            return Err(Refused(text.to_owned()).into());
        }
        Ok(Self::None)
    }

    /// The images of the evaluated dataset that are not set aside.
    pub(super) fn rest_of(&self, evaluated: &Dataset) -> Part {
        match self {
            Self::Every { every, .. } => evaluated.split(*every).0,
            Self::None | Self::Dataset { .. } => evaluated.whole(),
        }
    }

    /// The dataset whose pictures have to be looked at, too.
    pub(super) fn source(&self) -> Option<&Source> {
        match self {
            Self::Dataset { source, .. } => Some(source),
            Self::None | Self::Every { .. } => None,
        }
    }

    /// Leaves out an image of the dataset that thresholds are chosen on.
    pub(super) fn leave_out(&mut self, image: usize) {
        match self {
            Self::None => {}
            Self::Every { aside: part, .. } | Self::Dataset { part, .. } => part.leave_out(image),
        }
    }

    /// The best thresholds. A prompt with nothing to go by keeps its own, and is named.
    pub(super) fn choose(
        &self,
        evaluated: &Source,
        detected: &Detected,
        asked: &Asked,
    ) -> Option<Chosen> {
        let (source, part, found, every) = match self {
            Self::None => return None,
            Self::Every { every, aside } => (evaluated, aside, &detected.found, Some(*every)),
            Self::Dataset { source, part } => (&**source, part, &detected.found_aside, None),
        };
        let truths = source.dataset.truths_in(part);
        let found: Vec<Found> = found.iter().filter(|one| part.has(one.image)).copied().collect();
        let evaluation = Evaluation::of(asked.thresholds.len(), &truths, &found);
        let mut thresholds = asked.thresholds.clone();
        let mut kept = Vec::new();
        for (at, category) in evaluation.categories.iter().enumerate() {
            let reason = match best_threshold(category, asked.min_score) {
                Calibrated::Threshold(threshold) => {
                    thresholds[at] = threshold;
                    continue;
                }
                Calibrated::NoObject => "no object of it in the calibration images",
                Calibrated::NoneFound => "none of its objects was found in the calibration images",
                Calibrated::ScoresOutOfRange => "its scores are not in [0, 1]",
            };
            let prompt = asked.prompts[at].name.clone();
            tracing::warn!("{prompt:?} keeps its threshold {}: {reason}", thresholds[at]);
            kept.push(KeptRecord { prompt, reason: reason.to_owned() });
        }
        let objects = evaluation.categories.iter().map(|category| category.objects()).sum();
        let path = source.path.display().to_string();
        let images = part.len();
        let record = CalibrationRecord { path, every, images, objects, kept };
        Some(Chosen { thresholds, record })
    }
}

/// Puts the categories of `dataset` into the order of `model`, by name.
fn bring_into_order(dataset: &mut Dataset, model: &Dataset) -> Result<(), Vec<String>> {
    let position: HashMap<_, _> =
        model.categories.iter().enumerate().map(|(at, one)| (one.name.as_str(), at)).collect();
    let mut problems = Vec::new();
    let mut place = Vec::new();
    for category in &dataset.categories {
        match position.get(category.name.as_str()) {
            Some(at) => place.push(*at),
            None => problems.push(format!(
                "expected the categories of the evaluated dataset, found {:?} on top",
                category.name
            )),
        }
    }
    for category in &model.categories {
        if !dataset.categories.iter().any(|one| one.name == category.name) {
            problems.push(format!(
                "expected the categories of the evaluated dataset, found no {:?}",
                category.name
            ));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for truth in &mut dataset.truths {
        truth.category = place[truth.category];
    }
    dataset.categories.clone_from(&model.categories);
    Ok(())
}
