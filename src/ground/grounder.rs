//! Regions of a frame in, named detections out.

#[cfg(test)]
pub(crate) mod by_hand;
mod error;
mod prompts;
mod sentences;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use image::RgbImage;

pub use self::error::GrounderError;
pub use self::prompts::{GroundingPrompt, GroundingQuery};
use self::sentences::Sentences;
use super::asif::{Asif, Relative, TextPairs, TextSide};
use super::bank::{Bank, BankError, EncoderId, NewPair, PairId, PairOrigin, Side};
use super::crops::{crop_with_margin, thumbnail_of};
use crate::tasks::{DetectError, DetectionRules, ImageEncoder, PromptsAhead, TextEncoder};
use crate::types::{
    Detection, Explanation, PairEvidence, PixelBox, PromptProblem, PromptSetRefused, Stage,
};
use crate::vision::nms::{Contender, greedy_nms};

/// The most texts in use: more have no place in a frame's time.
pub const MAX_TEXTS: usize = 2000;

/// The most regions of a frame that are looked at, in the order in which they were given.
pub const MAX_REGIONS: usize = 1000;

/// Regions that are encoded at once: their canvases stay below 100 MB at 384 pixels.
const REGIONS_PER_PASS: usize = 64;

/// Small pictures of pairs that are held in memory: some 5 MB.
const MAX_THUMBNAILS: usize = 1024;

/// The stage of errors that come from here.
const STAGE: &str = Stage::Ground.name();

/// How regions become detections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GrounderOptions {
    /// Intersection over union above which the lower of two boxes of one prompt is dropped; `None`
    /// keeps them all.
    pub nms_iou: Option<f32>,
    /// Whether boxes of all prompts suppress each other, and not only those of one.
    pub nms_across_prompts: bool,
    /// The most detections of an image, best first.
    pub max_detections: usize,
    /// The most prompts that one region is reported for; at least 1.
    pub names_per_box: usize,
    /// The most pairs that are listed for a detection.
    pub evidence: usize,
}

impl Default for GrounderOptions {
    /// NMS at 0.5, 100 detections of one name each, with 5 pairs.
    fn default() -> Self {
        Self {
            nms_iou: Some(0.5),
            nms_across_prompts: false,
            max_detections: 100,
            names_per_box: 1,
            evidence: 5,
        }
    }
}

/// An encoder, and what tells it from others.
pub struct Identified<E: ?Sized> {
    /// The encoder.
    pub encoder: Box<E>,
    /// Its name and checksum.
    pub id: EncoderId,
}

/// What was found in one image.
#[derive(Clone, Debug, Default)]
pub struct GroundedImage {
    /// By falling score, each with its explanation; `prompt` is that of the [`GroundingPrompt`].
    pub found: Vec<Detection>,
    /// The best score of each prompt over all regions, in the order of the prompts and whatever the
    /// thresholds.
    pub best_scores: Vec<f32>,
    /// Regions that were not looked at: outside of the image, without area, or beyond
    /// [`MAX_REGIONS`].
    pub skipped_regions: usize,
}

/// Names regions by a bank of pairs.
pub struct Grounder {
    asif: Asif,
    image_encoder: Box<dyn ImageEncoder>,
    sentences: Arc<Sentences>,
    options: GrounderOptions,
    prompts: Vec<GroundingPrompt>,
    /// For each query in use its prompt and itself, as places in `prompts`.
    queries: Vec<(usize, usize)>,
    /// Of pairs that spoke for something.
    thumbnails: HashMap<PairId, Option<Arc<[u8]>>>,
}

/// Prompts that are encoded for one grounder and not in use yet.
#[derive(Debug)]
pub struct EncodedPrompts {
    prompts: Vec<GroundingPrompt>,
    queries: Vec<(usize, usize)>,
    texts: TextSide,
}

impl Grounder {
    /// # Errors
    /// Encoders that the bank was not made with, by both their names and checksums.
    pub fn new(
        bank: Bank,
        image: Identified<dyn ImageEncoder>,
        text: Identified<dyn TextEncoder>,
        options: GrounderOptions,
    ) -> Result<Self, BankError> {
        bank.check_encoders(&image.id, &text.id)?;
        let sentences = Arc::new(Sentences::new(text.encoder, TextPairs::of(&bank)));
        Ok(Self {
            asif: Asif::new(bank),
            image_encoder: image.encoder,
            sentences,
            options,
            prompts: Vec::new(),
            queries: Vec::new(),
            thumbnails: HashMap::new(),
        })
    }

    /// The bank and the texts in use.
    #[must_use]
    pub fn asif(&self) -> &Asif {
        &self.asif
    }

    /// What encodes regions.
    #[must_use]
    pub fn image_encoder(&self) -> &dyn ImageEncoder {
        &*self.image_encoder
    }

