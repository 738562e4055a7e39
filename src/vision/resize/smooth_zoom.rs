//! A Gaussian against aliasing, then bilinear sampling: OWLv2's resampling.
//!
//! Held against `Owlv2ImageProcessor.resize` of transformers 5.23.0 (the torchvision variant:
//! `gaussian_blur` with reflected borders and a kernel of `2 * ceil(3 sigma) + 1`, then
//! `interpolate(mode="bilinear", antialias=False)`).

use image::RgbImage;

/// Blur and sampling along one axis, as one banded linear operator: every output is a weighted sum
/// of `taps` neighbouring inputs.
#[derive(Clone, Debug)]
struct AxisBands {
    taps: usize,
    /// First input of each output. Outputs from `starts.len()` on see nothing but padding.
    starts: Vec<usize>,
    /// `taps` weights for each entry of `starts`.
    weights: Vec<f32>,
}

impl AxisBands {
    /// From an axis of `padded_len` inputs, of which all from `source_len` on are zero, to
    /// `output_len` outputs.
    fn new(source_len: usize, padded_len: usize, output_len: usize) -> Self {
        let blur = gaussian_weights(padded_len, output_len);
        let radius = blur.len() / 2;
        let mut bands: Vec<(usize, Vec<f64>)> = Vec::with_capacity(output_len);
        for output in 0..output_len {
            let (low, high, high_weight) = bilinear_neighbours(output, padded_len, output_len);
            let first = low.saturating_sub(radius);
            let mut weights = vec![0.0; (high + radius).min(padded_len - 1) - first + 1];
            for (centre, share) in [(low, 1.0 - high_weight), (high, high_weight)] {
                for (offset, weight) in blur.iter().enumerate() {
                    let input =
                        reflected(centre as i64 + offset as i64 - radius as i64, padded_len);
                    weights[input - first] += share * weight;
                }
            }
            weights.truncate(source_len.saturating_sub(first));
            while weights.last() == Some(&0.0) {
                weights.pop();
            }
            if weights.is_empty() {
                // Padding is at the end of the axis: no later output sees the source either.
                break;
            }
            bands.push((first, weights));
        }
        let taps = bands.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let mut starts = Vec::with_capacity(bands.len());
        let mut flat = Vec::with_capacity(bands.len() * taps);
        for (first, weights) in &bands {
            // All bands get the same number of taps; near the end the window moves left.
            let start = (*first).min(source_len - taps);
            starts.push(start);
            let lead = first - start;
            flat.extend(std::iter::repeat_n(0.0, lead));
            flat.extend(weights.iter().map(|weight| *weight as f32));
            flat.extend(std::iter::repeat_n(0.0, taps - lead - weights.len()));
        }
        Self { taps, starts, weights: flat }
    }

    /// `(first input, weights)` of every output that sees the source.
    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.starts.iter().copied().zip(self.weights.chunks_exact(self.taps.max(1)))
    }
}

