//! OWL-ViT and OWLv2 as detectors.

mod ahead;
mod profile;
mod tower;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use image::RgbImage;
use tch::{Kind, TchError, Tensor, no_grad};

use self::ahead::OwlAhead;
use self::tower::Tower;
use super::decode::{HeadOutput, LOGITS_PER_PASS};
use super::exemplars::ExemplarMemory;
use super::prompts::ActivePrompts;
use crate::models::owl::Owl;
use crate::models::prompts::PromptEncoder;
use crate::models::{ForwardError, LoadError, TextStoreOptions};
use crate::nn::{DeviceRefused, StageClock, device_name, kind_name, resolve_device};
use crate::tasks::{
    DetectError, DetectionRules, Detector, ImageDetections, ModelInfo, PromptsAhead,
};
use crate::tokenize::{ClipTokenizer, TokenizerError};
use crate::types::{DeviceChoice, DtypeChoice, PromptSet, PromptSetRefused, Stage, StageTimings};
use crate::vision::recipe::{Recipe, RecipeError};

pub use profile::{Distance, Profile, ProfileOptions, Quantiles};

/// What to load and how to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorOptions {
    /// The checkpoint's folder.
    pub model_dir: PathBuf,
    /// What the model is called in outputs.
    pub name: String,
    /// Where to run it.
    pub device: DeviceChoice,
    /// The number format of its weights.
    pub dtype: DtypeChoice,
    /// Intersection over union, in `[0, 1]`, above which the lower of two boxes of one prompt is
    /// dropped; `None` keeps them all, as the reference does.
    pub nms_iou: Option<f32>,
    /// Whether boxes of all prompts suppress each other, and not only those of one.
    pub nms_across_prompts: bool,
    /// The most detections for one image, best first; at least 1.
    pub max_detections: usize,
    /// The most prompts that one box is reported for, best first; at least 1. The reference gives
    /// each box one.
    pub names_per_box: usize,
    /// Boxes that score no better than their prompt's threshold, and better than this share of it,
    /// are told too ([`ImageDetections::weak`]), at most as many as detections. In `[0, 1]`; 1 for
    /// none.
    pub weakest_share: f32,
    /// CPU threads for libtorch and for preprocessing; `None` leaves libtorch its own choice. For
    /// the whole process. At least 1.
    pub threads: Option<usize>,
    /// Where encoded texts are kept from one start to the next. `None` encodes them anew, which
    /// alone gives the same bits each time: a text's vector is not bit for bit the same in another
    /// company of texts.
    pub text_store: Option<TextStoreOptions>,
}

impl DetectorOptions {
    /// Device and number format chosen automatically, no suppression, at most 300 detections, and
    /// nothing below the thresholds.
    #[must_use]
    pub fn new(model_dir: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            model_dir: model_dir.into(),
            name: name.into(),
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            nms_iou: None,
            nms_across_prompts: false,
            max_detections: 300,
            names_per_box: 1,
            weakest_share: 1.0,
            threads: None,
            text_store: None,
        }
    }
}

/// Why a detector could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// An option outside of its range.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// Which one.
        option: &'static str,
        /// Its range.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// The device or the number format.
    #[error(transparent)]
    Device(#[from] DeviceRefused),
    /// How the checkpoint wants its images.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Configuration or weights.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// Preprocessing makes images of another size than the network takes.
    #[error(
        "{}: preprocessor_config.json makes images of {canvas_width}x{canvas_height}, config.json \
         asks for {image_size}x{image_size}",
        model_dir.display()
    )]
    CanvasSize {
        /// The checkpoint's folder.
        model_dir: PathBuf,
        /// Width by the preprocessing.
        canvas_width: u32,
        /// Height by the preprocessing.
        canvas_height: u32,
        /// Side by the network.
        image_size: i64,
    },
}

