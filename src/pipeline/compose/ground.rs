//! A detector some of whose prompts are looked up in a bank of pairs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;

use super::ahead::Ahead;
use super::grid::PointGrid;
use crate::ground::{Grounder, GroundingPrompt, PairId, PairOrigin};
use crate::tasks::{
    BankChange, BankChanged, BankRefused, DetectError, DetectionRules, Detector, ImageDetections,
    ModelInfo, PairsToRemove, PromptsAhead, Proposal,
};
use crate::types::{PixelBox, PromptSet, PromptSetRefused, Stage};
use crate::vision::nms::{Contender, greedy_nms};

/// A detector that proposes regions, and a grounder that looks those up in its bank for the prompts
/// that ask for it ([`Prompt::asif`](crate::types::Prompt::asif)). The detector itself never hears
/// of them; one pass of its network gives both its own detections and the regions.
pub struct GroundingDetector {
    info: ModelInfo,
    detector: Box<dyn Detector>,
    grounder: Grounder,
    rules: DetectionRules,
    /// Where the bank is kept.
    folder: PathBuf,
    /// Regions of an image that are looked up at most.
    regions: usize,
    /// What proposes them instead of the detector.
    grid: Option<PointGrid>,
    /// For each prompt of the detector its index in the set.
    place_of_own: Vec<usize>,
    /// Prompts in the set.
    prompts: usize,
}

/// The detector proposes no regions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "bank: expected a detector that proposes regions (OWL-ViT, OWLv2), found {model} ({architecture})"
)]
pub struct ProposesNothing {
    /// Its name.
    pub model: String,
    /// Its architecture.
    pub architecture: String,
}

impl GroundingDetector {
    /// Both together, called by both names: that of the bank is that of its `folder`, in which
    /// pairs are saved that are taught. `rules` are those that the
    /// detector has now, and hold for both until others are set. Of an image at most `regions`
    /// regions are looked up: those that the detector proposes, or those of a grid.
    ///
    /// # Errors
    /// A detector that proposes no regions.
    pub fn new(
        mut detector: Box<dyn Detector>,
        mut grounder: Grounder,
        folder: PathBuf,
        rules: DetectionRules,
        regions: usize,
        grid: Option<PointGrid>,
    ) -> Result<Self, ProposesNothing> {
        let can_propose = detector.set_proposals(regions);
        detector.set_proposals(0);
        let (boxes, regions_by) = (detector.info(), grounder.image_encoder().info());
        if !can_propose {
            let (model, architecture) = (boxes.name.clone(), boxes.architecture.clone());
            return Err(ProposesNothing { model, architecture });
        }
        let bank = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
        let info = ModelInfo {
            name: format!("{} + {bank}", boxes.name),
            architecture: format!("{} + {}", boxes.architecture, regions_by.architecture),
            parameters: boxes.parameters + regions_by.parameters,
            ..boxes.clone()
        };
        grounder.set_rules(rules);
        let place_of_own = Vec::new();
        Ok(Self {
            info,
            detector,
            grounder,
            rules,
            folder,
            regions,
            grid,
            place_of_own,
            prompts: 0,
        })
    }

    fn is_grounding(&self) -> bool {
        !self.grounder.prompts().is_empty()
    }

    /// What the detector finds by itself, and the regions of each image where any are looked up. One
    /// that has nothing to look for and proposes nothing is not asked.
    fn find(
        &mut self,
        images: &[Arc<RgbImage>],
    ) -> Result<(Vec<ImageDetections>, Vec<Vec<Proposal>>), DetectError> {
        let mut found = match (&self.grid, self.place_of_own.is_empty() && self.is_grounding()) {
            (Some(_), true) => images.iter().map(|_| ImageDetections::default()).collect(),
            _ => self.detector.detect(images)?,
        };
        let mut proposals: Vec<_> = found.iter_mut().map(|found| self.own(found)).collect();
        if let Some(grid) = &mut self.grid
            && !self.grounder.prompts().is_empty()
        {
            let started = Instant::now();
            proposals = grid.propose(images, self.regions)?;
            let elapsed = started.elapsed();
            found.iter_mut().for_each(|found| found.timings.add(Stage::Ground, elapsed));
        }
        Ok((found, proposals))
    }

    /// What the detector has found, as of the whole set, and the regions that it proposes.
    fn own(&self, found: &mut ImageDetections) -> Vec<Proposal> {
        let of_detections = found.detections.iter_mut().map(|found| &mut found.prompt);
        for prompt in of_detections.chain(found.weak.iter_mut().map(|weak| &mut weak.prompt)) {
            if let Some(place) = self.place_of_own.get(*prompt) {
                *prompt = *place;
            }
        }
        let mut best_scores = vec![0.0; self.prompts];
        for (score, place) in found.best_scores.iter().zip(&self.place_of_own) {
            best_scores[*place] = *score;
        }
        found.best_scores = best_scores;
        std::mem::take(&mut found.proposals)
    }

