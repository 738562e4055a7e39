//! How fast a detector is and how far two of them are apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;
use serde::Serialize;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::super::decode::{HeadOutput, LOGITS_PER_PASS};
use super::super::prompts::ActivePrompts;
use super::{OwlDetector, backend};
use crate::models::ForwardError;
use crate::tasks::{DetectError, Detector};
use crate::types::{Prompt, PromptSet};

/// How to measure.
#[derive(Clone, Debug)]
pub struct ProfileOptions {
    /// Timed passes for each figure, after one that is not counted; at least 1.
    pub passes: usize,
    /// How many prompts to look for, one set of figures each.
    pub prompt_counts: Vec<usize>,
    /// Frames that share one pass, one figure each.
    pub batch_sizes: Vec<usize>,
}

/// Times of one kind of work in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// The fastest pass.
    pub min: f64,
    /// Half of the passes took no longer.
    pub p50: f64,
    /// Nine in ten took no longer.
    pub p90: f64,
}

/// Where the time goes, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// Pixels to the input tensor on the device, for one image.
    pub preprocess: Quantiles,
    /// The image tower, for one prepared image.
    pub image_tower: Quantiles,
    /// Checking, tokenising and encoding so many prompts.
    pub text_tower: BTreeMap<usize, Quantiles>,
    /// Heads and decoding with so many prompts, on a feature map.
    pub heads: BTreeMap<usize, Quantiles>,
    /// Text tower, image tower and heads on prepared inputs with so many prompts: the work of one
    /// forward call of the reference.
    pub forward: BTreeMap<usize, Quantiles>,
    /// Image to detections with so many prompts in use: what a frame costs.
    pub whole_frame: BTreeMap<usize, Quantiles>,
    /// One pass over so many images with ten prompts in use, for the whole batch.
    pub batch: BTreeMap<usize, Quantiles>,
}

/// How far two detectors are apart on the same images and prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Distance {
    /// Largest difference of a logit.
    pub logit_max: f64,
    /// Mean difference of the logits.
    pub logit_mean: f64,
    /// Largest difference of a score.
    pub score_max: f64,
    /// Largest difference of a box coordinate, in `[0, 1]` of the canvas.
    pub box_max: f64,
    /// Mean difference of the box coordinates.
    pub box_mean: f64,
    /// Share of patches whose best prompt is the same.
    pub same_best_prompt: f64,
}

impl OwlDetector {
    /// Measures this detector. The prompts in use are replaced.
    ///
    /// # Errors
    /// What the backend reports; no images; prompts that its tokenizer refuses.
    pub fn profile(
        &mut self,
        images: &[Arc<RgbImage>],
        options: &ProfileOptions,
    ) -> Result<Profile, DetectError> {
        let Some(image) = images.first().cloned() else {
            let message = "there is no image to measure with".to_owned();
            return Err(DetectError::Backend { stage: "profile", message });
        };
        let passes = options.passes.max(1);
        let one = [image];
        let pixel_values = self.pixel_values(&one)?;
        let features =
            self.tower.model.image_features(&pixel_values).map_err(|e| backend("profile", &e))?;

        let preprocess = measure(passes, || settle(&self.pixel_values(&one)?))?;
        let image_tower = measure(passes, || {
            settle(
                &self
                    .tower
                    .model
                    .image_features(&pixel_values)
                    .map_err(|e| backend("profile", &e))?,
            )
        })?;
        let mut profile = Profile {
            preprocess,
            image_tower,
            text_tower: BTreeMap::new(),
            heads: BTreeMap::new(),
            forward: BTreeMap::new(),
            whole_frame: BTreeMap::new(),
            batch: BTreeMap::new(),
        };
        for &count in &options.prompt_counts {
            let set = numbered_prompts(count);
            let encode = |detector: &Self| {
                detector.encoder.forget();
                no_grad(|| {
                    ActivePrompts::encode(
                        Arc::clone(&set),
                        &detector.encoder,
                        &detector.tower.model,
                        Default::default(),
                        1.0,
                    )
                })
                .map_err(|refused| DetectError::Backend {
                    stage: "text_tower",
                    message: refused.to_string(),
                })
            };
            let prompts = encode(self)?;
            let text_tower = measure(passes, || settle(&encode(self)?.queries))?;
            let heads = measure(passes, || self.heads(&features, &prompts).map(drop))?;
            let forward = measure(passes, || {
                let prompts = encode(self)?;
                let features = self
                    .tower
                    .model
                    .image_features(&pixel_values)
                    .map_err(|error| backend("profile", &error))?;
                self.heads(&features, &prompts).map(drop)
            })?;
            self.set_prompts(Arc::clone(&set)).map_err(|refused| DetectError::Backend {
                stage: "text_tower",
                message: refused.to_string(),
            })?;
            let whole_frame = measure(passes, || self.detect(&one).map(drop))?;
            profile.text_tower.insert(count, text_tower);
            profile.heads.insert(count, heads);
            profile.forward.insert(count, forward);
            profile.whole_frame.insert(count, whole_frame);
        }
        self.set_prompts(numbered_prompts(10)).map_err(|refused| DetectError::Backend {
            stage: "text_tower",
            message: refused.to_string(),
        })?;
        for &size in &options.batch_sizes {
            let batch: Vec<_> = images.iter().cycle().take(size).cloned().collect();
            profile.batch.insert(size, measure(passes, || self.detect(&batch).map(drop))?);
        }
        Ok(profile)
    }

