//! The scene of one image from above, with what was found in it.

use image::{GrayImage, Rgb, RgbImage};

use super::view::View;
use crate::geometry::{HeightGrid, Heights, Scene};
use crate::types::{Detection, FrameDetections, Heightmap, MOST_PROMPT_SCORES};

impl View {
    /// What the depth picture shows of the grid, with scores and colours of what is on top.
    pub(super) fn seen_from_above(
        &self,
        grid: &HeightGrid,
        scene: &Scene<'_>,
        found: &FrameDetections,
        image: &RgbImage,
    ) -> Heightmap {
        let Heights { heights_m, seen_at_px } = grid.heights(scene, &self.target_from_picture);
        let painted = Painted::of(found, self.pick_prompt.as_deref());
        let mut colours = RgbImage::new(grid.columns(), grid.rows());
        let mut labels = GrayImage::new(grid.columns(), grid.rows());
        let mut scores = vec![0.0; heights_m.len()];
        let cells = colours.pixels_mut().zip(labels.pixels_mut()).zip(&mut scores);
        for (((colour, label), score), at) in cells.zip(&seen_at_px) {
            let Some([x, y]) = *at else { continue };
            *colour = image.get_pixel_checked(x, y).copied().unwrap_or(Rgb([0; 3]));
            if let Some((best, prompt)) = painted.at(x, y) {
                *score = best;
                label.0 = [prompt];
            }
        }
        let prompts = found.prompts.prompts.len();
        let prompt_scores = prompts
            .checked_mul(heights_m.len())
            .filter(|count| *count <= MOST_PROMPT_SCORES)
            .map(|_| scores_of_prompts(&seen_at_px, found));
        Heightmap {
            header: self.header.clone(),
            width: grid.columns(),
            height: grid.rows(),
            heights_m,
            scores,
            prompt_scores,
            prompts: prompts as u32,
            labels,
            colours,
        }
    }
}

/// For each cell the best score of each prompt's detections that hold what is on top of it.
fn scores_of_prompts(seen_at_px: &[Option<[u32; 2]>], found: &FrameDetections) -> Vec<f32> {
    let prompts = found.prompts.prompts.len();
    let mut scores = vec![0.0_f32; seen_at_px.len() * prompts];
    // By rows of the source image, so that a detection looks at those that it covers alone.
    let mut seen: Vec<([u32; 2], usize)> = seen_at_px
        .iter()
        .enumerate()
        .filter_map(|(cell, at)| at.map(|[x, y]| ([y, x], cell)))
        .collect();
    seen.sort_unstable();
    for detection in found.detections.iter().filter(|found| found.prompt < prompts) {
        let mask = detection.mask.as_ref().map(|found| &found.mask);
        let area = match mask {
            Some(mask) => mask.box_px(),
            None => Some(detection.box_in_source_px.clipped_to(found.width, found.height)),
        };
        let Some(area) = area else { continue };
        let [x0, y0, x1, y1] = area.corners().map(|edge| edge.round() as u32);
        let first = seen.partition_point(|([y, _], _)| *y < y0);
        for ([y, x], cell) in seen[first..].iter().take_while(|([y, _], _)| *y < y1) {
            if (x0..x1).contains(x) && mask.is_none_or(|mask| mask.holds(*x, *y)) {
                let best = &mut scores[cell * prompts + detection.prompt];
                *best = best.max(detection.score);
            }
        }
    }
    scores
}

/// The best detection of each pixel of the source image.
struct Painted {
    width: u32,
    /// Score, and place of the prompt in its set from 1; 0 for none. Row by row.
    pixels: Vec<(f32, u8)>,
}

impl Painted {
    /// What was found for a prompt, or for all. A detection without a mask fills its box.
    fn of(found: &FrameDetections, prompt: Option<&str>) -> Self {
        let (width, height) = (found.width, found.height);
        let mut painted = Self { width, pixels: vec![(0.0, 0); width as usize * height as usize] };
        for detection in &found.detections {
            let name = found.prompts.prompts.get(detection.prompt).map(|known| &*known.name);
            // Class masks have as many numbers.
            let Ok(number) = u8::try_from(detection.prompt + 1) else { continue };
            if prompt.is_none() || prompt == name {
                painted.add(detection, number, height);
            }
        }
        painted
    }

    fn add(&mut self, detection: &Detection, number: u8, height: u32) {
        let width = self.width;
        let mut paint = |x: u32, y: u32| {
            let pixel = &mut self.pixels[y as usize * width as usize + x as usize];
            if pixel.1 == 0 || pixel.0 < detection.score {
                *pixel = (detection.score, number);
            }
        };
        match &detection.mask {
            Some(found) => {
                found
                    .mask
                    .points()
                    .filter(|(x, y)| *x < width && *y < height)
                    .for_each(|(x, y)| paint(x, y));
            }
            None => {
                let area = detection.box_in_source_px.clipped_to(width, height);
                let [x0, y0, x1, y1] = area.corners().map(|edge| edge.round() as u32);
                (y0..y1).for_each(|y| (x0..x1).for_each(|x| paint(x, y)));
            }
        }
    }

    fn at(&self, x: u32, y: u32) -> Option<(f32, u8)> {
        let at = (x < self.width).then_some(y as usize * self.width as usize + x as usize)?;
        self.pixels.get(at).copied().filter(|(_, number)| *number > 0)
    }
}
