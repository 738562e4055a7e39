//! Regions by a segmenter that is asked at the points of a grid.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use image::RgbImage;

use crate::tasks::{
    DetectError, ImageInstances, MaskPrompt, ModelInfo, PointPrompt, PromptableSegmenter, Proposal,
};
use crate::vision::nms::{Contender, greedy_nms};

/// Points for each region that is wanted: most things are hit by several, and the ground by many.
const POINTS_PER_REGION: usize = 4;

/// Overlap (IoU) above which the lower of two regions is dropped, as SAM's own generator of masks
/// has it.
const NMS_IOU: f32 = 0.7;

/// The share of an image above which the box of a mask is the ground and no thing on it.
const MOST_OF_THE_IMAGE: f32 = 0.9;

/// What a segmenter sees at the points of a grid, whatever it is: as SAM's generator of masks, in
/// one pass over the image and with its best mask for each point.
pub struct PointGrid(Box<dyn PromptableSegmenter>);

impl PointGrid {
    /// By this segmenter.
    #[must_use]
    pub fn new(segmenter: Box<dyn PromptableSegmenter>) -> Self {
        Self(segmenter)
    }

    /// What draws them.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    /// At most `most` regions of each image: the boxes of its masks, by falling predicted IoU.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn propose(
        &mut self,
        images: &[Arc<RgbImage>],
        most: usize,
    ) -> Result<Vec<Vec<Proposal>>, DetectError> {
        let prompts: Vec<Vec<MaskPrompt>> =
            images.iter().map(|image| grid(image.dimensions(), most)).collect();
        let drawn = self.0.segment(images, &prompts)?;
        let of_image = |(image, drawn): (&Arc<RgbImage>, ImageInstances)| {
            let whole = image.width() as f32 * image.height() as f32;
            let mut found: Vec<Proposal> = drawn
                .masks
                .iter()
                .filter_map(|one| {
                    let box_in_source_px = one.mask.box_px()?;
                    let score = one.predicted_iou.unwrap_or(0.0).clamp(0.0, 1.0);
                    let is_thing = box_in_source_px.area() <= MOST_OF_THE_IMAGE * whole;
                    is_thing.then_some(Proposal { box_in_source_px, score })
                })
                .collect();
            // Stable: of equal scores the point that comes first.
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            let contenders: Vec<_> = found
                .iter()
                .map(|one| Contender { pixel_box: one.box_in_source_px, group: 0 })
                .collect();
            let kept = greedy_nms(&contenders, NMS_IOU);
            kept.into_iter().take(most).map(|at| found[at]).collect()
        };
        Ok(images.iter().zip(drawn).map(of_image).collect())
    }
}

/// Points in the middles of cells that are as square as they can be.
fn grid((width, height): (u32, u32), regions: usize) -> Vec<MaskPrompt> {
    let (width, height) = (width.max(1) as f32, height.max(1) as f32);
    let points = (regions * POINTS_PER_REGION) as f32;
    let columns = (points * width / height).sqrt().ceil().clamp(1.0, width);
    let rows = (points * height / width).sqrt().ceil().clamp(1.0, height);
    let middle = |cell: u32, cells: f32, side: f32| (cell as f32 + 0.5) * side / cells;
    (0..rows as u32)
        .flat_map(|row| (0..columns as u32).map(move |column| (row, column)))
        .map(|(row, column)| {
            let (x_px, y_px) = (middle(column, columns, width), middle(row, rows, height));
            let points = vec![PointPrompt { x_px, y_px, inside: true }];
            MaskPrompt { box_in_source_px: None, points }
        })
        .collect()
}

/// One segmenter for two of its users, on the one thread that both live on.
pub struct SharedSegmenter {
    info: ModelInfo,
    segmenter: Arc<Mutex<Box<dyn PromptableSegmenter>>>,
}

