//! CLIPSeg as a segmenter.

use std::path::PathBuf;
use std::sync::Arc;

use image::RgbImage;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::inputs::{Pictures, backend, check_threads, no_numbers, too_many};
use super::visual::{self, VisualPrompt};
use crate::models::clipseg::{ClipSeg, DecoderInput};
use crate::models::prompts::{EncodedTexts, PromptEncoder};
use crate::models::{ForwardError, LoadError};
use crate::nn::{DeviceRefused, StageClock, device_name, kind_name, resolve_device};
use crate::tasks::{DetectError, ImageScores, ModelInfo, Segmenter};
use crate::tokenize::{ClipTokenizer, TokenizerError};
use crate::types::{
    DeviceChoice, DtypeChoice, PromptProblem, PromptSet, PromptSetRefused, Stage, StageTimings,
};
use crate::vision::canvas::Placement;
use crate::vision::mask::ScoreMap;
use crate::vision::recipe::{Recipe, RecipeError};

/// Maps that the decoder draws in one pass: bounds its memory (about 10 MB for each at full size)
/// whatever the number of prompts. On the CPU more of them gain nothing.
const MAPS_PER_PASS: usize = 16;

/// Pictures that are encoded in one pass: bounds the memory that any number of them takes.
const PICTURES_PER_PASS: usize = 8;

/// Why prompts were not shown their pictures.
enum ShowError {
    Refused(Vec<PromptProblem>),
    Backend(DetectError),
}

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
    /// Preprocessing makes images of another size than the network takes.
    #[error(
        "{}: {architecture} takes images of {expected_px}x{expected_px}, the preprocessing makes \
         {width}x{height}",
        model_dir.display()
    )]
    InputSize {
        /// The checkpoint's folder.
        model_dir: PathBuf,
        /// Its architecture.
        architecture: &'static str,
        /// Side that the network takes, in pixels.
        expected_px: i64,
        /// Width that preprocessing makes, in pixels.
        width: u32,
        /// Height that preprocessing makes, in pixels.
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
    encoder: PromptEncoder,
    pictures: Pictures,
    prompts: Option<ActivePrompts>,
}

/// A prompt set in use.
#[derive(Debug)]
struct ActivePrompts {
    set: Arc<PromptSet>,
    texts: EncodedTexts,
    /// f32 `[conditions, projection]`: those of the texts, or what pictures made of them.
    conditions: Tensor,
    /// The prompt that each condition belongs to, as its index in the set.
    prompt_of_condition: Vec<usize>,
}

impl ClipSegmenter {
    /// Loads a checkpoint from a Hugging Face folder.
    ///
    /// # Errors
    /// An option out of range, a device that is not there, and every way in which the folder is
    /// not a checkpoint that can be run.
    pub fn load(options: &SegmenterOptions) -> Result<Self, SegmenterError> {
        check_threads(options.threads)?;
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
        let max_tokens = model.config().text.max_tokens;
        let encoder = PromptEncoder::new(tokenizer, max_tokens, device, None);
        if let Some(threads) = options.threads.and_then(|threads| i32::try_from(threads).ok()) {
            tch::set_num_threads(threads);
        }
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
            pictures: Pictures::new(recipe, options.threads),
            model,
            encoder,
            prompts: None,
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
        self.pictures.prepare(images, self.model.device(), self.model.kind())
    }

    /// Encodes pictures as they are into conditions, f32 `[images, projection]`: what the
    /// reference makes of `conditional_pixel_values`.
    ///
    /// # Errors
    /// An image with no pixels; what libtorch reports.
    pub fn embed_pictures(&mut self, images: &[Arc<RgbImage>]) -> Result<Tensor, DetectError> {
        let mut parts = Vec::new();
        for images in images.chunks(PICTURES_PER_PASS) {
            let pixel_values = self.pixel_values(images)?;
            let part = self.model.embed_images(&pixel_values);
            parts.push(part.map_err(|error| backend(Stage::ImageTower, &error))?);
        }
        no_grad(|| Tensor::f_cat(&parts, 0))
            .map_err(|error| backend(Stage::ImageTower, &error.into()))
    }

    /// Shows the prompts in use pictures of what they ask for, in place of texts or averaged with
    /// them, until the next prompt set. A prompt's pictures are averaged to one condition first;
    /// prompts that are not in `visual` keep their texts alone. An empty `visual` brings the texts
    /// of all prompts back.
    ///
    /// Each picture is cut to the square around its box with a quarter of the box's longer side as
    /// context on either side; see [`VisualPrompt`].
    ///
    /// # Errors
    /// Everything that is wrong with `visual`, no prompt set in use, what libtorch reports; what
    /// was in use stays in use.
    pub fn show(&mut self, visual: &[VisualPrompt]) -> Result<(), PromptSetRefused> {
        let refused =
            |reason: String| PromptSetRefused { problems: vec![PromptProblem::of_set(reason)] };
        let Some(prompts) = self.prompts.take() else {
            return Err(refused("no prompts are set: there is nothing to show".to_owned()));
        };
        let made = self.conditions(&prompts, visual);
        let prompts = self.prompts.insert(prompts);
        let (conditions, prompt_of_condition) = made.map_err(|error| match error {
            ShowError::Refused(problems) => PromptSetRefused { problems },
            ShowError::Backend(error) => {
                refused(format!("the pictures could not be encoded: {error}"))
            }
        })?;
        (prompts.conditions, prompts.prompt_of_condition) = (conditions, prompt_of_condition);
        Ok(())
    }

