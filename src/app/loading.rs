//! From names to models that run.

use std::path::PathBuf;

use anyhow::Context;
use owlet::detect::{DetectorError, DetectorOptions, OwlDetector};
use owlet::ground::encode::{EncoderError, EncoderOptions};
use owlet::ground::{BankManifest, ClipClassifier, Grounder, GrounderOptions};
use owlet::hub::{self, HubError, ModelDir, ModelLocations, Verify};
use owlet::models::TextStoreOptions;
use owlet::nn::DeviceRefused;
use owlet::pipeline::{
    ClassifyingDetector, GroundingDetector, MaskingDetector, PointGrid, SegmentingDetector,
    SharedSegmenter,
};
use owlet::segment::{
    ClipSegmenter, GroupVitSegmenter, MaskRules, SamSegmenter, SegmenterError, SegmenterOptions,
};
use owlet::tasks::{
    Classifier, DetectionRules, Detector, ModelInfo, PromptableSegmenter, Segmenter,
};

use super::encoders::{Encoders, EncodersSource};
use super::{Refused, bank};

/// What a model is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Boxes.
    Detect,
    /// Masks of what texts ask for.
    Segment,
    /// Masks of what boxes and points lie on.
    SegmentBoxes,
    /// Finer labels for what was found.
    Classify,
    /// Vectors of pictures or texts.
    Encode,
}

/// Finds a model by name or folder, checks its files against what was downloaded, and that it is
/// not for another task.
pub(crate) fn find_model(name: &str, task: Task) -> anyhow::Result<ModelDir> {
    let model_dir =
        hub::resolve(name, &ModelLocations::from_env(), Verify::IfChanged).map_err(refused_name)?;
    // One that is for no task at all is refused when it is loaded.
    match (model_dir.architecture(), task) {
        (Some(found @ "sam"), Task::Detect) => Err(Refused(format!(
            "{name} is a segmenter ({found}): it draws masks of what boxes and points lie on and \
             finds no boxes; `owlet segment --box` is the command for it"
        ))
        .into()),
        (Some(found @ "sam"), Task::Segment) => Err(Refused(format!(
            "{name} is a segmenter of what boxes and points lie on ({found}), and reads no texts: \
             give it --box X0,Y0,X1,Y1 or --point X,Y"
        ))
        .into()),
        (Some(found @ ("clipseg" | "groupvit")), Task::SegmentBoxes) => Err(Refused(format!(
            "{name} is a segmenter of what texts ask for ({found}), and takes no boxes: give it \
             --prompt TEXT, or --model a segmenter for boxes, as of `owlet pull sam-vit-base`"
        ))
        .into()),
        (Some(found @ ("owlvit" | "owlv2")), Task::SegmentBoxes) => Err(Refused(format!(
            "{name} is a detector ({found}): it finds boxes and draws no masks. Give --model a \
             segmenter for boxes, as of `owlet pull sam-vit-base`"
        ))
        .into()),
        (Some(found @ ("owlvit" | "owlv2")), Task::Segment) => Err(Refused(format!(
            "{name} is a detector ({found}): it finds boxes and draws no masks; `owlet detect` is \
             the command for it. For masks give --model a segmenter, as of `owlet pull \
             clipseg-rd64-refined`"
        ))
        .into()),
        (
            Some(found @ ("clip" | "vit" | "dinov2" | "bert" | "mpnet")),
            Task::Detect | Task::Segment | Task::SegmentBoxes,
        ) => Err(Refused(format!(
            "{name} is an encoder ({found}): it tells pictures or texts apart, finds no boxes and \
             draws no masks"
        ))
        .into()),
        (Some(found), Task::Classify) if found != "clip" => Err(Refused(format!(
            "classifier: expected a CLIP, as of `owlet pull clip-vit-base-patch16`, found {name} \
             ({found})"
        ))
        .into()),
        _ => Ok(model_dir),
    }
}