    /// How far this detector is from `other` on these images, with `prompts` numbered prompts.
    ///
    /// # Errors
    /// What either backend reports.
    pub fn distance_to(
        &mut self,
        other: &mut Self,
        images: &[Arc<RgbImage>],
        prompts: usize,
    ) -> Result<Distance, DetectError> {
        let set = numbered_prompts(prompts);
        let mut total = Distance { same_best_prompt: 0.0, ..Distance::default() };
        for image in images {
            let (our_logits, our_boxes) = self.raw_output(image, &set)?;
            let (their_logits, their_boxes) = other.raw_output(image, &set)?;
            let compare = || -> Result<Distance, TchError> {
                let logits = our_logits.f_sub(&their_logits)?.f_abs()?;
                let scores = our_logits.f_sigmoid()?.f_sub(&their_logits.f_sigmoid()?)?.f_abs()?;
                let boxes = our_boxes.f_sub(&their_boxes)?.f_abs()?;
                let best = our_logits.f_argmax(-1, false)?;
                let same = best.f_eq_tensor(&their_logits.f_argmax(-1, false)?)?;
                Ok(Distance {
                    logit_max: logits.f_max()?.f_double_value(&[])?,
                    logit_mean: logits.f_mean(Kind::Double)?.f_double_value(&[])?,
                    score_max: scores.f_max()?.f_double_value(&[])?,
                    box_max: boxes.f_max()?.f_double_value(&[])?,
                    box_mean: boxes.f_mean(Kind::Double)?.f_double_value(&[])?,
                    same_best_prompt: same.f_mean(Kind::Double)?.f_double_value(&[])?,
                })
            };
            let each = no_grad(compare).map_err(|error| backend("distance", &error.into()))?;
            let share = 1.0 / images.len() as f64;
            total.logit_max = total.logit_max.max(each.logit_max);
            total.logit_mean += share * each.logit_mean;
            total.score_max = total.score_max.max(each.score_max);
            total.box_max = total.box_max.max(each.box_max);
            total.box_mean += share * each.box_mean;
            total.same_best_prompt += share * each.same_best_prompt;
        }
        Ok(total)
    }

    fn heads(&self, features: &Tensor, prompts: &ActivePrompts) -> Result<HeadOutput, DetectError> {
        no_grad(|| {
            HeadOutput::compute(
                &self.tower.model,
                features,
                prompts,
                self.rules.names_per_box,
                self.proposals > 0,
                LOGITS_PER_PASS,
            )
        })
        .map_err(|error| backend("heads", &error))
    }

    /// Logits `[patches, prompts]` and boxes `[patches, 4]` in f32 on the CPU.
    fn raw_output(
        &mut self,
        image: &Arc<RgbImage>,
        set: &Arc<PromptSet>,
    ) -> Result<(Tensor, Tensor), DetectError> {
        let prompts = no_grad(|| {
            ActivePrompts::encode(
                Arc::clone(set),
                &self.encoder,
                &self.tower.model,
                Default::default(),
                1.0,
            )
        })
        .map_err(|refused| DetectError::Backend {
            stage: "text_tower",
            message: refused.to_string(),
        })?;
        let pixel_values = self.pixel_values(&[Arc::clone(image)])?;
        let run = || -> Result<(Tensor, Tensor), ForwardError> {
            let features = self.tower.model.image_features(&pixel_values)?;
            let logits = self.tower.model.class_logits(&features, &prompts.queries)?;
            let boxes = self.tower.model.boxes(&features)?;
            let to_host = |tensor: Tensor| -> Result<Tensor, TchError> {
                tensor.f_to_device_(Device::Cpu, Kind::Float, false, false)?.f_squeeze_dim(0)
            };
            Ok((to_host(logits)?, to_host(boxes)?))
        };
        no_grad(run).map_err(|error| backend("distance", &error))
    }
}

/// Short texts, all different.
fn numbered_prompts(count: usize) -> Arc<PromptSet> {
    let prompts = (0..count).map(|index| Prompt::from_text(&format!("a {index}"))).collect();
    Arc::new(PromptSet { version: 0, prompts, default_threshold: 0.1 })
}

/// Waits until a tensor is there: CUDA works behind the host's back.
fn settle(tensor: &Tensor) -> Result<(), DetectError> {
    if tensor.device() == Device::Cpu {
        return Ok(());
    }
    tensor
        .f_flatten(0, -1)
        .and_then(|flat| flat.f_narrow(0, 0, 1)?.f_to_device(Device::Cpu))
        .map(drop)
        .map_err(|error| backend("profile", &error.into()))
}

fn measure(
    passes: usize,
    mut work: impl FnMut() -> Result<(), DetectError>,
) -> Result<Quantiles, DetectError> {
    work()?;
    let mut spent_ms = Vec::with_capacity(passes);
    for _ in 0..passes {
        let start = Instant::now();
        work()?;
        spent_ms.push(1e3 * start.elapsed().as_secs_f64());
    }
    spent_ms.sort_by(f64::total_cmp);
    let at = |share: f64| spent_ms[(share * (passes - 1) as f64).round() as usize];
    Ok(Quantiles { min: at(0.0), p50: at(0.5), p90: at(0.9) })
}
