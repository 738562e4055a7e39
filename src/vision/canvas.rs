//! Geometry between a source image and the canvas that a network sees.
//!
//! Networks of the OWL family give boxes as fractions of their canvas. What a fraction is worth in
//! pixels of the source depends on how the source was placed on the canvas, and on nothing else:
//! not on the canvas's own size, not on the resampling.

use crate::types::PixelBox;

/// How a source image is placed on a canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each axis is scaled on its own until it fills the canvas; the aspect ratio is lost (OWL-ViT).
    Stretch,
    /// The image keeps its aspect ratio in the top left of a square; black fills the rest on the
    /// right or at the bottom (OWLv2).
    PadToSquare,
}

/// Where a source image of one size lies on a canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanvasGeometry {
    placement: Placement,
    source_width: u32,
    source_height: u32,
}

impl CanvasGeometry {
    /// For a source of `source_width` x `source_height` pixels, each at least 1.
    #[must_use]
    pub fn new(placement: Placement, source_width: u32, source_height: u32) -> Self {
        Self { placement, source_width, source_height }
    }

    /// Source pixels that one whole side of the canvas covers, `(along x, along y)`.
    #[must_use]
    pub fn source_px_per_norm(&self) -> (f32, f32) {
        let (width, height) = (self.source_width as f32, self.source_height as f32);
        match self.placement {
            Placement::Stretch => (width, height),
            Placement::PadToSquare => (width.max(height), width.max(height)),
        }
    }

    /// The part of a box that lies in the source image.
    ///
    /// `box_in_norm` is `[centre x, centre y, width, height]` in fractions of the canvas. The
    /// corners are taken first and scaled then, in the order of the reference
    /// (`post_process_object_detection` in transformers 5.23.0), so that both round alike; the
    /// reference does not clip. A box that lies outside (in the padding, say) comes back without
    /// area; one that is not finite comes back not finite.
    #[must_use]
    pub fn source_px_from_norm(&self, box_in_norm: [f32; 4]) -> PixelBox {
        let [cx, cy, width, height] = box_in_norm;
        let (scale_x, scale_y) = self.source_px_per_norm();
        PixelBox::from_corners([
            (cx - 0.5 * width) * scale_x,
            (cy - 0.5 * height) * scale_y,
            (cx + 0.5 * width) * scale_x,
            (cy + 0.5 * height) * scale_y,
        ])
        .clipped_to(self.source_width, self.source_height)
    }

    /// A box in the source image as `[centre x, centre y, width, height]` in fractions of the
    /// canvas.
    #[must_use]
    pub fn norm_from_source_px(&self, box_in_source_px: PixelBox) -> [f32; 4] {
        let (scale_x, scale_y) = self.source_px_per_norm();
        let (cx, cy) = box_in_source_px.centre();
        [
            cx / scale_x,
            cy / scale_y,
            box_in_source_px.width() / scale_x,
            box_in_source_px.height() / scale_y,
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn geometry() -> impl Strategy<Value = CanvasGeometry> {
        let side = prop_oneof![Just(1u32), Just(2), 3u32..64, 64u32..5000];
        (side.clone(), side, any::<bool>()).prop_map(|(width, height, stretch)| {
            let placement = if stretch { Placement::Stretch } else { Placement::PadToSquare };
            CanvasGeometry::new(placement, width, height)
        })
    }

    proptest! {
        #[test]
        fn a_box_of_the_source_survives_the_way_to_the_canvas_and_back(
            geometry in geometry(),
            [a, b, c, d] in prop::array::uniform4(0.0f32..=1.0),
        ) {
            let (width, height) = (geometry.source_width as f32, geometry.source_height as f32);
            let corners =
                [a.min(b) * width, c.min(d) * height, a.max(b) * width, c.max(d) * height];
            let norm = geometry.norm_from_source_px(PixelBox::from_corners(corners));
            prop_assert!(norm.iter().all(|v| (0.0..=1.0).contains(v)), "{norm:?}");
            let back = geometry.source_px_from_norm(norm).corners();
            // Five roundings of f32, each at most half a unit in the last place of the longer side.
            let tolerance_px = 5.0 * f32::EPSILON * width.max(height);
            for (before, after) in corners.iter().zip(back) {
                prop_assert!((before - after).abs() <= tolerance_px, "{corners:?} {back:?}");
            }
        }

        #[test]
        fn no_box_of_the_network_leaves_the_source(
            geometry in geometry(),
            norm in prop::array::uniform4(-0.5f32..1.5),
        ) {
            let norm = [norm[0], norm[1], norm[2].abs(), norm[3].abs()];
            let [x0, y0, x1, y1] = geometry.source_px_from_norm(norm).corners();
            let (width, height) = (geometry.source_width as f32, geometry.source_height as f32);
            prop_assert!(0.0 <= x0 && x0 <= x1 && x1 <= width);
            prop_assert!(0.0 <= y0 && y0 <= y1 && y1 <= height);
        }
    }

    #[test]
    fn the_whole_canvas_is_the_whole_source() {
        for placement in [Placement::Stretch, Placement::PadToSquare] {
            for (width, height) in [(640, 480), (480, 640), (1, 1), (1, 7), (333, 1)] {
                let geometry = CanvasGeometry::new(placement, width, height);
                let whole = geometry.source_px_from_norm([0.5, 0.5, 1.0, 1.0]);
                assert_eq!(whole.corners(), [0.0, 0.0, width as f32, height as f32]);
            }
        }
    }

    #[test]
    fn padding_scales_both_axes_by_the_longer_side_and_stretching_does_not() {
        let norm = [0.5, 0.375, 0.5, 0.25];
        let padded = CanvasGeometry::new(Placement::PadToSquare, 640, 480);
        assert_eq!(padded.source_px_from_norm(norm).corners(), [160.0, 160.0, 480.0, 320.0]);
        let stretched = CanvasGeometry::new(Placement::Stretch, 640, 480);
        assert_eq!(stretched.source_px_from_norm(norm).corners(), [160.0, 120.0, 480.0, 240.0]);
    }

    #[test]
    fn a_box_in_the_padding_has_no_area_in_the_source() {
        let geometry = CanvasGeometry::new(Placement::PadToSquare, 640, 480);
        let in_padding = geometry.source_px_from_norm([0.5, 0.9, 0.2, 0.1]);
        assert_eq!(in_padding.area(), 0.0);
        assert!(!geometry.source_px_from_norm([f32::NAN; 4]).x0.is_finite());
    }
}
