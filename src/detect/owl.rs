//! OWL-ViT and OWLv2 as detectors.

mod profile;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::decode::{HeadOutput, LOGITS_PER_PASS, Rules};
use super::device::{DeviceRefused, device_name, kind_name, resolve};
use super::prompts::ActivePrompts;
use crate::models::owl::Owl;
use crate::models::{ForwardError, LoadError};
use crate::tasks::{DetectError, Detector, ImageDetections, ModelInfo};
use crate::tokenize::{ClipTokenizer, TokenizerError};
use crate::types::{DeviceChoice, DtypeChoice, PromptSet, PromptSetRefused, Stage, StageTimings};
use crate::vision::preprocess::BatchPreprocessor;
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
    /// The most detections for one image, best first; at least 1.
    pub max_detections: usize,
    /// CPU threads for libtorch and for preprocessing; `None` leaves libtorch its own choice. For
    /// the whole process. At least 1.
    pub threads: Option<usize>,
}

impl DetectorOptions {
    /// Device and number format chosen automatically, no suppression, at most 300 detections.
    #[must_use]
    pub fn new(model_dir: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            model_dir: model_dir.into(),
            name: name.into(),
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            nms_iou: None,
            max_detections: 300,
            threads: None,
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
    model: Owl,
    tokenizer: ClipTokenizer,
    preprocessor: BatchPreprocessor,
    rules: Rules,
    prompts: Option<ActivePrompts>,
    /// Values of the last batch, kept for its memory.
    pixel_values: Vec<f32>,
}

impl OwlDetector {
    /// Loads a checkpoint from a Hugging Face folder.
    ///
    /// # Errors
    /// An option out of range, a device that is not there, and every way in which the folder is
    /// not a checkpoint that can be run.
    pub fn load(options: &DetectorOptions) -> Result<Self, DetectorError> {
        check_options(options)?;
        let (device, kind) = resolve(options.device, options.dtype)?;
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
            preprocessor: BatchPreprocessor::new(recipe, options.threads.unwrap_or(available)),
            model,
            tokenizer,
            rules: Rules { nms_iou: options.nms_iou, max_detections: options.max_detections },
            prompts: None,
            pixel_values: Vec::new(),
        })
    }

    /// The network, for callers that need more than detections (parity checks, benchmarks).
    #[must_use]
    pub fn model(&self) -> &Owl {
        &self.model
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
        self.preprocessor.write_batch(images, &mut self.pixel_values).map_err(
            |(index, refused)| DetectError::EmptyImage {
                index,
                width: refused.width,
                height: refused.height,
            },
        )?;
        let (height, width) = self.info.input_size;
        let shape = [images.len() as i64, 3, i64::from(height), i64::from(width)];
        let upload = || -> Result<Tensor, TchError> {
            let values = Tensor::f_from_slice(&self.pixel_values)?.f_view(shape)?;
            values.f_to_device_(self.model.device(), self.model.kind(), false, false)
        };
        no_grad(upload).map_err(|error| backend("preprocess", &error.into()))
    }
}

impl Detector for OwlDetector {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        let encoded = no_grad(|| ActivePrompts::encode(prompts, &self.tokenizer, &self.model))?;
        self.prompts = Some(encoded);
        Ok(())
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        if self.prompts.is_none() {
            return Err(DetectError::NoPrompts);
        }
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let mut timings = StageTimings::default();
        let mut clock = Clock { device: self.model.device(), since: Instant::now() };
        let pixel_values = self.pixel_values(images)?;
        clock.stop(Stage::Preprocess, &pixel_values, &mut timings)?;
        let Some(prompts) = &self.prompts else { return Err(DetectError::NoPrompts) };

        let features = self
            .model
            .image_features(&pixel_values)
            .map_err(|error| backend(Stage::ImageTower.name(), &error))?;
        clock.stop(Stage::ImageTower, &features, &mut timings)?;

        let output =
            no_grad(|| HeadOutput::compute(&self.model, &features, prompts, LOGITS_PER_PASS))
                .map_err(|error| backend(Stage::Heads.name(), &error))?;
        let not_numbers = output.not_numbers();
        if not_numbers > 0 {
            return Err(DetectError::Backend {
                stage: Stage::Heads.name(),
                message: not_numbers_message(not_numbers, self.model.kind()),
            });
        }
        timings.add(Stage::Heads, clock.lap());

        let preprocessor = &self.preprocessor;
        let found: Vec<_> = images
            .iter()
            .enumerate()
            .map(|(index, image)| {
                let geometry = preprocessor.recipe().geometry(image.width(), image.height());
                output.detections(index, &geometry, prompts, &self.rules)
            })
            .collect();
        timings.add(Stage::Postprocess, clock.lap());
        Ok(found
            .into_iter()
            .map(|detections| ImageDetections { detections, timings: timings.clone() })
            .collect())
    }
}

/// Measures stages. CUDA works behind the host's back, so a stage ends when its result is there.
struct Clock {
    device: Device,
    since: Instant,
}

impl Clock {
    /// Time since the last lap.
    fn lap(&mut self) -> std::time::Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.since, now)
    }

    /// Waits until `result` is there and books the time. One of its values is fetched: unlike
    /// a call to synchronise, that reports the errors of the device instead of panicking.
    fn stop(
        &mut self,
        stage: Stage,
        result: &Tensor,
        timings: &mut StageTimings,
    ) -> Result<(), DetectError> {
        if self.device.is_cuda() {
            result
                .f_flatten(0, -1)
                .and_then(|flat| flat.f_narrow(0, 0, 1)?.f_to_device(Device::Cpu))
                .map(drop)
                .map_err(|error| backend(stage.name(), &error.into()))?;
        }
        timings.add(stage, self.lap());
        Ok(())
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
    if options.max_detections == 0 {
        return refuse("max_detections", "at least 1", "0".to_owned());
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