    fn ground(
        &mut self,
        image: &RgbImage,
        proposals: &[Proposal],
        found: &mut ImageDetections,
    ) -> Result<(), DetectError> {
        let regions: Vec<PixelBox> =
            proposals.iter().map(|region| region.box_in_source_px).collect();
        let grounded = self.grounder.ground(image, &regions)?;
        for (prompt, score) in self.grounder.prompts().iter().zip(grounded.best_scores) {
            found.best_scores[prompt.prompt] = score;
        }
        found.detections.extend(grounded.found);
        // Stable: of equal scores the detector's own come first.
        found.detections.sort_by(|a, b| b.score.total_cmp(&a.score));
        // Boxes of one prompt have competed already.
        if let (Some(iou), true) = (self.rules.nms_iou, self.rules.nms_across_prompts) {
            let contenders: Vec<_> = found
                .detections
                .iter()
                .map(|found| Contender { pixel_box: found.box_in_source_px, group: 0 })
                .collect();
            let kept = greedy_nms(&contenders, iou);
            found.detections = kept.into_iter().map(|at| found.detections[at].clone()).collect();
        }
        found.detections.truncate(self.rules.max_detections);
        Ok(())
    }
}

/// A set without the prompts that are for a bank, and for each of the others its index in `set`.
fn without_asif(set: &Arc<PromptSet>) -> (Arc<PromptSet>, Vec<usize>) {
    let others = set.prompts.iter().enumerate().filter(|(_, prompt)| !prompt.asif);
    let places: Vec<usize> = others.map(|(place, _)| place).collect();
    if places.len() == set.prompts.len() {
        return (Arc::clone(set), places);
    }
    let prompts = places.iter().map(|place| set.prompts[*place].clone()).collect();
    let PromptSet { version, default_threshold, .. } = **set;
    (Arc::new(PromptSet { version, prompts, default_threshold }), places)
}

impl Detector for GroundingDetector {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Where prompts for the bank are refused, of the other problems those are told that need no
    /// detector.
    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        let mut problems = prompts.check().err().map_or(Vec::new(), |refused| refused.problems);
        if prompts.too_many_filled_texts().is_some() {
            return Err(PromptSetRefused { problems });
        }
        // Whoever tells labels apart has taken them out.
        problems.extend(prompts.problems_without_classifier());
        let encoded = match self.grounder.encode(GroundingPrompt::of_set(&prompts)) {
            Ok(encoded) if problems.is_empty() => encoded,
            Ok(_) => return Err(PromptSetRefused { problems }),
            Err(refused) => {
                // A prompt without texts is wrong in itself, and also for the bank.
                let new: Vec<_> = refused
                    .problems
                    .into_iter()
                    .filter(|new| !problems.iter().any(|known| known.prompt == new.prompt))
                    .collect();
                problems.extend(new);
                return Err(PromptSetRefused { problems });
            }
        };
        let (own, places) = without_asif(&prompts);
        let from_detector = self.grid.is_none();
        let regions = |grounding: bool| if grounding && from_detector { self.regions } else { 0 };
        let (before, after) =
            (regions(self.is_grounding()), regions(places.len() < prompts.prompts.len()));
        // First, since a set without prompts is taken only by one that proposes regions.
        self.detector.set_proposals(after);
        let is_asked = from_detector || !own.prompts.is_empty();
        if is_asked && let Err(refused) = self.detector.set_prompts(own) {
            self.detector.set_proposals(before);
            return Err(refused);
        }
        self.grounder.set_prompts(encoded);
        self.place_of_own = places;
        self.prompts = prompts.prompts.len();
        Ok(())
    }

    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>> {
        let mut ahead = Ahead::default();
        ahead.add(Some(self.grounder.prompts_ahead()), Arc::clone);
        ahead.add(self.detector.prompts_ahead(), |set| without_asif(set).0);
        ahead.into_one()
    }

    fn set_rules(&mut self, rules: DetectionRules) {
        self.rules = rules;
        self.grounder.set_rules(rules);
        self.detector.set_rules(rules);
    }

    fn change_bank(&mut self, change: BankChange) -> Result<BankChanged, BankRefused> {
        let (mut added, mut removed) = (None, 0);
        match change {
            BankChange::Add { image, box_in_source_px, caption, source } => {
                let origin =
                    PairOrigin { caption, source, topic: None, stamp: None, box_in_source_px };
                let pair = self.grounder.teach(&image, origin);
                added = Some(pair.map_err(|error| BankRefused(error.to_string()))?);
            }
            BankChange::Remove(which) => {
                let bank = self.grounder.asif().bank();
                let pairs: Vec<PairId> = match &which {
                    PairsToRemove::Pair(pair) => vec![*pair],
                    PairsToRemove::Caption(caption) => {
                        let found = bank.pairs().filter(|(_, origin)| origin.caption == *caption);
                        found.map(|(pair, _)| pair).collect()
                    }
                };
                removed =
                    self.grounder.forget(&pairs).map_err(|error| BankRefused(error.to_string()))?;
                if removed == 0 {
                    let what = match which {
                        PairsToRemove::Pair(pair) => format!("pair {pair}"),
                        PairsToRemove::Caption(caption) => {
                            format!("pair with the caption {caption:?}")
                        }
                    };
                    return Err(BankRefused(format!("the bank has no {what}")));
                }
            }
        }
        let bank = self.grounder.asif().bank();
        let (pairs, snapshot, folder) = (bank.len(), bank.snapshot(), self.folder.clone());
        let save = move || snapshot.save(&folder).map_err(|error| error.to_string());
        Ok(BankChanged { added, removed, pairs, save: Box::new(save) })
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        let (mut found, proposals) = self.find(images)?;
        if self.is_grounding() {
            for ((image, found), proposals) in images.iter().zip(&mut found).zip(&proposals) {
                let started = Instant::now();
                self.ground(image, proposals, found)?;
                found.timings.add(Stage::Ground, started.elapsed());
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