impl SharedSegmenter {
    /// The same segmenter twice.
    #[must_use]
    pub fn pair(segmenter: Box<dyn PromptableSegmenter>) -> [Box<dyn PromptableSegmenter>; 2] {
        let info = segmenter.info().clone();
        let segmenter = Arc::new(Mutex::new(segmenter));
        [(); 2].map(|()| {
            let (info, segmenter) = (info.clone(), Arc::clone(&segmenter));
            Box::new(Self { info, segmenter }) as Box<dyn PromptableSegmenter>
        })
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn PromptableSegmenter>> {
        // What a panic has left behind is a segmenter still: what it holds of an image is whole.
        self.segmenter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PromptableSegmenter for SharedSegmenter {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn segment(
        &mut self,
        images: &[Arc<RgbImage>],
        prompts: &[Vec<MaskPrompt>],
    ) -> Result<Vec<ImageInstances>, DetectError> {
        self.lock().segment(images, prompts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{InstanceMask, Mask, PixelBox};

    /// Draws a square around each point, the better the further to the right it is; nothing at the
    /// left edge, and everything in the first row.
    struct Squares(ModelInfo, Vec<usize>);

    impl PromptableSegmenter for Squares {
        fn info(&self) -> &ModelInfo {
            &self.0
        }

        fn segment(
            &mut self,
            images: &[Arc<RgbImage>],
            prompts: &[Vec<MaskPrompt>],
        ) -> Result<Vec<ImageInstances>, DetectError> {
            self.1.extend(prompts.iter().map(Vec::len));
            let draw = |image: &Arc<RgbImage>, prompt: &MaskPrompt| {
                let (width, height) = image.dimensions();
                let PointPrompt { x_px, y_px, inside } = prompt.points[0];
                assert!(inside && prompt.box_in_source_px.is_none());
                let near = |(x, y): (u32, u32)| {
                    let (dx, dy) = (x as f32 + 0.5 - x_px, y as f32 + 0.5 - y_px);
                    y_px < 5.0 || (x_px > 8.0 && dx.abs().max(dy.abs()) <= 3.0)
                };
                let pixels = (0..width * height).map(|at| near((at % width, at / width)));
                let mask = Mask::new(width, height, pixels.collect());
                InstanceMask { mask, predicted_iou: Some(x_px / width as f32) }
            };
            let of_image = |(image, prompts): (&Arc<RgbImage>, &Vec<MaskPrompt>)| ImageInstances {
                masks: prompts.iter().map(|prompt| draw(image, prompt)).collect(),
                ..ImageInstances::default()
            };
            Ok(images.iter().zip(prompts).map(of_image).collect())
        }
    }

    fn squares() -> Squares {
        let info = ModelInfo {
            name: "squares".to_owned(),
            architecture: "test".to_owned(),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            input_size: (1, 1),
            parameters: 0,
            useful_batch: 1,
        };
        Squares(info, Vec::new())
    }

    #[test]
    fn regions_are_the_boxes_of_what_is_seen_at_the_points() {
        let mut grid = PointGrid::new(Box::new(squares()));
        let image = Arc::new(RgbImage::new(80, 40));
        let regions = grid.propose(&[Arc::clone(&image), image], 8).unwrap();
        assert_eq!(regions.len(), 2);
        let regions = &regions[0];
        assert_eq!(regions.len(), 8, "no more than are wanted");
        assert!(regions.is_sorted_by(|a, b| a.score >= b.score));
        for region in regions {
            assert!((region.box_in_source_px.area() - 36.0).abs() < 1e-3, "{region:?}");
            assert!(region.box_in_source_px.y0 > 1.0, "the first row sees the ground");
        }
    }

    #[test]
    fn points_lie_in_the_middles_of_square_cells() {
        for (size, regions) in [((640, 480), 30), ((33, 500), 7), ((1, 1), 30), ((7, 3), 1)] {
            let points = grid(size, regions);
            let (width, height) = (size.0 as f32, size.1 as f32);
            assert!(points.len() as f32 >= (4 * regions).min(size.0 as usize) as f32);
            let place = |prompt: &MaskPrompt| (prompt.points[0].x_px, prompt.points[0].y_px);
            assert!(
                points
                    .iter()
                    .map(place)
                    .all(|(x, y)| { x > 0.0 && x < width && y > 0.0 && y < height })
            );
            let mean = |of: fn((f32, f32)) -> f32| {
                points.iter().map(|prompt| of(place(prompt))).sum::<f32>() / points.len() as f32
            };
            assert!((mean(|(x, _)| x) - width / 2.0).abs() < 1e-2 * width);
            assert!((mean(|(_, y)| y) - height / 2.0).abs() < 1e-2 * height);
        }
    }

    #[test]
    fn two_share_one_segmenter() {
        let [mut one, mut other] = SharedSegmenter::pair(Box::new(squares()));
        assert_eq!((one.info().name.as_str(), other.info().name.as_str()), ("squares", "squares"));
        let image = [Arc::new(RgbImage::new(20, 20))];
        let points = vec![PointPrompt { x_px: 10.0, y_px: 10.0, inside: true }];
        let prompt = [vec![MaskPrompt { box_in_source_px: None, points }]];
        let boxes = [&mut one, &mut other]
            .map(|segmenter| segmenter.segment(&image, &prompt).unwrap()[0].masks[0].mask.box_px());
        assert_eq!(boxes[0], Some(PixelBox::from_corners([7.0, 7.0, 13.0, 13.0])));
        assert_eq!(boxes[0], boxes[1]);
    }
}
