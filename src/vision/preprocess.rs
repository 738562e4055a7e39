//! From a source image to the values that a network is fed.

use std::sync::Arc;

use image::RgbImage;

use super::canvas::{Placement, fitted_size};
use super::recipe::Recipe;
use super::resize::{CentreCutter, SmoothZoom, U8Resizer};

/// Images of different sizes that are prepared at the same time: cameras, not photo albums.
const KEPT_ZOOMS: usize = 8;

/// An image with no pixels cannot be put on a canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the image has no pixels ({width}x{height})")]
pub struct NoPixels {
    /// Width of the image.
    pub width: u32,
    /// Height of the image.
    pub height: u32,
}

/// Follows a [`Recipe`] and keeps buffers and weights between images.
#[derive(Debug)]
pub struct Preprocessor {
    recipe: Recipe,
    normalizer: Normalizer,
    resizer: U8Resizer,
    cutter: CentreCutter,
    /// The newest last.
    zooms: Vec<SmoothZoom>,
}

impl Preprocessor {
    /// For one checkpoint's recipe.
    #[must_use]
    pub fn new(recipe: Recipe) -> Self {
        let normalizer = Normalizer::new(&recipe);
        Self {
            recipe,
            normalizer,
            resizer: U8Resizer::default(),
            cutter: CentreCutter::default(),
            zooms: Vec::new(),
        }
    }

    /// The recipe it follows.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Values of one prepared image: three planes of `canvas_height * canvas_width`.
    #[must_use]
    pub fn values_per_image(&self) -> usize {
        3 * self.recipe.canvas_height as usize * self.recipe.canvas_width as usize
    }

    /// Writes `image` as the network wants it: planes R, G, B of `[canvas_height, canvas_width]`,
    /// f32, normalised.
    ///
    /// # Errors
    /// [`NoPixels`] where a side of the image is 0.
    ///
    /// # Panics
    /// Where `planes` does not hold [`values_per_image`](Self::values_per_image) values.
    pub fn write_planes(&mut self, image: &RgbImage, planes: &mut [f32]) -> Result<(), NoPixels> {
        assert_eq!(planes.len(), self.values_per_image(), "size of the canvas");
        let no_pixels = NoPixels { width: image.width(), height: image.height() };
        let (width, height) = (self.recipe.canvas_width, self.recipe.canvas_height);
        match self.recipe.placement() {
            Placement::CentreCrop(crop) => {
                let canvas = self.cutter.cut(image, crop, self.recipe.filter).ok_or(no_pixels)?;
                self.normalizer.write_planes(canvas, planes);
            }
            Placement::Stretch => {
                let resized = self
                    .resizer
                    .resize(image, width, height, self.recipe.filter)
                    .ok_or(no_pixels)?;
                self.normalizer.write_planes(resized, planes);
            }
            Placement::PadToSquare => {
                let zoom = self.zoom_for(image.width(), image.height()).ok_or(no_pixels)?;
                let (scale, offset) = self.normalizer.affine();
                self.zooms[zoom].write_planes(image, scale, offset, planes);
            }
            Placement::LongestEdge { longest_edge, .. } => {
                let (fitted_width, fitted_height) =
                    fitted_size(image.width(), image.height(), longest_edge).ok_or(no_pixels)?;
                let resized = self
                    .resizer
                    .resize(image, fitted_width, fitted_height, self.recipe.filter)
                    .ok_or(no_pixels)?;
                // What is not covered is 0 after normalisation, not black.
                planes.fill(0.0);
                self.normalizer.write_rows(resized, fitted_width, width, planes);
            }
        }
        Ok(())
    }

    fn zoom_for(&mut self, width: u32, height: u32) -> Option<usize> {
        let known = self.zooms.iter().position(|zoom| zoom.source_size() == (width, height));
        let zoom = match known {
            Some(position) => self.zooms.remove(position),
            None => SmoothZoom::new(width, height, self.recipe.canvas_width)?,
        };
        if self.zooms.len() == KEPT_ZOOMS {
            self.zooms.remove(0);
        }
        self.zooms.push(zoom);
        Some(self.zooms.len() - 1)
    }
}

/// Prepares batches: one [`Preprocessor`] for each thread.
#[derive(Debug)]
pub struct BatchPreprocessor {
    workers: Vec<Preprocessor>,
}

impl BatchPreprocessor {
    /// For one checkpoint's recipe, with up to `threads` images at a time (at least one).
    #[must_use]
    pub fn new(recipe: Recipe, threads: usize) -> Self {
        let workers = (0..threads.max(1)).map(|_| Preprocessor::new(recipe.clone())).collect();
        Self { workers }
    }