    /// What encodes the texts of prompt sets while this looks at images on another thread.
    #[must_use]
    pub fn prompts_ahead(&self) -> Arc<dyn PromptsAhead> {
        Arc::clone(&self.sentences) as _
    }

    /// The prompts in use.
    #[must_use]
    pub fn prompts(&self) -> &[GroundingPrompt] {
        &self.prompts
    }

    /// Changes how regions become detections, from the next image on.
    pub fn set_rules(&mut self, rules: DetectionRules) {
        let DetectionRules { nms_iou, nms_across_prompts, max_detections, names_per_box } = rules;
        self.options = GrounderOptions {
            nms_iou,
            nms_across_prompts,
            max_detections,
            names_per_box,
            ..self.options
        };
    }

    /// Encodes prompts; those in use stay in use.
    ///
    /// # Errors
    /// Every problem of every prompt.
    pub fn encode(
        &self,
        prompts: Vec<GroundingPrompt>,
    ) -> Result<EncodedPrompts, PromptSetRefused> {
        let whole =
            |reason: String| PromptSetRefused { problems: vec![PromptProblem::of_set(reason)] };
        let sentences = prompts.iter().flat_map(|prompt| &prompt.queries);
        let count: usize = sentences.map(|query| query.sentences.len()).sum();
        if count > MAX_TEXTS {
            return Err(whole(format!(
                "{count} texts for the bank, at most {MAX_TEXTS} are taken"
            )));
        }
        let described = self.sentences.describe(&prompts);
        let texts = described.map_err(|problems| PromptSetRefused { problems })?;
        let queries = prompts
            .iter()
            .enumerate()
            .flat_map(|(place, prompt)| (0..prompt.queries.len()).map(move |query| (place, query)));
        Ok(EncodedPrompts { queries: queries.collect(), prompts, texts })
    }

    /// Puts prompts into use that [`encode`](Self::encode) made, since when no pair was added or
    /// removed.
    pub fn set_prompts(&mut self, encoded: EncodedPrompts) {
        let EncodedPrompts { prompts, queries, texts } = encoded;
        self.asif.use_texts(texts);
        self.prompts = prompts;
        self.queries = queries;
    }