/// OWL-ViT or OWLv2, with its tokenizer, its preprocessing and the prompts in use.
#[derive(Debug)]
pub struct OwlDetector {
    info: ModelInfo,
    tower: Tower,
    encoder: Arc<PromptEncoder>,
    exemplars: Arc<ExemplarMemory>,
    rules: DetectionRules,
    weakest_share: f32,
    /// Regions that are asked for with every image.
    proposals: usize,
    prompts: Option<ActivePrompts>,
}

impl OwlDetector {
    /// Loads a checkpoint from a Hugging Face folder.
    ///
    /// # Errors
    /// An option out of range, a device that is not there, and every way in which the folder is
    /// not a checkpoint that can be run.
    pub fn load(options: &DetectorOptions) -> Result<Self, DetectorError> {
        check_options(options)?;
        let (device, kind) = resolve_device(options.device, options.dtype)?;
        // The small files first: what is wrong with them is known before gigabytes are read.
        let recipe = Recipe::open(&options.model_dir)?;
        let tokenizer = ClipTokenizer::open(&options.model_dir)?;
        let model = Owl::load(&options.model_dir, device, kind)?;
        let image_size = model.config().image.image_size;
        let (canvas_width, canvas_height) = (recipe.canvas_width, recipe.canvas_height);
        if [canvas_width, canvas_height].map(i64::from) != [image_size; 2] {
            return Err(DetectorError::CanvasSize {
                model_dir: options.model_dir.clone(),
                canvas_width,
                canvas_height,
                image_size,
            });
        }
        let max_tokens = model.config().text.max_tokens;
        let store = options.text_store.as_ref().and_then(|store| store.open(device, kind));
        let encoder = Arc::new(PromptEncoder::new(tokenizer, max_tokens, device, store));
        if let Some(threads) = options.threads.and_then(|threads| i32::try_from(threads).ok()) {
            tch::set_num_threads(threads);
        }
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            info: ModelInfo {
                name: options.name.clone(),
                architecture: model.config().version.model_type().to_owned(),
                device: device_name(device),
                dtype: kind_name(kind).to_owned(),
                input_size: (canvas_height, canvas_width),
                parameters: model.parameters(),
                // One image keeps every core busy; a GPU is filled by several.
                useful_batch: if device.is_cuda() { 16 } else { 1 },
            },
            tower: Tower::new(model, recipe, options.threads.unwrap_or(available)),
            encoder,
            exemplars: Arc::default(),
            rules: DetectionRules {
                nms_iou: options.nms_iou,
                nms_across_prompts: options.nms_across_prompts,
                max_detections: options.max_detections,
                names_per_box: options.names_per_box,
            },
            weakest_share: options.weakest_share,
            proposals: 0,
            prompts: None,
        })
    }

    /// The network, for callers that need more than detections (parity checks, benchmarks).
    #[must_use]
    pub fn model(&self) -> &Owl {
        &self.tower.model
    }

    /// The prompts in use.
    #[must_use]
    pub fn prompts(&self) -> Option<&Arc<PromptSet>> {
        self.prompts.as_ref().map(|prompts| &prompts.set)
    }

    /// Prepared images as `[batch, 3, H, W]` in the model's number format on its device.
    ///
    /// # Errors
    /// An image with no pixels; what libtorch reports.
    pub fn pixel_values(&mut self, images: &[Arc<RgbImage>]) -> Result<Tensor, DetectError> {
        self.tower.pixel_values(images)
    }

    fn own_ahead(&self) -> OwlAhead {
        OwlAhead {
            texts: Arc::clone(&self.encoder),
            exemplars: Arc::clone(&self.exemplars),
            tower: Mutex::new(self.tower.twin()),
        }
    }
}