    /// The recipe it follows.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        self.workers[0].recipe()
    }

    /// Replaces `values` by the prepared images one after the other: `[batch, 3, H, W]`, f32,
    /// normalised. Images may have any sizes.
    ///
    /// # Errors
    /// The first image without pixels, by its place in the batch; `values` is then unspecified.
    pub fn write_batch(
        &mut self,
        images: &[Arc<RgbImage>],
        values: &mut Vec<f32>,
    ) -> Result<(), (usize, NoPixels)> {
        let per_image = self.workers[0].values_per_image();
        // Every value is overwritten, so nothing is cleared.
        values.resize(images.len() * per_image, 0.0);
        let mut jobs: Vec<_> = images
            .iter()
            .zip(values.chunks_exact_mut(per_image))
            .enumerate()
            .map(|(index, (image, planes))| Job { index, image, planes })
            .collect();
        if jobs.len() <= 1 {
            // A single camera does not pay for threads.
            return run(&mut self.workers[0], &mut jobs);
        }
        let share = jobs.len().div_ceil(self.workers.len());
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .workers
                .iter_mut()
                .zip(jobs.chunks_mut(share))
                .map(|(worker, jobs)| scope.spawn(move || run(worker, jobs)))
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })
    }
}

/// One image of a batch and where its values go.
struct Job<'a> {
    index: usize,
    image: &'a RgbImage,
    planes: &'a mut [f32],
}

