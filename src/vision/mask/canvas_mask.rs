//! Masks that a network draws over its canvas, at the size of the source.

use super::score_map::Between;
use super::window::MaskWindow;
use crate::vision::canvas::fitted_size;

/// Where a source image lies under masks that cover a canvas: SAM's low-resolution masks.
///
/// The reference (`post_process_masks` of transformers 5.23.0) enlarges a mask to the canvas, cuts
/// the padding off and resizes the rest to the source, bilinearly each time. Both steps are sums
/// of values with weights that add up to 1, along rows and columns alike. So they are one such
/// sum here, and no pixel is worked out where all that it would be made of is below the threshold:
/// a thing of a few pixels costs a few pixels, whatever the size of the source.
#[derive(Clone, Debug, PartialEq)]
pub struct CanvasMasks {
    side: u32,
    /// Of each column of the source.
    columns: Vec<Taps>,
    /// Of each row.
    rows: Vec<Taps>,
}

/// What masks are asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanvasMaskSizes {
    /// Side of the square masks.
    pub mask_side: u32,
    /// Side of the square canvas that they cover, in pixels.
    pub canvas_side: u32,
    /// Longer side of the resized image on it, in pixels.
    pub longest_edge: u32,
    /// Width of the source in pixels.
    pub source_width: u32,
    /// Height of the source in pixels.
    pub source_height: u32,
}

/// Values of a mask along one axis that a sample is made of, and their shares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Taps {
    count: usize,
    places: [usize; 4],
    shares: [f32; 4],
}

impl Taps {
    fn add(&mut self, place: usize, share: f32) {
        if share == 0.0 {
            return;
        }
        let known = self.places[..self.count].iter().position(|known| *known == place);
        let at = known.unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        });
        self.places[at] = place;
        self.shares[at] += share;
    }

    fn iter(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.places.iter().copied().zip(self.shares).take(self.count)
    }

    /// Whether one of its values lies in `first..end`.
    fn reach(&self, first: usize, end: usize) -> bool {
        self.iter().any(|(place, _)| (first..end).contains(&place))
    }
}

/// The taps of `source` samples of an axis that has `fitted` pixels of a canvas of `canvas`.
fn taps(side: u32, canvas: u32, fitted: u32, source: u32) -> Vec<Taps> {
    let on_canvas = Between::all(side, canvas);
    Between::all(fitted, source)
        .iter()
        .map(|sample| {
            let mut taps = Taps::default();
            for (pixel, share) in
                [(sample.first, 1.0 - sample.share), (sample.second, sample.share)]
            {
                let pixel = &on_canvas[pixel];
                taps.add(pixel.first, share * (1.0 - pixel.share));
                taps.add(pixel.second, share * pixel.share);
            }
            taps
        })
        .collect()
}

/// Part of the source: columns and rows.
struct Part {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl CanvasMasks {
    /// `None` where a side is 0, or the image does not fit on the canvas.
    #[must_use]
    pub fn new(sizes: CanvasMaskSizes) -> Option<Self> {
        let CanvasMaskSizes { mask_side, canvas_side, longest_edge, source_width, source_height } =
            sizes;
        let (width, height) = fitted_size(source_width, source_height, longest_edge)?;
        if mask_side == 0 || longest_edge == 0 || longest_edge > canvas_side {
            return None;
        }
        Some(Self {
            side: mask_side,
            columns: taps(mask_side, canvas_side, width, source_width),
            rows: taps(mask_side, canvas_side, height, source_height),
        })
    }

    /// Width and height of the source.
    #[must_use]
    pub fn source_size(&self) -> (u32, u32) {
        (self.columns.len() as u32, self.rows.len() as u32)
    }

    /// The pixels of the source whose value is above `threshold`; `logits` is a mask, row by row.
    ///
    /// # Panics
    /// Where it has another number of values.
    #[must_use]
    pub fn above(&self, logits: &[f32], threshold: f32) -> MaskWindow {
        let Some(part) = self.part_above(logits, threshold) else {
            return MaskWindow::empty(self.source_size());
        };
        let size = (part.right - part.left, part.bottom - part.top);
        let mut pixels = Vec::with_capacity(size.0 * size.1);
        self.for_each_row(logits, &part, |row| {
            pixels.extend(row.iter().map(|logit| *logit > threshold));
        });
        MaskWindow {
            image_size: self.source_size(),
            left_top: (part.left as u32, part.top as u32),
            size: (size.0 as u32, size.1 as u32),
            pixels,
        }
    }

