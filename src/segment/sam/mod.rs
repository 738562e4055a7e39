//! SAM as a segmenter.

mod prompts;

use std::sync::{Arc, Weak};

use image::RgbImage;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::{SegmenterError, SegmenterOptions};
use crate::models::ForwardError;
use crate::models::sam::{CanvasPrompt, Sam};
use crate::nn::{StageClock, device_name, kind_name, resolve_device};
use crate::tasks::{DetectError, ImageInstances, MaskPrompt, ModelInfo, PromptableSegmenter};
use crate::types::{InstanceMask, Mask, Stage, StageTimings};
use crate::vision::canvas::Placement;
use crate::vision::mask::{CanvasMaskSizes, CanvasMasks};
use crate::vision::preprocess::BatchPreprocessor;
use crate::vision::recipe::Recipe;
use prompts::{check, groups, on_canvas};

pub use prompts::MAX_POINTS;

/// Prompts whose masks are brought to the size of the source together, as logits of 256 KB each at
/// full size; and the most that the decoder takes in one pass.
const PROMPTS_PER_PASS: usize = 64;

/// Places of image embeddings that the decoder works on at once on the CPU: 2 prompts at full
/// size. Their tensors have 8 MB, which glibc's allocator hands from one step to the next; those of
/// 16 prompts are new pages every time, and cost a sixth more (two cores: 20 ms a prompt, not 17).
const PLACES_PER_PASS: usize = 2 * 64 * 64;

/// Images that are encoded in one pass on a GPU.
const IMAGES_PER_PASS: usize = 4;

/// What happens to masks after the network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MaskRules {
    /// Holes of less pixels than this are filled and islands of less are dropped, as SAM's own
    /// `remove_small_regions` does it; 0 leaves masks as the network draws them.
    pub min_region_px: u64,
    /// How far the threshold is moved for [`SamMask::stability`], in units of logits (1 in the
    /// reference); `None` leaves it out.
    pub stability_offset: Option<f32>,
}

/// The masks of one image of a batch, with all that SAM says of them.
#[derive(Clone, Debug, Default)]
pub struct SamImage {
    /// One for each prompt, in their order.
    pub masks: Vec<SamMask>,
    /// Times of the stages from preprocess to postprocess.
    pub timings: StageTimings,
}

/// A mask, with all that SAM says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SamMask {
    /// Over the source image.
    pub mask: Mask,
    /// The intersection over union that the network expects the mask to have with the thing; not
    /// bounded. `None` where the prompt asked for nothing.
    pub predicted_iou: Option<f32>,
    /// How little the mask depends on its threshold, in `[0, 1]`, before small regions are
    /// removed; see [`MaskRules::stability_offset`].
    pub stability: Option<f32>,
}

/// SAM with its preprocessing.
///
/// Of the masks that the network draws for a prompt (three in every released checkpoint) the one
/// with the highest predicted IoU is taken, for boxes and for points. The reference gives all of
/// them and leaves the choice to the caller.
///
/// Boxes are clipped to the image, and points outside of it are passed over: the network has never
/// seen such. A prompt of which nothing is left gets an empty mask, and so does one with a box
/// that is not a number.
#[derive(Debug)]
pub struct SamSegmenter {
    info: ModelInfo,
    model: Sam,
    preprocessor: BatchPreprocessor,
    rules: MaskRules,
    threads: usize,
    /// Values of the last batch, kept for its memory.
    pixel_values: Vec<f32>,
    /// What the encoder made of the images of the last call, 4 MB each at full size: who asks for
    /// more about one of them does not wait for it again.
    embedded: Vec<Embedded>,
}

/// An image as the decoder sees it.
#[derive(Debug)]
struct Embedded {
    /// It keeps no pixels, and no other image can be taken for this one while it is there.
    image: Weak<RgbImage>,
    /// `[1, channels, grid, grid]`
    embedding: Tensor,
}

