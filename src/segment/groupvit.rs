//! GroupViT as a segmenter.

use std::sync::Arc;

use image::RgbImage;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::inputs::{Pictures, backend, check_threads, no_numbers, too_many};
use super::{SegmenterError, SegmenterOptions};
use crate::models::ForwardError;
use crate::models::groupvit::{GroupVit, ImageGroups};
use crate::models::prompts::{EncodedTexts, PromptEncoder};
use crate::nn::{StageClock, device_name, kind_name, resolve_device};
use crate::tasks::{DetectError, ImageScores, ModelInfo, Segmenter};
use crate::tokenize::ClipTokenizer;
use crate::types::{PromptProblem, PromptSet, PromptSetRefused, Stage, StageTimings};
use crate::vision::mask::{ScoreMap, logit_of_score};
use crate::vision::recipe::Recipe;

/// Prompts that can be in one picture, as in the authors' evaluation: those that fit it best as a
/// whole. The scores of all others are 0 everywhere.
const PROMPTS_PER_IMAGE: i64 = 5;

/// The largest factor on cosines, as in the authors' evaluation.
const LARGEST_SCALE: f64 = 100.0;

/// The logits of scores of 0 and 1, so that maps can be interpolated: 1e-7 away from both.
const LARGEST_LOGIT: f32 = 16.0;

/// GroupViT, with its tokenizer, its preprocessing and the prompts in use.
///
/// # From groups to scores
///
/// GroupViT says how well each group of pixels fits each text, and which prompt has a pixel is a
/// matter of comparing prompts. The rule is that of the paper's evaluation (Xu et al. 2022,
/// section 4.3; NVlabs/GroupViT, `segmentation/evaluation/group_vit_seg.py`, `encode_decode`):
///
/// 1. A pixel of the network's canvas belongs to the group with the largest share of it.
/// 2. The vector of a prompt is the mean of those of its texts, scaled to length 1.
/// 3. The affinity of a group to the prompts is the softmax over prompts of cosine times learned
///    scale (at most 100); and that times a second softmax over the five prompts alone that fit
///    the image as a whole best. It is 0 for all others.
/// 4. A pixel is background where the best affinity of its group is below a threshold (0.95 for
///    the paper's Pascal VOC and COCO, 0.35 for Pascal Context), else it is the best prompt's.
///
/// The score of a pixel for a prompt is the affinity of its group, which lies in `[0, 1]`: a
/// prompt's mask is where it is above the prompt's threshold, and where all prompts have the same
/// threshold the class mask of [`masks`](super::masks()) is step 4. One thing is left out: the authors
/// lower the threshold to the best affinity found in a picture, so that no picture is all
/// background. A robot looks at many pictures with nothing in them; a caller who wants that rule
/// takes [`best_score`](ScoreMap::best_score) for a threshold.
///
/// A softmax of one prompt is 1 everywhere, so a set has at least two. Prompts for the
/// surroundings ("a table", "a floor") make a set better; as negative ones they have no mask of
/// their own.
///
/// # What the network sees
///
/// The checkpoints' own preprocessing scales the shorter side and cuts a square out of the middle,
/// made for telling what a picture shows. A segmenter must not leave the sides of a picture out:
/// pictures are stretched to that square instead, by the same filter, as the network saw them in
/// training (crops of ratios between 3:4 and 4:3, stretched).
#[derive(Debug)]
pub struct GroupVitSegmenter {
    info: ModelInfo,
    model: GroupVit,
    encoder: PromptEncoder,
    pictures: Pictures,
    prompts: Option<ActivePrompts>,
}

/// A prompt set in use.
#[derive(Debug)]
struct ActivePrompts {
    set: Arc<PromptSet>,
    /// f32 `[prompts, projection]`: the sum of the vectors of a prompt's texts, which has the
    /// direction of their mean.
    vectors: Tensor,
}