    /// Conditions of texts and pictures, and the prompt that each belongs to.
    fn conditions(
        &mut self,
        prompts: &ActivePrompts,
        visual: &[VisualPrompt],
    ) -> Result<(Tensor, Vec<usize>), ShowError> {
        let crops = visual::crops(visual, &prompts.set).map_err(ShowError::Refused)?;
        let EncodedTexts { queries, prompt_of_text, .. } = &prompts.texts;
        if crops.is_empty() {
            return Ok((queries.shallow_clone(), prompt_of_text.clone()));
        }
        let pictures = self.embed_pictures(&crops).map_err(ShowError::Backend)?;
        let put_together = || -> Result<(Tensor, Vec<usize>), TchError> {
            let mut shown: Vec<Option<(Tensor, bool)>> = Vec::new();
            shown.resize_with(prompts.set.prompts.len(), || None);
            let mut first = 0;
            for VisualPrompt { prompt, exemplars, with_texts } in visual {
                let count = exemplars.len() as i64;
                let mean = pictures.f_narrow(0, first, count)?;
                let mean = mean.f_mean_dim([0].as_slice(), true, None::<Kind>)?;
                shown[*prompt] = Some((mean, *with_texts));
                first += count;
            }
            let (mut rows, mut prompt_of_row) = (Vec::new(), Vec::new());
            for (text, prompt) in (0..).zip(prompt_of_text) {
                let of_text = || queries.f_narrow(0, text, 1);
                let row = match &shown[*prompt] {
                    None => of_text()?,
                    Some((mean, true)) => of_text()?.f_add(mean)?.f_mul_scalar(0.5)?,
                    // Once for all texts of the prompt.
                    Some(_) if prompt_of_row.last() == Some(prompt) => continue,
                    Some((mean, false)) => mean.shallow_clone(),
                };
                rows.push(row);
                prompt_of_row.push(*prompt);
            }
            Ok((Tensor::f_cat(&rows, 0)?, prompt_of_row))
        };
        no_grad(put_together)
            .map_err(|error| ShowError::Backend(backend(Stage::ImageTower, &error.into())))
    }

    /// One map for each prompt and image, `[image][prompt]`, and in how many of those of single
    /// conditions there is a logit that is no number.
    fn draw(
        &self,
        input: &DecoderInput,
        images: usize,
        prompts: &ActivePrompts,
    ) -> Result<(Vec<Vec<ScoreMap>>, usize), ForwardError> {
        let ActivePrompts { set, conditions, prompt_of_condition, .. } = prompts;
        let mut broken = 0;
        let mut maps: Vec<Vec<Option<ScoreMap>>> = vec![vec![None; set.prompts.len()]; images];
        let per_pass = (MAPS_PER_PASS / images.max(1)).max(1);
        for (pass, of_pass) in prompt_of_condition.chunks(per_pass).enumerate() {
            let first = (pass * per_pass) as i64;
            let conditions = conditions.f_narrow(0, first, of_pass.len() as i64)?;
            let logits = self.model.logits(input, &conditions)?;
            let (_, _, height, width) = logits.size4()?;
            let logits = logits.f_to_device(Device::Cpu)?.f_contiguous()?;
            let mut all = vec![0.0_f32; logits.numel()];
            logits.f_copy_data(&mut all, logits.numel())?;
            let of_maps = all.chunks_exact((width * height) as usize);
            let places =
                (0..images).flat_map(|image| of_pass.iter().map(move |prompt| (image, prompt)));
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
        // A set that was checked has a text for each prompt, so each has a condition and a map.
        let maps = maps.into_iter().map(|maps| maps.into_iter().flatten().collect()).collect();
        Ok((maps, broken))
    }
}

impl Segmenter for ClipSegmenter {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        let of_texts_only = prompts.problems_of_texts_only();
        if !of_texts_only.is_empty() {
            return Err(PromptSetRefused { problems: of_texts_only });
        }
        let encode = || self.encoder.encode(&prompts, |ids| self.model.embed_texts(ids));
        let encoded = no_grad(encode);
        let texts = match (encoded, too_many(&prompts)) {
            (Ok(texts), None) => texts,
            (Ok(_), Some(problem)) => return Err(PromptSetRefused { problems: vec![problem] }),
            (Err(mut refused), problem) => {
                refused.problems.extend(problem);
                return Err(refused);
            }
        };
        self.prompts = Some(ActivePrompts {
            set: prompts,
            conditions: texts.queries.shallow_clone(),
            prompt_of_condition: texts.prompt_of_text.clone(),
            texts,
        });
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
            return Err(no_numbers(broken, "score maps", self.model.kind()));
        }
        timings.add(Stage::Heads, clock.lap());
        Ok(maps.into_iter().map(|maps| ImageScores { maps, timings: timings.clone() }).collect())
    }
}
