//! CLIPSeg as a segmenter.

use std::path::PathBuf;
use std::sync::Arc;

use image::RgbImage;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::masks::MAX_PROMPTS;
use crate::models::clipseg::{ClipSeg, DecoderInput};
use crate::models::prompts::EncodedTexts;
use crate::models::{ForwardError, LoadError};
use crate::nn::{DeviceRefused, StageClock, device_name, kind_name, resolve_device};
use crate::tasks::{DetectError, ImageScores, ModelInfo, Segmenter};
use crate::tokenize::{ClipTokenizer, TokenizerError};
use crate::types::{
    DeviceChoice, DtypeChoice, PromptProblem, PromptSet, PromptSetRefused, Stage, StageTimings,
};
use crate::vision::canvas::Placement;
use crate::vision::mask::ScoreMap;
use crate::vision::preprocess::BatchPreprocessor;
use crate::vision::recipe::{Recipe, RecipeError};

/// Maps that the decoder draws in one pass: bounds its memory (about 10 MB for each at full size)
/// whatever the number of prompts. On the CPU more of them gain nothing.
const MAPS_PER_PASS: usize = 16;

/// What to load and how to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmenterOptions {
    /// The checkpoint's folder.
    pub model_dir: PathBuf,
    /// What the model is called in outputs.
    pub name: String,
    /// Where to run it.
    pub device: DeviceChoice,
    /// The number format of its weights.
    pub dtype: DtypeChoice,
    /// CPU threads for libtorch and for preprocessing; `None` leaves libtorch its own choice. For
    /// the whole process. From 1 to 1024.
    pub threads: Option<usize>,
}

impl SegmenterOptions {
    /// Device and number format chosen automatically.
    #[must_use]
    pub fn new(model_dir: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            model_dir: model_dir.into(),
            name: name.into(),
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            threads: None,
        }
    }
}

/// Why a segmenter could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SegmenterError {
    /// More or fewer threads than make sense.
    #[error("threads: expected a number in [1, 1024], found {found}")]
    Threads {
        /// What was given.
        found: usize,
    },
    /// The device or the number format.
    #[error(transparent)]
    Device(#[from] DeviceRefused),
    /// How the checkpoint wants its images.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Preprocessing makes images that the network cannot take.
    #[error(
        "{}: CLIPSeg takes images that are stretched to a square, the preprocessing is that of \
         {processor} with {width}x{height}",
        model_dir.display()
    )]
    Canvas {
        /// The checkpoint's folder.
        model_dir: PathBuf,
        /// Whose preprocessing it is.
        processor: String,
        /// Width of its canvas in pixels.
        width: u32,
        /// Height of its canvas in pixels.
        height: u32,
    },
    /// The same, for SAM.
    #[error(
        "{}: SAM takes images that keep their aspect ratio on a square of {expected} pixels, the \
         preprocessing is that of {processor} with {width}x{height}",
        model_dir.display()
    )]
    SamCanvas {
        /// The checkpoint's folder.
        model_dir: PathBuf,
        /// Side of the square that the network takes.
        expected: i64,
        /// Whose preprocessing it is.
        processor: String,
        /// Width of its canvas in pixels.
        width: u32,
        /// Height of its canvas in pixels.
        height: u32,
    },
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Configuration or weights.
    #[error(transparent)]
    Model(#[from] LoadError),
}

/// CLIPSeg, with its tokenizer, its preprocessing and the prompts in use.
#[derive(Debug)]
pub struct ClipSegmenter {
    info: ModelInfo,
    model: ClipSeg,
    tokenizer: ClipTokenizer,
    preprocessor: BatchPreprocessor,
    prompts: Option<ActivePrompts>,
    /// Values of the last batch, kept for its memory.
    pixel_values: Vec<f32>,
}

/// A prompt set in use.
#[derive(Debug)]
struct ActivePrompts {
    set: Arc<PromptSet>,
    texts: EncodedTexts,
}