    /// How little a mask depends on its threshold, in `[0, 1]`: its pixels above
    /// `threshold + offset` as a share of those above `threshold - offset` (the reference's
    /// `_compute_stability_score`). 0 where there are none.
    ///
    /// # Panics
    /// As [`above`](Self::above).
    #[must_use]
    pub fn stability(&self, logits: &[f32], threshold: f32, offset: f32) -> f32 {
        let Some(part) = self.part_above(logits, threshold - offset) else { return 0.0 };
        let (mut surely, mut maybe) = (0_u64, 0_u64);
        self.for_each_row(logits, &part, |row| {
            surely += row.iter().filter(|logit| **logit > threshold + offset).count() as u64;
            maybe += row.iter().filter(|logit| **logit > threshold - offset).count() as u64;
        });
        if maybe == 0 { 0.0 } else { (surely as f64 / maybe as f64) as f32 }
    }

    /// The part of the source outside of which nothing is above the threshold.
    fn part_above(&self, logits: &[f32], threshold: f32) -> Option<Part> {
        let side = self.side as usize;
        assert_eq!(logits.len(), side * side, "values of a mask");
        let above = |row: &&[f32]| row.iter().any(|logit| *logit > threshold);
        let rows = || logits.chunks_exact(side);
        let top = rows().position(|row| above(&row))?;
        let bottom = rows().rposition(|row| above(&row))? + 1;
        let (mut left, mut right) = (side, 0);
        for row in rows().take(bottom).skip(top).filter(above) {
            left = left.min(row.iter().position(|logit| *logit > threshold).unwrap_or(side));
            right =
                right.max(row.iter().rposition(|logit| *logit > threshold).map_or(0, |x| x + 1));
        }
        let ends = |taps: &[Taps], first: usize, end: usize| {
            let from = taps.iter().position(|taps| taps.reach(first, end))?;
            let to = taps.iter().rposition(|taps| taps.reach(first, end))? + 1;
            Some((from, to))
        };
        // What is only in the padding reaches no pixel.
        let (left, right) = ends(&self.columns, left, right)?;
        let (top, bottom) = ends(&self.rows, top, bottom)?;
        Some(Part { left, right, top, bottom })
    }

