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
    /// The image keeps its aspect ratio: its longer side becomes `longest_edge`, both sides
    /// rounded to whole pixels, in the top left of a square of `canvas_side`; zeros fill the rest
    /// (SAM).
    LongestEdge {
        /// Longer side of the resized image, in pixels.
        longest_edge: u32,
        /// Side of the canvas in pixels, at least `longest_edge`.
        canvas_side: u32,
    },
    /// The image keeps its aspect ratio and the canvas is cut out of its middle (DINOv2, CLIP,
    /// timm): what lies outside is never seen.
    CentreCrop(CentreCrop),
}

/// Width and height of an image of this size once its longer side is `longest_edge`: rounded as
/// the reference does (`_get_preprocess_shape` of transformers 5.23.0), in f64. A side has at
/// least one pixel, where the reference gives up. `None` for an image without pixels.
#[must_use]
pub fn fitted_size(width: u32, height: u32, longest_edge: u32) -> Option<(u32, u32)> {
    if width == 0 || height == 0 {
        return None;
    }
    let scale = f64::from(longest_edge) / f64::from(width.max(height));
    let side = |side: u32| ((f64::from(side) * scale + 0.5) as u32).clamp(1, longest_edge.max(1));
    Some((side(width), side(height)))
}

/// A canvas that is cut out of the middle of a scaled image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CentreCrop {
    /// Length in pixels that the shorter side of the image is scaled to; at least 1.
    pub shortest_edge: u32,
    /// Width of the canvas in pixels.
    pub width: u32,
    /// Height of the canvas in pixels.
    pub height: u32,
    /// Where half a pixel would be left over on the left or at the top, the canvas begins at the
    /// even pixel (torchvision's own crop) and not at the lower one (`transformers`).
    pub half_to_even: bool,
}

impl CentreCrop {
    /// Width and height of a source of this size after scaling, before the cut. Each side of the
    /// source is at least 1.
    #[must_use]
    pub fn scaled_size(self, source_width: u32, source_height: u32) -> (u32, u32) {
        let (short, long) =
            (source_width.min(source_height).max(1), source_width.max(source_height));
        let long = u64::from(self.shortest_edge) * u64::from(long) / u64::from(short);
        let long = u32::try_from(long).unwrap_or(u32::MAX);
        if source_width <= source_height {
            (self.shortest_edge, long)
        } else {
            (long, self.shortest_edge)
        }
    }