/// The weights of the blur, symmetric around the middle one; a single 1 where nothing is blurred
/// (no shrinking). sigma = (factor - 1) / 2 as in scikit-image, in f32 as in the reference.
fn gaussian_weights(input_len: usize, output_len: usize) -> Vec<f64> {
    let factor = input_len as f32 / output_len as f32;
    let sigma = (factor - 1.0) / 2.0;
    if sigma <= 0.0 {
        return vec![1.0];
    }
    let radius = (3.0 * sigma).ceil() as i64;
    let sigma = f64::from(sigma);
    let weights: Vec<f64> =
        (-radius..=radius).map(|x| (-0.5 * (x as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The two inputs between which an output lies (pixel centres, edges clamped) and the weight of the
/// second. The position is computed in f32 as in torch: on a long axis its rounding is visible.
fn bilinear_neighbours(output: usize, input_len: usize, output_len: usize) -> (usize, usize, f64) {
    let scale = input_len as f32 / output_len as f32;
    // One rounding, as a fused multiply-add has it.
    let position = scale.mul_add(output as f32 + 0.5, -0.5).max(0.0);
    let low = (position as usize).min(input_len - 1);
    let high = (low + 1).min(input_len - 1);
    (low, high, f64::from((position - low as f32).clamp(0.0, 1.0)))
}

/// Mirrors an index at the centres of the first and the last pixel until it lies on the axis.
fn reflected(index: i64, len: usize) -> usize {
    let period = (2 * (len as i64 - 1)).max(1);
    let folded = index.rem_euclid(period);
    folded.min(period - folded).min(len as i64 - 1) as usize
}

/// From RGB images of one size to planes of a square canvas, the source at the top left of a
/// square with the longer side and zeros in the rest of it.
///
/// The weights of both axes are worked out once; the padding costs nothing.
#[derive(Clone, Debug)]
pub struct SmoothZoom {
    source_width: u32,
    source_height: u32,
    side: usize,
    columns: AxisBands,
    rows: AxisBands,
}

impl SmoothZoom {
    /// For sources of `source_width` x `source_height` and a canvas of `side` x `side` pixels.
    ///
    /// `None` where one of them is 0.
    #[must_use]
    pub fn new(source_width: u32, source_height: u32, side: u32) -> Option<Self> {
        if source_width == 0 || source_height == 0 || side == 0 {
            return None;
        }
        let (width, height, side) = (source_width as usize, source_height as usize, side as usize);
        let padded = width.max(height);
        Some(Self {
            source_width,
            source_height,
            side,
            columns: AxisBands::new(width, padded, side),
            rows: AxisBands::new(height, padded, side),
        })
    }

    /// The size of sources it is for, `(width, height)`.
    #[must_use]
    pub fn source_size(&self) -> (u32, u32) {
        (self.source_width, self.source_height)
    }

    /// Side of the canvas in pixels.
    #[must_use]
    pub fn side(&self) -> usize {
        self.side
    }

    /// Writes three planes of `side * side` values, each `scale[c] * resampled + offset[c]` with
    /// the resampled value in `[0, 255]`.
    ///
    /// # Panics
    /// Where `image` has another size than this was made for, or `planes` does not hold
    /// `3 * side * side` values.
    pub fn write_planes(
        &self,
        image: &RgbImage,
        scale: [f32; 3],
        offset: [f32; 3],
        planes: &mut [f32],
    ) {
        let side = self.side;
        assert_eq!((image.width(), image.height()), self.source_size(), "size of the source");
        assert_eq!(planes.len(), 3 * side * side, "size of the canvas");
        let row_len = 3 * image.width() as usize;
        let pixels: &[u8] = image.as_raw();
        let (red, rest) = planes.split_at_mut(side * side);
        let (green, blue) = rest.split_at_mut(side * side);
        let canvas_rows = red
            .chunks_exact_mut(side)
            .zip(green.chunks_exact_mut(side))
            .zip(blue.chunks_exact_mut(side));
        let mut bands = self.rows.iter();
        let mut blended = vec![0.0f32; row_len];
        for ((red, green), blue) in canvas_rows {
            match bands.next() {
                Some((start, weights)) => {
                    let rows = pixels[start * row_len..].chunks_exact(row_len);
                    blend_rows(rows, weights, &mut blended);
                    self.sample_columns(&blended, scale, offset, [red, green, blue]);
                }
                None => {
                    for (plane, value) in [red, green, blue].into_iter().zip(offset) {
                        plane.fill(value);
                    }
                }
            }
        }
    }

    fn sample_columns(
        &self,
        blended: &[f32],
        scale: [f32; 3],
        offset: [f32; 3],
        [red, green, blue]: [&mut [f32]; 3],
    ) {
        let seen = self.columns.starts.len();
        let outputs = red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut());
        for (((red, green), blue), (start, weights)) in outputs.zip(self.columns.iter()) {
            let (mut r, mut g, mut b) = (0.0f32, 0.0f32, 0.0f32);
            for (pixel, weight) in blended[3 * start..].chunks_exact(3).zip(weights) {
                r += pixel[0] * weight;
                g += pixel[1] * weight;
                b += pixel[2] * weight;
            }
            *red = r * scale[0] + offset[0];
            *green = g * scale[1] + offset[1];
            *blue = b * scale[2] + offset[2];
        }
        for (plane, value) in [red, green, blue].into_iter().zip(offset) {
            plane[seen..].fill(value);
        }
    }
}

/// The weighted sum of the first `weights.len()` rows. Two rows at a time: an enlarged image needs
/// no more, and a shrunk one half the passes over the sum.
fn blend_rows<'a>(mut rows: impl Iterator<Item = &'a [u8]>, weights: &[f32], sum: &mut [f32]) {
    sum.fill(0.0);
    for pair in weights.chunks(2) {
        match (pair, rows.next(), pair.get(1).and_then(|_| rows.next())) {
            (&[wa, wb], Some(a), Some(b)) => {
                for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
                    *sum += f32::from(*a) * wa + f32::from(*b) * wb;
                }
            }
            (&[wa], Some(a), _) => {
                for (sum, a) in sum.iter_mut().zip(a) {
                    *sum += f32::from(*a) * wa;
                }
            }
            _ => unreachable!("a band never reaches beyond the source"),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn indices_reflect_at_pixel_centres() {
        let seen: Vec<_> = (-4..9).map(|index| reflected(index, 4)).collect();
        assert_eq!(seen, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!(reflected(-3, 1), 0);
        assert_eq!(reflected(5, 2), 1);
    }

    #[test]
    fn an_image_of_the_canvas_size_is_copied() {
        let image = RgbImage::from_fn(16, 16, |x, y| Rgb([(x * 16 + y) as u8, 7, x as u8]));
        let zoom = SmoothZoom::new(16, 16, 16).unwrap();
        let mut planes = vec![f32::NAN; 3 * 16 * 16];
        zoom.write_planes(&image, [1.0; 3], [0.0; 3], &mut planes);
        for (at, pixel) in image.pixels().enumerate() {
            let found = [planes[at], planes[256 + at], planes[512 + at]];
            assert_eq!(found, pixel.0.map(f32::from));
        }
    }

    proptest! {
        /// The operator blurs and interpolates, so the weights of an output that sees no padding
        /// sum to one, and none is negative.
        #[test]
        fn every_output_that_sees_no_padding_is_an_average(
            source in 1usize..400,
            padding in 0usize..200,
            output in 1usize..200,
        ) {
            let padded = source + padding;
            let bands = AxisBands::new(source, padded, output);
            prop_assert!(bands.starts.len() <= output && !bands.starts.is_empty());
            for (start, weights) in bands.iter() {
                prop_assert!(start + weights.len() <= source);
                prop_assert!(weights.iter().all(|weight| *weight >= 0.0));
                let sum: f32 = weights.iter().sum();
                prop_assert!(sum <= 1.0 + 1e-5);
                if padding == 0 {
                    prop_assert!((sum - 1.0).abs() < 1e-5);
                }
            }
            if padding == 0 {
                prop_assert_eq!(bands.starts.len(), output);
            }
        }
    }

    #[test]
    fn what_no_source_pixel_reaches_is_black() {
        let image = RgbImage::from_pixel(8, 2, Rgb([255, 255, 255]));
        let zoom = SmoothZoom::new(8, 2, 8).unwrap();
        let mut planes = vec![f32::NAN; 3 * 64];
        zoom.write_planes(&image, [1.0; 3], [-1.0; 3], &mut planes);
        for plane in planes.chunks_exact(64) {
            assert!(plane[..16].iter().all(|value| *value == 254.0));
            assert!(plane[16..].iter().all(|value| *value == -1.0));
        }
        assert!(SmoothZoom::new(0, 2, 8).is_none());
        assert!(SmoothZoom::new(8, 2, 0).is_none());
    }
}