impl ClipSegmenter {
    /// Loads a checkpoint from a Hugging Face folder.
    ///
    /// # Errors
    /// An option out of range, a device that is not there, and every way in which the folder is
    /// not a checkpoint that can be run.
    pub fn load(options: &SegmenterOptions) -> Result<Self, SegmenterError> {
        if let Some(found) = options.threads.filter(|threads| !(1..=1024).contains(threads)) {
            return Err(SegmenterError::Threads { found });
        }
        let (device, kind) = resolve_device(options.device, options.dtype)?;
        // The small files first: what is wrong with them is known before gigabytes are read.
        let recipe = Recipe::open(&options.model_dir)?;
        let (width, height) = (recipe.canvas_width, recipe.canvas_height);
        if width != height || recipe.placement() != Placement::Stretch {
            return Err(SegmenterError::Canvas {
                model_dir: options.model_dir.clone(),
                processor: recipe.processor.to_string(),
                width,
                height,
            });
        }
        let tokenizer = ClipTokenizer::open(&options.model_dir)?;
        let model = ClipSeg::load(&options.model_dir, width, device, kind)?;
        if let Some(threads) = options.threads.and_then(|threads| i32::try_from(threads).ok()) {
            tch::set_num_threads(threads);
        }
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            info: ModelInfo {
                name: options.name.clone(),
                architecture: "clipseg".to_owned(),
                device: device_name(device),
                dtype: kind_name(kind).to_owned(),
                input_size: (height, width),
                parameters: model.parameters(),
                // One image keeps every core busy; a GPU is filled by several.
                useful_batch: if device.is_cuda() { 16 } else { 1 },
            },
            preprocessor: BatchPreprocessor::new(recipe, options.threads.unwrap_or(available)),
            model,
            tokenizer,
            prompts: None,
            pixel_values: Vec::new(),
        })
    }

    /// The network, for callers that need more than score maps.
    #[must_use]
    pub fn model(&self) -> &ClipSeg {
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
        no_grad(upload).map_err(|error| backend(Stage::Preprocess, &error.into()))
    }

    /// One map for each prompt and image, `[image][prompt]`, and in how many of those of single
    /// texts there is a logit that is no number.
    fn draw(
        &self,
        input: &DecoderInput,
        images: usize,
        prompts: &ActivePrompts,
    ) -> Result<(Vec<Vec<ScoreMap>>, usize), ForwardError> {
        let ActivePrompts { set, texts } = prompts;
        let mut broken = 0;
        let mut maps: Vec<Vec<Option<ScoreMap>>> = vec![vec![None; set.prompts.len()]; images];
        let texts_per_pass = (MAPS_PER_PASS / images.max(1)).max(1);
        for (pass, of_texts) in texts.prompt_of_text.chunks(texts_per_pass).enumerate() {
            let first = (pass * texts_per_pass) as i64;
            let conditions = texts.queries.f_narrow(0, first, of_texts.len() as i64)?;
            let logits = self.model.logits(input, &conditions)?;
            let (_, _, height, width) = logits.size4()?;
            let logits = logits.f_to_device(Device::Cpu)?.f_contiguous()?;
            let mut all = vec![0.0_f32; logits.numel()];
            logits.f_copy_data(&mut all, logits.numel())?;
            let of_maps = all.chunks_exact((width * height) as usize);
            let places =
                (0..images).flat_map(|image| of_texts.iter().map(move |text| (image, text)));
            for ((image, prompt), logits) in places.zip(of_maps) {
                // Told here: the better of a number and none is the number.
                broken += usize::from(logits.iter().any(|logit| logit.is_nan()));
                match &mut maps[image][*prompt] {
                    Some(map) => map.join(logits),
                    empty => {
                        let (width, height) = (width as u32, height as u32);
                        *empty = Some(ScoreMap::new(width, height, logits.to_vec()));
                    }
                }
            }
        }
        // A set that was checked has a text for each prompt, so each has a map.
        let maps = maps.into_iter().map(|maps| maps.into_iter().flatten().collect()).collect();
        Ok((maps, broken))
    }
}

impl Segmenter for ClipSegmenter {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        let max_tokens = self.model.config().text.max_tokens;
        let before = self.prompts.as_ref().map(|prompts| &prompts.texts);
        let encoded = no_grad(|| {
            EncodedTexts::new(&prompts, before, &self.tokenizer, max_tokens, |ids| {
                self.model.embed_texts(ids)
            })
        });
        let count = prompts.prompts.len();
        let too_many = (count > MAX_PROMPTS).then(|| PromptProblem {
            prompt: String::new(),
            reason: format!(
                "expected at most {MAX_PROMPTS} prompts for a class mask, found {count}"
            ),
        });
        let texts = match (encoded, too_many) {
            (Ok(texts), None) => texts,
            (Ok(_), Some(problem)) => return Err(PromptSetRefused { problems: vec![problem] }),
            (Err(mut refused), problem) => {
                refused.problems.extend(problem);
                return Err(refused);
            }
        };
        self.prompts = Some(ActivePrompts { set: prompts, texts });
        Ok(())
    }

    fn segment(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageScores>, DetectError> {
        if self.prompts.is_none() {
            return Err(DetectError::NoPrompts);
        }
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let mut timings = StageTimings::default();
        let mut clock = StageClock::start(self.model.device());
        let failed_in = |stage: Stage| move |error: TchError| backend(stage, &error.into());
        let pixel_values = self.pixel_values(images)?;
        clock
            .stop(Stage::Preprocess, &pixel_values, &mut timings)
            .map_err(failed_in(Stage::Preprocess))?;
        let Some(prompts) = &self.prompts else { return Err(DetectError::NoPrompts) };

        let layers =
            self.model.layers(&pixel_values).map_err(|error| backend(Stage::ImageTower, &error))?;
        if let Some(last) = layers.last() {
            clock
                .stop(Stage::ImageTower, last, &mut timings)
                .map_err(failed_in(Stage::ImageTower))?;
        }

        let (maps, broken) = self
            .model
            .decoder_input(&layers)
            .and_then(|input| no_grad(|| self.draw(&input, images.len(), prompts)))
            .map_err(|error| backend(Stage::Heads, &error))?;
        if broken > 0 {
            let advice = match self.model.kind() {
                Kind::Half => "f16 overflowed in this checkpoint, use bf16 or f32",
                _ => "are the weights damaged?",
            };
            let message = format!("{broken} score maps hold what is no number: {advice}");
            return Err(DetectError::Backend { stage: Stage::Heads.name(), message });
        }
        timings.add(Stage::Heads, clock.lap());
        Ok(maps.into_iter().map(|maps| ImageScores { maps, timings: timings.clone() }).collect())
    }
}

fn backend(stage: Stage, error: &ForwardError) -> DetectError {
    DetectError::Backend { stage: stage.name(), message: error.to_string() }
}