    /// Where the left top of the canvas lies in a scaled image of this size, `(x, y)` in pixels.
    /// Negative where the image is smaller than the canvas and black is put around it.
    #[must_use]
    pub fn corner(self, scaled_size: (u32, u32)) -> (i64, i64) {
        let along = |scaled: u32, canvas: u32| {
            let left_over = i64::from(scaled) - i64::from(canvas);
            // Towards zero, as both references do: of an odd margin of black the smaller half is
            // on the left.
            let half = left_over / 2;
            let is_odd_half = left_over > 0 && left_over % 2 == 1;
            half + i64::from(self.half_to_even && is_odd_half && half % 2 == 1)
        };
        (along(scaled_size.0, self.width), along(scaled_size.1, self.height))
    }
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
            Placement::LongestEdge { longest_edge, canvas_side } => {
                let side = canvas_side as f32;
                let fitted = fitted_size(self.source_width, self.source_height, longest_edge);
                let (fitted_width, fitted_height) = fitted.unwrap_or((1, 1));
                (width * side / fitted_width as f32, height * side / fitted_height as f32)
            }
            Placement::CentreCrop(crop) => {
                let scaled = crop.scaled_size(self.source_width, self.source_height);
                (
                    crop.width as f32 * width / scaled.0 as f32,
                    crop.height as f32 * height / scaled.1 as f32,
                )
            }
        }
    }

    /// Where the left top of the canvas lies in the source, `(x, y)` in pixels of the source.
    #[must_use]
    pub fn corner_in_source_px(&self) -> (f32, f32) {
        match self.placement {
            Placement::Stretch | Placement::PadToSquare | Placement::LongestEdge { .. } => {
                (0.0, 0.0)
            }
            Placement::CentreCrop(crop) => {
                let scaled = crop.scaled_size(self.source_width, self.source_height);
                let (x, y) = crop.corner(scaled);
                (
                    x as f32 * self.source_width as f32 / scaled.0 as f32,
                    y as f32 * self.source_height as f32 / scaled.1 as f32,
                )
            }
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
        let (left, top) = self.corner_in_source_px();
        PixelBox::from_corners([
            (cx - 0.5 * width) * scale_x + left,
            (cy - 0.5 * height) * scale_y + top,
            (cx + 0.5 * width) * scale_x + left,
            (cy + 0.5 * height) * scale_y + top,
        ])
        .clipped_to(self.source_width, self.source_height)
    }

    /// A box in the source image as `[centre x, centre y, width, height]` in fractions of the
    /// canvas; outside of `[0, 1]` where the canvas does not hold it.
    #[must_use]
    pub fn norm_from_source_px(&self, box_in_source_px: PixelBox) -> [f32; 4] {
        let (scale_x, scale_y) = self.source_px_per_norm();
        let (left, top) = self.corner_in_source_px();
        let (cx, cy) = box_in_source_px.centre();
        [
            (cx - left) / scale_x,
            (cy - top) / scale_y,
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
        let placement = prop_oneof![
            Just(Placement::Stretch),
            Just(Placement::PadToSquare),
            Just(Placement::LongestEdge { longest_edge: 1024, canvas_side: 1024 }),
            Just(Placement::LongestEdge { longest_edge: 70, canvas_side: 96 }),
        ];
        (side.clone(), side, placement)
            .prop_map(|(width, height, placement)| CanvasGeometry::new(placement, width, height))
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
    fn the_longer_side_is_fitted_and_the_other_rounded() {
        // As `_get_preprocess_shape` of the reference gives them.
        for (size, fitted) in [
            ((640, 480), (1024, 768)),
            ((480, 640), (768, 1024)),
            ((1920, 1080), (1024, 576)),
            ((213, 140), (1024, 673)),
            ((230, 38), (1024, 169)),
            ((1, 1), (1024, 1024)),
            // Half a pixel and less: the reference would fail on it.
            ((5000, 1), (1024, 1)),
        ] {
            assert_eq!(fitted_size(size.0, size.1, 1024), Some(fitted), "{size:?}");
        }
        assert_eq!(fitted_size(0, 7, 1024), None);
        let placement = Placement::LongestEdge { longest_edge: 1024, canvas_side: 1024 };
        let geometry = CanvasGeometry::new(placement, 640, 480);
        let norm = [0.5, 0.375, 0.5, 0.25];
        assert_eq!(geometry.source_px_from_norm(norm).corners(), [160.0, 160.0, 480.0, 320.0]);
    }

    #[test]
    fn a_canvas_cut_out_of_the_middle_knows_where_it_lies() {
        let crop = CentreCrop { shortest_edge: 256, width: 224, height: 224, half_to_even: false };
        // 640x480 becomes 341x256; 117 columns and 32 rows are cut away.
        assert_eq!(crop.scaled_size(640, 480), (341, 256));
        assert_eq!(crop.corner((341, 256)), (58, 16));
        let geometry = CanvasGeometry::new(Placement::CentreCrop(crop), 640, 480);
        let whole = geometry.source_px_from_norm([0.5, 0.5, 1.0, 1.0]).corners();
        let px = 640.0 / 341.0;
        let expected = [58.0 * px, 30.0, (58.0 + 224.0) * px, 450.0];
        for (found, expected) in whole.iter().zip(expected) {
            // A few roundings of f32 at 640.
            assert!((found - expected).abs() < 2e-4, "{whole:?}");
        }
        let back = geometry.norm_from_source_px(PixelBox::from_corners(whole));
        for (found, expected) in back.iter().zip([0.5, 0.5, 1.0, 1.0]) {
            assert!((found - expected).abs() < 1e-6, "{back:?}");
        }
        // Left of the canvas, and so below 0 on it.
        let left = geometry.norm_from_source_px(PixelBox::from_corners([0.0, 30.0, 10.0, 40.0]));
        assert!(left[0] < 0.0, "{left:?}");
    }

    #[test]
    fn half_a_pixel_goes_the_way_of_the_reference() {
        let crop =
            |half_to_even| CentreCrop { shortest_edge: 8, width: 10, height: 10, half_to_even };
        // int((scaled - 10) / 2.0), and int(round(...)) with Python's rounding to even.
        for (scaled, down, even) in [(10, 0, 0), (11, 0, 0), (13, 1, 2), (15, 2, 2), (17, 3, 4)] {
            assert_eq!(crop(false).corner((scaled, 10)), (down, 0), "{scaled}");
            assert_eq!(crop(true).corner((scaled, 10)), (even, 0), "{scaled}");
        }
        // (10 - scaled) // 2 columns of black on the left.
        for (scaled, corner) in [(9, 0), (8, -1), (7, -1), (6, -2)] {
            for half_to_even in [false, true] {
                assert_eq!(crop(half_to_even).corner((scaled, 10)), (corner, 0), "{scaled}");
            }
        }
        let tall = CentreCrop { shortest_edge: 7, width: 7, height: 7, half_to_even: true };
        assert_eq!(tall.scaled_size(3, 5), (7, 11));
        assert_eq!(tall.scaled_size(5, 3), (11, 7));
        assert_eq!(tall.scaled_size(1, u32::MAX), (7, u32::MAX));
    }

    #[test]
    fn a_box_in_the_padding_has_no_area_in_the_source() {
        let geometry = CanvasGeometry::new(Placement::PadToSquare, 640, 480);
        let in_padding = geometry.source_px_from_norm([0.5, 0.9, 0.2, 0.1]);
        assert_eq!(in_padding.area(), 0.0);
        assert!(!geometry.source_px_from_norm([f32::NAN; 4]).x0.is_finite());
    }
}