impl ActivePrompts {
    fn new(set: Arc<PromptSet>, texts: &EncodedTexts) -> Result<Self, TchError> {
        let count = set.prompts.len() as i64;
        let (_, size) = texts.queries.size2()?;
        let of: Vec<i64> = texts.prompt_of_text.iter().map(|prompt| *prompt as i64).collect();
        let device = texts.queries.device();
        let of = Tensor::f_from_slice(&of)?.f_to_device(device)?;
        let zeros = Tensor::f_zeros([count, size], (Kind::Float, device))?;
        let vectors = zeros.f_index_add(0, &of, &texts.queries)?;
        Ok(Self { set, vectors })
    }
}

impl GroupVitSegmenter {
    /// Loads a checkpoint from a Hugging Face folder.
    ///
    /// # Errors
    /// An option out of range, a device that is not there, and every way in which the folder is
    /// not a checkpoint that can be run.
    pub fn load(options: &SegmenterOptions) -> Result<Self, SegmenterError> {
        check_threads(options.threads)?;
        let (device, kind) = resolve_device(options.device, options.dtype)?;
        // The small files first: what is wrong with them is known before gigabytes are read.
        let recipe = Recipe { shortest_edge: None, ..Recipe::open(&options.model_dir)? };
        let (width, height) = (recipe.canvas_width, recipe.canvas_height);
        let tokenizer = ClipTokenizer::open(&options.model_dir)?;
        let model = GroupVit::load(&options.model_dir, device, kind)?;
        let expected_px = model.config().image.image_size;
        if i64::from(width) != expected_px || i64::from(height) != expected_px {
            return Err(SegmenterError::InputSize {
                model_dir: options.model_dir.clone(),
                architecture: "GroupViT",
                expected_px,
                width,
                height,
            });
        }
        let max_tokens = model.config().text.max_tokens;
        let encoder = PromptEncoder::new(tokenizer, max_tokens, device, None);
        if let Some(threads) = options.threads.and_then(|threads| i32::try_from(threads).ok()) {
            tch::set_num_threads(threads);
        }
        Ok(Self {
            info: ModelInfo {
                name: options.name.clone(),
                architecture: "groupvit".to_owned(),
                device: device_name(device),
                dtype: kind_name(kind).to_owned(),
                input_size: (height, width),
                parameters: model.parameters(),
                // One image keeps every core busy; a GPU is filled by several.
                useful_batch: if device.is_cuda() { 32 } else { 1 },
            },
            model,
            encoder,
            pictures: Pictures::new(recipe, options.threads),
            prompts: None,
        })
    }