    /// Names regions of an image by the prompts in use.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn ground(
        &mut self,
        image: &RgbImage,
        regions_in_source_px: &[PixelBox],
    ) -> Result<GroundedImage, DetectError> {
        let mut result = GroundedImage {
            best_scores: vec![0.0; self.prompts.len()],
            ..GroundedImage::default()
        };
        let (areas, crops) = self.crops(image, regions_in_source_px);
        result.skipped_regions = regions_in_source_px.len() - areas.len();
        let mut named = Vec::new();
        for (areas, crops) in areas.chunks(REGIONS_PER_PASS).zip(crops.chunks(REGIONS_PER_PASS)) {
            for (area, region) in areas.iter().zip(self.describe(crops)?) {
                let best = self.best_texts(&region);
                for (all, (score, _)) in result.best_scores.iter_mut().zip(&best) {
                    *all = all.max(*score);
                }
                named.extend(self.names(&best).into_iter().map(|(place, score, text)| Named {
                    place,
                    score,
                    text,
                    area: *area,
                    region: region.clone(),
                }));
            }
        }
        // Stable: of equal scores the region that was given first.
        named.sort_by(|a, b| b.score.total_cmp(&a.score));
        if let Some(iou) = self.options.nms_iou {
            let group = |place: usize| if self.options.nms_across_prompts { 0 } else { place };
            let contenders: Vec<_> = named
                .iter()
                .map(|one| Contender { pixel_box: one.area, group: group(one.place) })
                .collect();
            let kept = greedy_nms(&contenders, iou);
            named = kept.into_iter().map(|at| named[at].clone()).collect();
        }
        named.truncate(self.options.max_detections);
        for one in named {
            result.found.push(self.detection(one)?);
        }
        Ok(result)
    }

    /// Adds a pair that somebody shows: a part of an image and what it is. It counts from the next
    /// frame on.
    ///
    /// # Errors
    /// Why the picture or the caption cannot be used; then nothing is added.
    pub fn teach(&mut self, image: &RgbImage, origin: PairOrigin) -> Result<PairId, GrounderError> {
        let (width, height) = image.dimensions();
        let whole = PixelBox::from_corners([0.0, 0.0, width as f32, height as f32]);
        let area = origin.box_in_source_px.unwrap_or(whole);
        let crop = crop_with_margin(image, &area, self.asif.bank().margin())
            .ok_or(GrounderError::Outside { box_in_source_px: area, width, height })?;
        let thumbnail = Some(thumbnail_of(&crop)?);
        let image = self.image_encoder.encode(&[Arc::new(crop)])?.pop().unwrap_or_default();
        let text = self.sentences.encode(&origin.caption)?.to_vec();
        let added = self.asif.add(vec![NewPair { image, text, origin, thumbnail }])?;
        self.sentences.bank_changed(TextPairs::of(self.asif.bank()));
        Ok(added[0])
    }

    /// Removes pairs, from the next frame on; gives how many there were.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forget(&mut self, pairs: &[PairId]) -> Result<usize, BankError> {
        let removed = self.asif.remove(pairs);
        self.sentences.bank_changed(TextPairs::of(self.asif.bank()));
        removed
    }

    /// The regions that can be looked at, clipped to the image, and their pictures.
    fn crops(&self, image: &RgbImage, regions: &[PixelBox]) -> (Vec<PixelBox>, Vec<Arc<RgbImage>>) {
        let (width, height) = image.dimensions();
        let found = regions.iter().take(MAX_REGIONS).filter_map(|area| {
            let crop = crop_with_margin(image, area, self.asif.bank().margin())?;
            Some((area.clipped_to(width, height), Arc::new(crop)))
        });
        found.unzip()
    }

    fn describe(&mut self, crops: &[Arc<RgbImage>]) -> Result<Vec<Relative>, DetectError> {
        let vectors = self.image_encoder.encode(crops)?;
        self.asif
            .describe(&vectors)
            .map_err(|error| DetectError::Backend { stage: STAGE, message: error.to_string() })
    }

    /// For each prompt the score of its best text, and which that is.
    fn best_texts(&self, region: &Relative) -> Vec<(f32, usize)> {
        let mut best = vec![(0.0, usize::MAX); self.prompts.len()];
        let scores = self.asif.scores(region);
        for (text, (score, (place, _))) in scores.into_iter().zip(&self.queries).enumerate() {
            if best[*place].1 == usize::MAX || score > best[*place].0 {
                best[*place] = (score, text);
            }
        }
        best
    }

    /// The prompts that a region is reported for, best first: those above their thresholds, down to
    /// the first distractor.
    fn names(&self, best: &[(f32, usize)]) -> Vec<(usize, f32, usize)> {
        let mut above: Vec<_> = best
            .iter()
            .zip(&self.prompts)
            .enumerate()
            .filter(|(_, ((score, _), prompt))| *score > prompt.threshold)
            .map(|(place, ((score, text), _))| (place, *score, *text))
            .collect();
        above.sort_by(|a, b| b.1.total_cmp(&a.1));
        let kept = above.into_iter().take_while(|(place, ..)| !self.prompts[*place].negative);
        kept.take(self.options.names_per_box).collect()
    }

    fn detection(&mut self, one: Named) -> Result<Detection, DetectError> {
        let explanation = self
            .explain(&one)
            .map_err(|error| DetectError::Backend { stage: STAGE, message: error.to_string() })?;
        Ok(Detection {
            mask: None,
            prompt: self.prompts[one.place].prompt,
            score: one.score,
            objectness: None,
            box_in_source_px: one.area,
            finer: Vec::new(),
            explanation: Some(Arc::new(explanation)),
        })
    }

    fn explain(&mut self, one: &Named) -> Result<Explanation, BankError> {
        let parts = self.asif.explain(&one.region, one.text, self.options.evidence);
        let (prompt, query) = self.queries[one.text];
        let mut evidence = Vec::with_capacity(parts.evidence.len());
        for weights in parts.evidence {
            let Some(origin) = self.asif.bank().origin(weights.pair) else { continue };
            let (caption, source) = (origin.caption.as_str().into(), Arc::clone(&origin.source));
            let thumbnail = self.thumbnail(weights.pair)?;
            evidence.push(PairEvidence { weights, caption, source, thumbnail });
        }
        let text = self.prompts[prompt].queries[query].text.as_str().into();
        Ok(Explanation { text, pairs: parts.pairs, evidence })
    }

    fn thumbnail(&mut self, pair: PairId) -> Result<Option<Arc<[u8]>>, BankError> {
        if let Some(known) = self.thumbnails.get(&pair) {
            return Ok(known.clone());
        }
        let read: Option<Arc<[u8]>> = self.asif.bank().thumbnail(pair)?.map(Arc::from);
        if self.thumbnails.len() >= MAX_THUMBNAILS {
            self.thumbnails.clear();
        }
        self.thumbnails.insert(pair, read.clone());
        Ok(read)
    }
}

/// A region with a name.
#[derive(Clone)]
struct Named {
    place: usize,
    score: f32,
    text: usize,
    area: PixelBox,
    region: Relative,
}

impl std::fmt::Debug for Grounder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grounder")
            .field("image_encoder", self.asif.bank().encoder(Side::Image))
            .field("text_encoder", self.asif.bank().encoder(Side::Text))
            .field("pairs", &self.asif.bank().len())
            .field("prompts", &self.prompts)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