    /// Gives the values of the part, row by row.
    fn for_each_row(&self, logits: &[f32], part: &Part, mut each: impl FnMut(&[f32])) {
        let side = self.side as usize;
        let rows = &self.rows[part.top..part.bottom];
        let columns = &self.columns[part.left..part.right];
        let places = || rows.iter().flat_map(|row| row.iter().map(|(place, _)| place));
        let (Some(first), Some(last)) = (places().min(), places().max()) else { return };
        // Along the rows of the mask first: it has fewer of them than the source.
        let mut lines = Vec::with_capacity((last + 1 - first) * columns.len());
        for line in logits[first * side..(last + 1) * side].chunks_exact(side) {
            lines.extend(columns.iter().map(|column| {
                column.iter().map(|(place, share)| line[place] * share).sum::<f32>()
            }));
        }
        let mut values = vec![0.0_f32; columns.len()];
        for row in rows {
            values.fill(0.0);
            for (place, share) in row.iter() {
                let line = &lines[(place - first) * columns.len()..][..columns.len()];
                for (value, along) in values.iter_mut().zip(line) {
                    *value += along * share;
                }
            }
            each(&values);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vision::mask::ScoreMap;

    /// The two steps of the reference, one after the other over whole images.
    fn slowly(logits: &[f32], sizes: &CanvasMaskSizes) -> Vec<f32> {
        let CanvasMaskSizes { mask_side, canvas_side, longest_edge, source_width, source_height } =
            *sizes;
        let canvas = ScoreMap::new(mask_side, mask_side, logits.to_vec())
            .logits_at(canvas_side, canvas_side);
        let (width, height) = fitted_size(source_width, source_height, longest_edge).unwrap();
        let cut = canvas
            .chunks_exact(canvas_side as usize)
            .take(height as usize)
            .flat_map(|row| row[..width as usize].to_vec())
            .collect();
        ScoreMap::new(width, height, cut).logits_at(source_width, source_height)
    }

    fn sizes() -> impl Strategy<Value = CanvasMaskSizes> {
        (1u32..16, 1u32..6, 1u32..90, 1u32..90, 0u32..3).prop_map(
            |(mask_side, scale, source_width, source_height, spare)| {
                let canvas_side = mask_side * scale;
                CanvasMaskSizes {
                    mask_side,
                    canvas_side,
                    longest_edge: canvas_side.saturating_sub(spare).max(1),
                    source_width,
                    source_height,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn one_sum_is_both_steps_and_nothing_outside_of_the_window_is_above(
            sizes in sizes(),
            seed in 0u32..1000,
            bias in -3.0f32..2.0,
        ) {
            let logits: Vec<f32> = (0..sizes.mask_side * sizes.mask_side)
                .map(|index| {
                    let mixed = (index + 1).wrapping_mul(2_654_435_761) ^ seed.wrapping_mul(40_503);
                    ((mixed >> 8) % 4000) as f32 / 1000.0 - 2.0 + bias
                })
                .collect();
            let expected = slowly(&logits, &sizes);
            let masks = CanvasMasks::new(sizes).unwrap();
            let found = masks.above(&logits, 0.0);
            prop_assert_eq!(found.image_size, (sizes.source_width, sizes.source_height));
            let whole = found.to_pixels();
            for (index, (pixel, logit)) in whole.iter().zip(&expected).enumerate() {
                // Values of up to 5 through four roundings of f32.
                prop_assert!(*pixel == (*logit > 0.0) || logit.abs() < 4e-6, "{index}: {logit}");
            }
            let count = |above: f32| expected.iter().filter(|logit| **logit > above).count();
            let close = expected.iter().any(|logit| (logit.abs() - 1.0).abs() < 4e-6);
            if !close && count(-1.0) > 0 {
                let expected = count(1.0) as f32 / count(-1.0) as f32;
                prop_assert!((masks.stability(&logits, 0.0, 1.0) - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_small_thing_has_a_small_window() {
        let sizes = CanvasMaskSizes {
            mask_side: 256,
            canvas_side: 1024,
            longest_edge: 1024,
            source_width: 1920,
            source_height: 1080,
        };
        let masks = CanvasMasks::new(sizes).unwrap();
        let mut logits = vec![-5.0; 256 * 256];
        logits[100 * 256 + 50] = 20.0;
        let found = masks.above(&logits, 0.0);
        // A place of the mask is 4 pixels of the canvas and 7.5 of the source; it reaches into
        // those beside it.
        assert!(found.size.0 <= 18 && found.size.1 <= 18, "{:?}", found.size);
        assert!(found.pixels.contains(&true));
        // In the padding, below 576 pixels of the canvas.
        let mut logits = vec![-5.0; 256 * 256];
        logits[200 * 256 + 50] = 20.0;
        assert_eq!(masks.above(&logits, 0.0), MaskWindow::empty((1920, 1080)));
        assert_eq!(masks.stability(&logits, 0.0, 1.0), 0.0);
    }

    #[test]
    fn sizes_that_make_no_image_have_no_masks() {
        let good = CanvasMaskSizes {
            mask_side: 16,
            canvas_side: 64,
            longest_edge: 64,
            source_width: 10,
            source_height: 20,
        };
        assert!(CanvasMasks::new(good).is_some());
        for bad in [
            CanvasMaskSizes { mask_side: 0, ..good },
            CanvasMaskSizes { longest_edge: 65, ..good },
            CanvasMaskSizes { longest_edge: 0, ..good },
            CanvasMaskSizes { source_width: 0, ..good },
        ] {
            assert!(CanvasMasks::new(bad).is_none(), "{bad:?}");
        }
    }
}