/// A name that cannot be that of a model was refused; all else has failed.
pub(crate) fn refused_name(error: HubError) -> anyhow::Error {
    match error {
        HubError::UnknownName { .. } | HubError::BadName { .. } | HubError::BadRevision { .. } => {
            Refused(error.to_string()).into()
        }
        error => error.into(),
    }
}

/// Whether a model of this architecture draws masks of what texts ask for.
pub(crate) fn is_text_segmenter(architecture: &str) -> bool {
    matches!(architecture, "clipseg" | "groupvit")
}

/// All that a detector is loaded from, by whoever is to own it.
#[derive(Clone, Debug)]
pub(crate) struct DetectorSource {
    pub detector: DetectorOptions,
    /// Of the model.
    pub architecture: Option<String>,
    /// What draws masks for its boxes.
    pub segmenter: Option<SegmenterOptions>,
    /// What tells finer labels apart.
    pub classifier: Option<EncoderOptions>,
    /// Where its encoded labels are kept.
    pub classifier_texts: Option<TextStoreOptions>,
    /// What prompts are looked up in that ask for it.
    pub bank: Option<BankSource>,
}

/// A bank of pairs, its encoders, and how much is looked up in it.
#[derive(Clone, Debug)]
pub(crate) struct BankSource {
    pub folder: PathBuf,
    pub manifest: BankManifest,
    pub encoders: EncodersSource,
    /// Regions of an image.
    pub regions: usize,
    /// Whether the segmenter proposes them, and not the detector.
    pub regions_by_segmenter: bool,
}

impl DetectorSource {
    /// Loads a detector, with masks and finer labels where they are asked for, and says what it
    /// runs on.
    pub(crate) fn load(&self) -> anyhow::Result<Box<dyn Detector>> {
        let detector = self.load_detector()?;
        match &self.classifier {
            None => Ok(detector),
            Some(options) => {
                let texts = self.classifier_texts.as_ref();
                let classifier = Box::new(load_classifier(options, texts)?);
                Ok(Box::new(ClassifyingDetector::new(detector, classifier)))
            }
        }
    }

    fn load_detector(&self) -> anyhow::Result<Box<dyn Detector>> {
        let options = &self.detector;
        let rules = DetectionRules {
            nms_iou: options.nms_iou,
            nms_across_prompts: options.nms_across_prompts,
            max_detections: options.max_detections,
            names_per_box: options.names_per_box,
        };
        if self.architecture.as_deref().is_some_and(is_text_segmenter) {
            let segmenter = load_segmenter(
                &SegmenterOptions {
                    model_dir: options.model_dir.clone(),
                    name: options.name.clone(),
                    device: options.device,
                    dtype: options.dtype,
                    threads: options.threads,
                },
                self.architecture.as_deref(),
            )?;
            return self.with_bank(
                Box::new(SegmentingDetector::new(segmenter, rules)),
                rules,
                None,
            );
        }
        let detector = Box::new(load_owl(options)?);
        let Some(options) = &self.segmenter else { return self.with_bank(detector, rules, None) };
        let segmenter = load_promptable(options, MaskRules::default())?;
        if self.bank.as_ref().is_some_and(|bank| bank.regions_by_segmenter) {
            let [of_masks, of_regions] = SharedSegmenter::pair(segmenter);
            let detector = self.with_bank(detector, rules, Some(PointGrid::new(of_regions)))?;
            return Ok(Box::new(MaskingDetector::new(detector, of_masks)));
        }
        let detector = self.with_bank(detector, rules, None)?;
        Ok(Box::new(MaskingDetector::new(detector, segmenter)))
    }

    fn with_bank(
        &self,
        detector: Box<dyn Detector>,
        rules: DetectionRules,
        grid: Option<PointGrid>,
    ) -> anyhow::Result<Box<dyn Detector>> {
        let Some(bank) = &self.bank else { return Ok(detector) };
        let BankSource { folder, regions, .. } = bank;
        let grounder = bank.load(GrounderOptions::default())?;
        let folder = folder.clone();
        let grounding = GroundingDetector::new(detector, grounder, folder, rules, *regions, grid)
            .map_err(|error| Refused(error.to_string()))?;
        Ok(Box::new(grounding))
    }
}

