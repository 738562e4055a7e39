//! Prompts on their way to the network.

use std::sync::Arc;

use image::RgbImage;

use crate::models::sam::{CanvasPoint, CanvasPrompt};
use crate::tasks::{DetectError, MaskPrompt};
use crate::types::Stage;
use crate::vision::canvas::fitted_size;

/// The most points that one prompt may have.
pub const MAX_POINTS: usize = 64;

/// Refuses what is no batch.
pub(super) fn check(
    images: &[Arc<RgbImage>],
    prompts: &[Vec<MaskPrompt>],
) -> Result<(), DetectError> {
    let refused =
        |message: String| Err(DetectError::Backend { stage: Stage::Preprocess.name(), message });
    if images.len() != prompts.len() {
        return refused(format!(
            "expected prompts for each of {} images, found them for {}",
            images.len(),
            prompts.len()
        ));
    }
    for (index, image) in images.iter().enumerate() {
        let (width, height) = image.dimensions();
        if width == 0 || height == 0 {
            return Err(DetectError::EmptyImage { index, width, height });
        }
    }
    for (image, prompts) in prompts.iter().enumerate() {
        for (index, prompt) in prompts.iter().enumerate() {
            if prompt.points.len() > MAX_POINTS {
                return refused(format!(
                    "prompt {index} of image {image}: expected at most {MAX_POINTS} points, \
                     found {}",
                    prompt.points.len()
                ));
            }
        }
    }
    Ok(())
}

/// Where a prompt lies on the canvas, as the reference's processor puts it there
/// (`_normalize_coordinates`); `None` where it asks for nothing.
pub(super) fn on_canvas(
    prompt: &MaskPrompt,
    (width, height): (u32, u32),
    longest_edge: u32,
) -> Option<CanvasPrompt> {
    let (fitted_width, fitted_height) = fitted_size(width, height, longest_edge)?;
    let scale_x = f64::from(fitted_width) / f64::from(width);
    let scale_y = f64::from(fitted_height) / f64::from(height);
    let box_in_canvas_px = match prompt.box_in_source_px {
        None => None,
        Some(area) => {
            let inside = area.clipped_to(width, height);
            // False for NaN, too.
            let has_area = inside.area() > 0.0;
            if !has_area {
                return None;
            }
            let [x0, y0, x1, y1] = inside.corners().map(f64::from);
            Some([x0 * scale_x, y0 * scale_y, x1 * scale_x, y1 * scale_y])
        }
    };
    let within = |px: f32, side: u32| (0.0..=side as f32).contains(&px);
    let points: Vec<_> = prompt
        .points
        .iter()
        .filter(|point| within(point.x_px, width) && within(point.y_px, height))
        .map(|point| CanvasPoint {
            x_px: f64::from(point.x_px) * scale_x,
            y_px: f64::from(point.y_px) * scale_y,
            inside: point.inside,
        })
        .collect();
    let placed = CanvasPrompt { box_in_canvas_px, points };
    (placed.tokens() > 0).then_some(placed)
}

/// Prompts by the kinds of their tokens, each with its place among all.
pub(super) fn groups(asked: &[Option<CanvasPrompt>]) -> Vec<Vec<(usize, &CanvasPrompt)>> {
    let mut groups: Vec<Vec<(usize, &CanvasPrompt)>> = Vec::new();
    for (index, prompt) in asked.iter().enumerate() {
        let Some(prompt) = prompt else { continue };
        match groups.iter_mut().find(|group| group[0].1.is_like(prompt)) {
            Some(group) => group.push((index, prompt)),
            None => groups.push(vec![(index, prompt)]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::PointPrompt;
    use crate::types::PixelBox;

    fn boxed(corners: [f32; 4]) -> MaskPrompt {
        MaskPrompt { box_in_source_px: Some(PixelBox::from_corners(corners)), points: Vec::new() }
    }

    fn point(x_px: f32, y_px: f32) -> MaskPrompt {
        let points = vec![PointPrompt { x_px, y_px, inside: true }];
        MaskPrompt { box_in_source_px: None, points }
    }

    #[test]
    fn prompts_are_scaled_by_the_rounded_size_and_clipped() {
        // 213 x 140 becomes 96 x 63: 63.1 rounded.
        let size = (213, 140);
        let placed = on_canvas(&boxed([-10.0, 0.0, 213.0, 150.0]), size, 96).unwrap();
        assert_eq!(placed.box_in_canvas_px, Some([0.0, 0.0, 96.0, 63.0]));
        let placed = on_canvas(&point(213.0, 70.0), size, 96).unwrap();
        assert_eq!((placed.points[0].x_px, placed.points[0].y_px), (96.0, 31.5));
        assert_eq!(placed.tokens(), 2);
    }

    #[test]
    fn what_asks_for_nothing_is_told_from_what_does() {
        let nan = f32::NAN;
        for nothing in [
            MaskPrompt::default(),
            boxed([5.0, 5.0, 5.0, 9.0]),
            boxed([9.0, 5.0, 5.0, 9.0]),
            boxed([300.0, 0.0, 400.0, 50.0]),
            boxed([nan, 0.0, 4.0, 4.0]),
            boxed([0.0, 0.0, 4.0, nan]),
            point(-1.0, 5.0),
            point(nan, 5.0),
            point(5.0, f32::INFINITY),
        ] {
            assert_eq!(on_canvas(&nothing, (213, 140), 96), None, "{nothing:?}");
        }
        let huge = boxed([f32::MIN, f32::NEG_INFINITY, f32::MAX, f32::INFINITY]);
        let placed = on_canvas(&huge, (213, 140), 96).unwrap();
        assert_eq!(placed.box_in_canvas_px, Some([0.0, 0.0, 96.0, 63.0]));
        // A box is not given up for a point beside the image.
        let both = MaskPrompt { points: point(-1.0, 5.0).points, ..huge };
        assert_eq!(on_canvas(&both, (213, 140), 96), Some(placed));
    }

    #[test]
    fn prompts_go_together_with_their_like() {
        let box_and_point =
            MaskPrompt { points: point(1.0, 1.0).points, ..boxed([0.0, 0.0, 9.0, 9.0]) };
        let prompts = [
            boxed([0.0, 0.0, 9.0, 9.0]),
            point(3.0, 3.0),
            box_and_point,
            boxed([1.0, 1.0, 2.0, 2.0]),
        ];
        let mut placed: Vec<_> =
            prompts.iter().map(|prompt| on_canvas(prompt, (50, 50), 64)).collect();
        placed.insert(1, None);
        let groups: Vec<Vec<usize>> =
            groups(&placed).iter().map(|group| group.iter().map(|(at, _)| *at).collect()).collect();
        assert_eq!(groups, [vec![0, 4], vec![2], vec![3]]);
    }
}