impl Detector for OwlDetector {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        let encoded = match prompts.prompts.is_empty() && self.proposals > 0 {
            true => ActivePrompts::none(prompts, &self.tower.model)?,
            false => {
                let mut newest = None;
                let query_of = |exemplar: &_| self.tower.query_of(exemplar, &mut newest);
                let exemplars = self.exemplars.encode(&prompts, query_of);
                let (encoder, model) = (&self.encoder, &self.tower.model);
                let share = self.weakest_share;
                no_grad(|| ActivePrompts::encode(prompts, encoder, model, exemplars, share))?
            }
        };
        self.prompts = Some(encoded);
        Ok(())
    }

    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>> {
        Some(Arc::new(self.own_ahead()))
    }

    fn set_rules(&mut self, rules: DetectionRules) {
        self.rules = rules;
    }

    fn set_proposals(&mut self, most: usize) -> bool {
        self.proposals = most;
        true
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        if self.prompts.is_none() {
            return Err(DetectError::NoPrompts);
        }
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let mut timings = StageTimings::default();
        let mut clock = StageClock::start(self.tower.model.device());
        let booked = |stage: Stage| move |error: TchError| backend(stage.name(), &error.into());
        let pixel_values = self.tower.pixel_values(images)?;
        clock
            .stop(Stage::Preprocess, &pixel_values, &mut timings)
            .map_err(booked(Stage::Preprocess))?;
        let Some(prompts) = &self.prompts else { return Err(DetectError::NoPrompts) };

        let model = &self.tower.model;
        let features = model
            .image_features(&pixel_values)
            .map_err(|error| backend(Stage::ImageTower.name(), &error))?;
        clock
            .stop(Stage::ImageTower, &features, &mut timings)
            .map_err(booked(Stage::ImageTower))?;

        let (names, regions) = (self.rules.names_per_box, self.proposals > 0);
        let output = no_grad(|| {
            HeadOutput::compute(model, &features, prompts, names, regions, LOGITS_PER_PASS)
        })
        .map_err(|error| backend(Stage::Heads.name(), &error))?;
        let not_numbers = output.not_numbers();
        if not_numbers > 0 {
            return Err(DetectError::Backend {
                stage: Stage::Heads.name(),
                message: not_numbers_message(not_numbers, model.kind()),
            });
        }
        timings.add(Stage::Heads, clock.lap());

        let preprocessor = &self.tower.preprocessor;
        let mut found: Vec<_> = images
            .iter()
            .enumerate()
            .map(|(index, image)| {
                let geometry = preprocessor.recipe().geometry(image.width(), image.height());
                let (detections, weak) = output.detections(index, &geometry, prompts, self.rules);
                ImageDetections {
                    has_masks: false,
                    detections,
                    weak,
                    best_scores: output.best_scores(index, prompts),
                    proposals: match self.proposals {
                        0 => Vec::new(),
                        most => output.proposals(index, &geometry, most),
                    },
                    timings: StageTimings::default(),
                }
            })
            .collect();
        timings.add(Stage::Postprocess, clock.lap());
        found.iter_mut().for_each(|found| found.timings = timings.clone());
        Ok(found)
    }
}

fn check_options(options: &DetectorOptions) -> Result<(), DetectorError> {
    let refuse =
        |option, expected, found: String| Err(DetectorError::Option { option, expected, found });
    match options.nms_iou {
        Some(iou) if !(0.0..=1.0).contains(&iou) => {
            return refuse("nms_iou", "a number in [0, 1]", iou.to_string());
        }
        _ => {}
    }
    if !(0.0..=1.0).contains(&options.weakest_share) {
        let found = options.weakest_share.to_string();
        return refuse("weakest_share", "a number in [0, 1]", found);
    }
    if options.max_detections == 0 {
        return refuse("max_detections", "at least 1", "0".to_owned());
    }
    if options.names_per_box == 0 {
        return refuse("names_per_box", "at least 1", "0".to_owned());
    }
    match options.threads {
        Some(threads) if !(1..=1024).contains(&threads) => {
            refuse("threads", "a number in [1, 1024]", threads.to_string())
        }
        _ => Ok(()),
    }
}

fn backend(stage: &'static str, error: &ForwardError) -> DetectError {
    DetectError::Backend { stage, message: error.to_string() }
}

fn not_numbers_message(count: usize, kind: Kind) -> String {
    let advice = match kind {
        Kind::Half => ": f16 overflowed in this checkpoint, use bf16 or f32",
        _ => ": are the weights damaged?",
    };
    format!("{count} predictions are not numbers{advice}")
}