impl SamSegmenter {
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
        // The small file first: what is wrong with it is known before gigabytes are read.
        let recipe = Recipe::open(&options.model_dir)?;
        let model = Sam::load(&options.model_dir, device, kind)?;
        let (width, height) = (recipe.canvas_width, recipe.canvas_height);
        let expected = model.config().image_size;
        let keeps_aspect = matches!(recipe.placement(), Placement::LongestEdge { .. });
        if i64::from(width) != expected || width != height || !keeps_aspect {
            return Err(SegmenterError::SamCanvas {
                model_dir: options.model_dir.clone(),
                expected,
                processor: recipe.processor.to_string(),
                width,
                height,
            });
        }
        if let Some(threads) = options.threads.and_then(|threads| i32::try_from(threads).ok()) {
            tch::set_num_threads(threads);
        }
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = options.threads.unwrap_or(available);
        Ok(Self {
            info: ModelInfo {
                name: options.name.clone(),
                architecture: "sam".to_owned(),
                device: device_name(device),
                dtype: kind_name(kind).to_owned(),
                input_size: (height, width),
                parameters: model.parameters(),
                // One image keeps every core busy; a GPU is filled by several.
                useful_batch: if device.is_cuda() { IMAGES_PER_PASS } else { 1 },
            },
            preprocessor: BatchPreprocessor::new(recipe, threads),
            model,
            rules: MaskRules::default(),
            threads,
            pixel_values: Vec::new(),
            embedded: Vec::new(),
        })
    }

    /// The network, for callers that need more than masks.
    #[must_use]
    pub fn model(&self) -> &Sam {
        &self.model
    }

    /// Changes what happens to masks after the network, from the next batch on.
    pub fn set_rules(&mut self, rules: MaskRules) {
        self.rules = rules;
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
        no_grad(upload).map_err(failed_in(Stage::Preprocess))
    }

    /// As [`segment`](PromptableSegmenter::segment), with all that SAM says.
    ///
    /// # Errors
    /// As there.
    pub fn segment_with_details(
        &mut self,
        images: &[Arc<RgbImage>],
        prompts: &[Vec<MaskPrompt>],
    ) -> Result<Vec<SamImage>, DetectError> {
        check(images, prompts)?;
        let longest_edge = self.preprocessor.recipe().longest_edge.unwrap_or(0);
        let asked: Vec<Vec<Option<CanvasPrompt>>> = images
            .iter()
            .zip(prompts)
            .map(|(image, prompts)| {
                let place = |prompt| on_canvas(prompt, image.dimensions(), longest_edge);
                prompts.iter().map(place).collect()
            })
            .collect();
        let mut results: Vec<SamImage> = images
            .iter()
            .zip(prompts)
            .map(|(image, prompts)| SamImage {
                masks: vec![nothing(image.dimensions()); prompts.len()],
                timings: StageTimings::default(),
            })
            .collect();
        // An image that nothing is asked of is not even looked at.
        let looked_at: Vec<usize> =
            (0..images.len()).filter(|index| asked[*index].iter().any(Option::is_some)).collect();
        let wanted: Vec<_> = looked_at.iter().map(|index| Arc::clone(&images[*index])).collect();
        for (index, timings) in looked_at.iter().zip(self.embed(&wanted)?) {
            results[*index].timings.merge(&timings);
        }
        for (embedded, index) in self.embedded.iter().zip(looked_at) {
            let size = images[index].dimensions();
            self.draw(&embedded.embedding, &asked[index], size, &mut results[index])?;
        }
        Ok(results)
    }

    /// Has the encoder look at those of the images that the last call was not about. Then
    /// `embedded` is of these images, in their order; gives what each of them took.
    fn embed(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<StageTimings>, DetectError> {
        let mut before = std::mem::take(&mut self.embedded);
        let mut timings = vec![StageTimings::default(); images.len()];
        let mut known: Vec<Option<Tensor>> = images
            .iter()
            .map(|image| {
                let is_it = |one: &Embedded| std::ptr::eq(one.image.as_ptr(), Arc::as_ptr(image));
                let place = before.iter().position(is_it)?;
                Some(before.swap_remove(place).embedding)
            })
            .collect();
        drop(before);
        let new: Vec<usize> = (0..images.len()).filter(|at| known[*at].is_none()).collect();
        for chunk in new.chunks(self.info.useful_batch) {
            let batch: Vec<_> = chunk.iter().map(|at| Arc::clone(&images[*at])).collect();
            let mut shared = StageTimings::default();
            let mut clock = StageClock::start(self.model.device());
            let pixel_values = self.pixel_values(&batch)?;
            let stop = |stage, clock: &mut StageClock, result: &Tensor, timings: &mut _| {
                clock.stop(stage, result, timings).map_err(failed_in(stage))
            };
            stop(Stage::Preprocess, &mut clock, &pixel_values, &mut shared)?;
            let embeddings =
                self.model.embed_images(&pixel_values).map_err(failed_in(Stage::ImageTower))?;
            stop(Stage::ImageTower, &mut clock, &embeddings, &mut shared)?;
            for (place, at) in (0..).zip(chunk) {
                timings[*at] = shared.clone();
                let embedding =
                    embeddings.f_narrow(0, place, 1).map_err(failed_in(Stage::Heads))?;
                known[*at] = Some(embedding);
            }
        }
        let whole = images.iter().zip(known).filter_map(|(image, embedding)| {
            Some(Embedded { image: Arc::downgrade(image), embedding: embedding? })
        });
        self.embedded = whole.collect();
        Ok(timings)
    }

    /// Fills in the masks of one image.
    fn draw(
        &self,
        embedding: &Tensor,
        asked: &[Option<CanvasPrompt>],
        source_size: (u32, u32),
        result: &mut SamImage,
    ) -> Result<(), DetectError> {
        let sizes = CanvasMaskSizes {
            mask_side: self.model.config().mask_side() as u32,
            canvas_side: self.info.input_size.1,
            longest_edge: self.preprocessor.recipe().longest_edge.unwrap_or(0),
            source_width: source_size.0,
            source_height: source_size.1,
        };
        // Sizes were checked: of the canvas when it was loaded, of the image before it was read.
        let Some(source) = CanvasMasks::new(sizes) else { return Ok(()) };
        let mut clock = StageClock::start(self.model.device());
        for alike in groups(asked) {
            for some in alike.chunks(PROMPTS_PER_PASS) {
                let (logits, iou) =
                    no_grad(|| self.best(embedding, some)).map_err(failed_in(Stage::Heads))?;
                self.refuse_nan(&logits, &iou)?;
                result.timings.add(Stage::Heads, clock.lap());
                let side = sizes.mask_side as usize;
                let drawn = self.at_source_size(&source, &logits, side * side);
                for (((index, _), (mask, stability)), iou) in some.iter().zip(drawn).zip(iou) {
                    result.masks[*index] = SamMask { mask, predicted_iou: Some(iou), stability };
                }
                result.timings.add(Stage::Postprocess, clock.lap());
            }
        }
        Ok(())
    }

    /// The best mask of each prompt, `side * side` logits each, and its predicted IoU. All prompts
    /// are alike.
    fn best(
        &self,
        embedding: &Tensor,
        prompts: &[(usize, &CanvasPrompt)],
    ) -> Result<(Vec<f32>, Vec<f32>), ForwardError> {
        let tokens = prompts.first().map_or(1, |(_, prompt)| prompt.tokens());
        let (mut all_logits, mut all_iou) = (Vec::new(), Vec::new());
        let fetch = |tensor: Tensor, all: &mut Vec<f32>| -> Result<(), TchError> {
            let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
            let (before, count) = (all.len(), tensor.numel());
            all.resize(before + count, 0.0);
            tensor.f_copy_data(&mut all[before..], count)
        };
        for pass in prompts.chunks(self.prompts_per_pass(tokens)) {
            let pass: Vec<_> = pass.iter().map(|(_, prompt)| (*prompt).clone()).collect();
            let tokens = self.model.embed_prompts(&pass)?;
            let (logits, iou) = self.model.decode(embedding, &tokens)?.best()?;
            fetch(logits, &mut all_logits)?;
            fetch(iou, &mut all_iou)?;
        }
        Ok((all_logits, all_iou))
    }

    /// Brings masks to the size of the source, a share of them on each thread. One after the
    /// other in each: none is ever there in floats.
    fn at_source_size(
        &self,
        source: &CanvasMasks,
        logits: &[f32],
        per_mask: usize,
    ) -> Vec<(Mask, Option<f32>)> {
        let MaskRules { min_region_px, stability_offset } = self.rules;
        let one = |logits: &[f32]| {
            let window = source.above(logits, 0.0).without_small_regions(min_region_px);
            let stability = stability_offset.map(|offset| source.stability(logits, 0.0, offset));
            (window.into_mask(), stability)
        };
        let masks = logits.len() / per_mask;
        if masks == 1 || self.threads == 1 {
            return logits.chunks_exact(per_mask).map(one).collect();
        }
        let share = masks.div_ceil(self.threads) * per_mask;
        std::thread::scope(|scope| {
            let threads: Vec<_> = logits
                .chunks(share)
                .map(|logits| {
                    scope.spawn(move || logits.chunks_exact(per_mask).map(one).collect::<Vec<_>>())
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().flat_map(join).collect()
        })
    }

    /// Prompts of so many tokens that the decoder takes at once: what bounds its memory, whatever
    /// the number of prompts. On the CPU, at full size, 2 boxes.
    #[must_use]
    pub fn prompts_per_pass(&self, tokens: usize) -> usize {
        // What points cost goes with their number; a box is two tokens.
        let prompts = PROMPTS_PER_PASS * 8 / (tokens + 6);
        let grid = self.model.config().grid() as usize;
        let room = match self.model.device() {
            Device::Cuda(_) => prompts,
            _ => PLACES_PER_PASS / (grid * grid),
        };
        prompts.min(room).max(1)
    }

    fn refuse_nan(&self, logits: &[f32], iou: &[f32]) -> Result<(), DetectError> {
        if !logits.iter().chain(iou).any(|value| value.is_nan()) {
            return Ok(());
        }
        let advice = match self.model.kind() {
            Kind::Half => "f16 overflowed in this checkpoint, use bf16 or f32",
            _ => "are the weights damaged?",
        };
        let message = format!("masks hold what is no number: {advice}");
        Err(DetectError::Backend { stage: Stage::Heads.name(), message })
    }
}

impl PromptableSegmenter for SamSegmenter {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn segment(
        &mut self,
        images: &[Arc<RgbImage>],
        prompts: &[Vec<MaskPrompt>],
    ) -> Result<Vec<ImageInstances>, DetectError> {
        let details = self.segment_with_details(images, prompts)?;
        let plain = |SamMask { mask, predicted_iou, .. }| InstanceMask { mask, predicted_iou };
        Ok(details
            .into_iter()
            .map(|SamImage { masks, timings }| ImageInstances {
                masks: masks.into_iter().map(plain).collect(),
                timings,
            })
            .collect())
    }
}

/// The answer to a prompt that asks for nothing.
fn nothing((width, height): (u32, u32)) -> SamMask {
    let mask = Mask::from_window([width, height], [0, 0], [0, 0], Vec::new());
    SamMask { mask, predicted_iou: None, stability: None }
}

fn failed_in<E: Into<ForwardError>>(stage: Stage) -> impl Fn(E) -> DetectError {
    move |error| DetectError::Backend { stage: stage.name(), message: error.into().to_string() }
}