    /// The network, for callers that need more than score maps.
    #[must_use]
    pub fn model(&self) -> &GroupVit {
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

    /// The affinities of groups to prompts, f32 `[batch, groups, prompts]` in `[0, 1]`.
    ///
    /// # Errors
    /// What libtorch reports; no prompt set in use.
    pub fn affinities(&self, groups: &ImageGroups) -> Result<Tensor, DetectError> {
        let prompts = self.prompts.as_ref().ok_or(DetectError::NoPrompts)?;
        no_grad(|| self.affinities_to(groups, &prompts.vectors))
            .map_err(|error| backend(Stage::Heads, &error))
    }

    fn affinities_to(
        &self,
        groups: &ImageGroups,
        vectors: &Tensor,
    ) -> Result<Tensor, ForwardError> {
        let smaller = (LARGEST_SCALE / self.model.scale()).min(1.0);
        let logits = self.model.group_logits(groups, vectors)?.f_mul_scalar(smaller)?;
        let of_image = self.model.image_logits(groups, vectors)?;
        let (_, count) = of_image.size2()?;
        // A logit says the same as its softmax about which are the best.
        let (_, best) = of_image.f_topk(PROMPTS_PER_IMAGE.min(count), -1, true, false)?;
        let left_out = of_image
            .f_ones_like()?
            .f_scatter_value(1, &best, 0.0)?
            .f_to_kind(Kind::Bool)?
            .f_unsqueeze(1)?;
        let of_best = logits.f_masked_fill(&left_out, f64::NEG_INFINITY)?;
        let before = logits.f_softmax(-1, Kind::Float)?;
        Ok(of_best.f_softmax(-1, Kind::Float)?.f_mul(&before)?)
    }

    /// One map for each prompt and image, `[image][prompt]`, and in how many images there is an
    /// affinity or a share that is no number.
    fn draw(
        &self,
        groups: &ImageGroups,
        prompts: &ActivePrompts,
    ) -> Result<(Vec<Vec<ScoreMap>>, usize), ForwardError> {
        let (height, width) = self.info.input_size;
        let affinities = self.affinities_to(groups, &prompts.vectors)?;
        let (images, _, count) = affinities.size3()?;
        let shares = groups.shares_at(i64::from(height), i64::from(width))?;
        let owners: Vec<i64> = values(&shares.f_argmax(1, false)?)?;
        // The sum over everything is no number if one of them is not.
        let sums: Vec<f32> = values(
            &affinities
                .f_sum_dim_intlist([1, 2].as_slice(), false, Kind::Float)?
                .f_add(&shares.f_sum_dim_intlist([1, 2, 3].as_slice(), false, Kind::Float)?)?,
        )?;
        let broken = sums.iter().filter(|sum| !sum.is_finite()).count();
        let affinities: Vec<f32> = values(&affinities)?;
        let logits: Vec<f32> = affinities
            .iter()
            .map(|score| logit_of_score(*score).clamp(-LARGEST_LOGIT, LARGEST_LOGIT))
            .collect();
        let (images, count) = (images as usize, count as usize);
        let maps = owners
            .chunks_exact(owners.len() / images)
            .zip(logits.chunks_exact(logits.len() / images))
            .map(|(owners, logits)| {
                let map = |prompt: usize| {
                    let logits =
                        owners.iter().map(|group| logits[*group as usize * count + prompt]);
                    ScoreMap::new(width, height, logits.collect())
                };
                (0..count).map(map).collect()
            })
            .collect();
        Ok((maps, broken))
    }
}

impl Segmenter for GroupVitSegmenter {
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
        let alone = (prompts.prompts.len() == 1).then(|| {
            let reason = "expected at least two prompts, found one: GroupViT compares prompts \
                          with each other; add what else there is to see, as negative prompts if \
                          no mask of it is wanted";
            PromptProblem::of_prompt(&prompts.prompts[0].name, reason.to_owned())
        });
        let mut problems: Vec<PromptProblem> =
            [alone, too_many(&prompts)].into_iter().flatten().collect();
        let texts = match encoded {
            Ok(texts) if problems.is_empty() => texts,
            Ok(_) => return Err(PromptSetRefused { problems }),
            Err(mut refused) => {
                refused.problems.append(&mut problems);
                return Err(refused);
            }
        };
        let active = no_grad(|| ActivePrompts::new(prompts, &texts)).map_err(|error| {
            let reason = format!("the texts could not be put together: {error}");
            PromptSetRefused { problems: vec![PromptProblem::of_set(reason)] }
        })?;
        self.prompts = Some(active);
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

        let groups =
            self.model.groups(&pixel_values).map_err(|error| backend(Stage::ImageTower, &error))?;
        clock
            .stop(Stage::ImageTower, &groups.embeds, &mut timings)
            .map_err(failed_in(Stage::ImageTower))?;

        let (maps, broken) = no_grad(|| self.draw(&groups, prompts))
            .map_err(|error| backend(Stage::Heads, &error))?;
        if broken > 0 {
            return Err(no_numbers(broken, "images", self.model.kind()));
        }
        timings.add(Stage::Heads, clock.lap());
        Ok(maps.into_iter().map(|maps| ImageScores { maps, timings: timings.clone() }).collect())
    }
}

/// All values of a tensor, in their order.
fn values<T: tch::kind::Element + Copy + Default>(x: &Tensor) -> Result<Vec<T>, TchError> {
    let x = x.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![T::default(); x.numel()];
    x.f_copy_data(&mut values, x.numel())?;
    Ok(values)
}