impl BankSource {
    /// Loads the bank and its encoders, and says how many pairs there are.
    pub(crate) fn load(&self, options: GrounderOptions) -> anyhow::Result<Grounder> {
        let bank = bank::load(&self.folder)?;
        let Encoders { image, text } = self.encoders.load()?;
        let grounder = Grounder::new(bank, image, text, options).map_err(bank::told)?;
        tracing::info!("{}: {} pairs", self.folder.display(), grounder.asif().bank().len());
        Ok(grounder)
    }
}

fn load_classifier(
    options: &EncoderOptions,
    texts: Option<&TextStoreOptions>,
) -> anyhow::Result<ClipClassifier> {
    let classifier = ClipClassifier::load(options, texts)
        .map_err(|error| match error {
            EncoderError::Threads { .. }
            | EncoderError::Device(DeviceRefused::HalfOnCpu { .. }) => {
                anyhow::Error::new(Refused(error.to_string()))
            }
            error => error.into(),
        })
        .with_context(|| format!("cannot load {}", options.model_dir.display()))?;
    say_what_runs(classifier.info());
    Ok(classifier)
}

fn load_owl(options: &DetectorOptions) -> anyhow::Result<OwlDetector> {
    let detector = OwlDetector::load(options)
        .map_err(|error| match error {
            DetectorError::Option { .. }
            | DetectorError::Device(DeviceRefused::HalfOnCpu { .. }) => {
                anyhow::Error::new(Refused(error.to_string()))
            }
            error => error.into(),
        })
        .with_context(|| format!("cannot load {}", options.model_dir.display()))?;
    say_what_runs(detector.info());
    Ok(detector)
}

/// Loads a segmenter by text, whichever its architecture is, and says what it runs on.
pub(crate) fn load_segmenter(
    options: &SegmenterOptions,
    architecture: Option<&str>,
) -> anyhow::Result<Box<dyn Segmenter>> {
    let result = match architecture {
        Some("groupvit") => GroupVitSegmenter::load(options).map(|loaded| Box::new(loaded) as _),
        // One that is for no task at all is refused by what is wrong with it.
        _ => ClipSegmenter::load(options).map(|loaded| Box::new(loaded) as Box<dyn Segmenter>),
    };
    let segmenter = loaded(options, result)?;
    say_what_runs(segmenter.info());
    Ok(segmenter)
}

/// Loads a segmenter for boxes and points and says what it runs on.
pub(crate) fn load_promptable(
    options: &SegmenterOptions,
    rules: MaskRules,
) -> anyhow::Result<Box<dyn PromptableSegmenter>> {
    let mut segmenter = loaded(options, SamSegmenter::load(options))?;
    segmenter.set_rules(rules);
    say_what_runs(segmenter.info());
    Ok(Box::new(segmenter))
}

/// Options that no segmenter takes were refused; all else has failed.
fn loaded<T>(options: &SegmenterOptions, result: Result<T, SegmenterError>) -> anyhow::Result<T> {
    result
        .map_err(|error| match error {
            SegmenterError::Threads { .. }
            | SegmenterError::Device(DeviceRefused::HalfOnCpu { .. }) => {
                anyhow::Error::new(Refused(error.to_string()))
            }
            error => error.into(),
        })
        .with_context(|| format!("cannot load {}", options.model_dir.display()))
}

pub(crate) fn say_what_runs(info: &ModelInfo) {
    tracing::info!(
        "{}: {} with {:.1} M parameters in {} on {}",
        info.name,
        info.architecture,
        info.parameters as f64 / 1e6,
        info.dtype,
        info.device,
    );
}