fn run(worker: &mut Preprocessor, jobs: &mut [Job<'_>]) -> Result<(), (usize, NoPixels)> {
    jobs.iter_mut().try_for_each(|job| {
        worker.write_planes(job.image, job.planes).map_err(|refused| (job.index, refused))
    })
}

/// Rescale and normalise, folded together.
#[derive(Debug)]
struct Normalizer {
    /// Value of each 8-bit level, channel by channel.
    levels: Box<[[f32; 256]; 3]>,
    scale: [f32; 3],
    offset: [f32; 3],
}

impl Normalizer {
    fn new(recipe: &Recipe) -> Self {
        let factor = recipe.rescale_factor.unwrap_or(1.0);
        let (mean, std) = recipe.normalize.unwrap_or(([0.0; 3], [1.0; 3]));
        let mut levels = Box::new([[0.0f32; 256]; 3]);
        for (channel, table) in levels.iter_mut().enumerate() {
            // The reference moves the rescaling into mean and std, in f32, where it does both; in
            // the same order, so that both round alike.
            let inverse = (1.0 / factor) as f32;
            let (mean, std) = (mean[channel] as f32 * inverse, std[channel] as f32 * inverse);
            for (level, value) in table.iter_mut().enumerate() {
                *value = match recipe.normalize {
                    Some(_) => (level as f32 - mean) / std,
                    None => level as f32 * factor as f32,
                };
            }
        }
        Self {
            levels,
            scale: std.map(|std| (factor / std) as f32),
            offset: std::array::from_fn(|channel| (-mean[channel] / std[channel]) as f32),
        }
    }

    /// `value = level * scale + offset`, for levels that are not whole numbers.
    fn affine(&self) -> ([f32; 3], [f32; 3]) {
        (self.scale, self.offset)
    }

    /// From interleaved 8-bit pixels, `width` in a row, to the top left of three planes of equal
    /// size with `stride` values in a row.
    fn write_rows(&self, pixels: &[u8], width: u32, stride: u32, planes: &mut [f32]) {
        let (width, stride) = (width as usize, stride as usize);
        let plane = planes.len() / 3;
        for (levels, (channel, plane)) in
            self.levels.iter().zip(planes.chunks_exact_mut(plane).enumerate())
        {
            let rows = pixels.chunks_exact(3 * width).zip(plane.chunks_exact_mut(stride));
            for (pixels, values) in rows {
                for (value, pixel) in values.iter_mut().zip(pixels.chunks_exact(3)) {
                    *value = levels[usize::from(pixel[channel])];
                }
            }
        }
    }

    /// From interleaved 8-bit pixels to three planes.
    fn write_planes(&self, pixels: &[u8], planes: &mut [f32]) {
        let count = pixels.len() / 3;
        let (red, rest) = planes.split_at_mut(count);
        let (green, blue) = rest.split_at_mut(count);
        let [reds, greens, blues] = &*self.levels;
        let outputs = red.iter_mut().zip(green).zip(blue);
        for (((red, green), blue), pixel) in outputs.zip(pixels.chunks_exact(3)) {
            *red = reds[usize::from(pixel[0])];
            *green = greens[usize::from(pixel[1])];
            *blue = blues[usize::from(pixel[2])];
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use image::Rgb;

    use super::*;

    fn preprocessor(text: &str) -> Preprocessor {
        Preprocessor::new(Recipe::from_json(text, Path::new("test.json")).unwrap())
    }

    #[test]
    fn levels_are_rescaled_and_normalised_channel_by_channel() {
        let image = RgbImage::from_pixel(5, 3, Rgb([0, 128, 255]));
        let settings = |more: &str| {
            format!(r#"{{"image_processor_type": "OwlViTImageProcessor", "size": 4 {more}}}"#)
        };
        let cases = [
            (
                r#", "image_mean": [0.5, 0.25, 0.0], "image_std": [0.5, 0.5, 0.25]"#,
                [-1.0, 0.503_921_57, 4.0],
            ),
            (r#", "do_normalize": false"#, [0.0, 0.501_960_8, 1.0]),
            (r#", "do_normalize": false, "do_rescale": false"#, [0.0, 128.0, 255.0]),
            (r#", "do_rescale": false, "image_mean": 28, "image_std": 2"#, [-14.0, 50.0, 113.5]),
        ];
        for (more, expected) in cases {
            let mut preprocessor = preprocessor(&settings(more));
            let mut planes = vec![f32::NAN; preprocessor.values_per_image()];
            preprocessor.write_planes(&image, &mut planes).unwrap();
            for (plane, expected) in planes.chunks_exact(16).zip(expected) {
                // One rounding each of the level, the mean and the quotient.
                assert!(
                    plane.iter().all(|v| (v - expected).abs() <= 1e-6 * expected.abs().max(1.0)),
                    "{more}: {plane:?}"
                );
            }
        }
    }

    #[test]
    fn sources_of_many_sizes_do_not_pile_up() {
        let mut preprocessor =
            preprocessor(r#"{"image_processor_type": "Owlv2ImageProcessor", "size": 16}"#);
        let mut planes = vec![0.0; preprocessor.values_per_image()];
        for round in 0..3 {
            for width in 1..20 {
                let image = RgbImage::from_pixel(width, 7, Rgb([10, 20, 30]));
                preprocessor.write_planes(&image, &mut planes).unwrap();
                assert!(preprocessor.zooms.len() <= KEPT_ZOOMS, "round {round}");
            }
        }
        let newest = preprocessor.zooms.last().unwrap();
        assert_eq!((newest.source_size(), newest.side()), ((19, 7), 16));
    }

    #[test]
    fn a_batch_is_the_same_as_its_images_one_by_one_whatever_the_number_of_threads() {
        for (processor, size) in [
            ("OwlViTImageProcessor", "24"),
            ("Owlv2ImageProcessor", "24"),
            ("SamImageProcessor", r#"{"longest_edge": 24}, "pad_size": 32"#),
        ] {
            let text = format!(r#"{{"image_processor_type": "{processor}", "size": {size}}}"#);
            let recipe = Recipe::from_json(&text, Path::new("test.json")).unwrap();
            let images: Vec<_> = (1u32..=5)
                .map(|n| {
                    Arc::new(RgbImage::from_fn(17 * n, 9 + 11 * n, |x, y| {
                        Rgb([(x * n) as u8, (y * 3) as u8, (x + y) as u8])
                    }))
                })
                .collect();
            let mut single = Preprocessor::new(recipe.clone());
            let mut expected = Vec::new();
            for image in &images {
                let mut planes = vec![f32::NAN; single.values_per_image()];
                single.write_planes(image, &mut planes).unwrap();
                expected.extend(planes);
            }
            for threads in [0, 1, 2, 3, 16] {
                let mut batch = BatchPreprocessor::new(recipe.clone(), threads);
                let mut values = vec![f32::NAN; 7];
                batch.write_batch(&images, &mut values).unwrap();
                assert_eq!(values, expected, "{processor} with {threads} threads");
                let mut broken = images.clone();
                broken[3] = Arc::new(RgbImage::new(4, 0));
                let refused = batch.write_batch(&broken, &mut values);
                assert_eq!(refused, Err((3, NoPixels { width: 4, height: 0 })));
                assert_eq!(batch.write_batch(&[], &mut values), Ok(()));
                assert!(values.is_empty());
            }
        }
    }

    #[test]
    fn an_image_with_no_pixels_is_refused() {
        for processor in ["OwlViTImageProcessor", "Owlv2ImageProcessor"] {
            let mut preprocessor =
                preprocessor(&format!(r#"{{"image_processor_type": "{processor}", "size": 8}}"#));
            let mut planes = vec![0.0; preprocessor.values_per_image()];
            let refused = preprocessor.write_planes(&RgbImage::new(0, 5), &mut planes);
            assert_eq!(refused, Err(NoPixels { width: 0, height: 5 }));
        }
    }
}
