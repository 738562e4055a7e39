//! How well each place of a picture fits what is asked for.

use image::{Rgb, RgbImage};

use super::asif::Asif;
use super::bank::BankError;
use super::encode::PatchVectors;
use crate::vision::canvas::CanvasGeometry;

/// The scores of one text for the patches of a picture, at the resolution of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarityMap {
    /// Patches along the height of the canvas.
    pub rows: usize,
    /// Patches along the width of the canvas.
    pub columns: usize,
    /// Row by row from the left top, each in `[0, 1]`.
    pub scores: Vec<f32>,
    /// Where the canvas lies in the picture; the patches cover it evenly.
    pub geometry: CanvasGeometry,
}

impl SimilarityMap {
    /// The score at a place of the source image, in continuous pixels: bilinear between the centres
    /// of patches, and that of the nearest patch at the edge. `None` where the network does not see
    /// the place.
    #[must_use]
    pub fn score_at(&self, x_in_source_px: f32, y_in_source_px: f32) -> Option<f32> {
        let (left, top) = self.geometry.corner_in_source_px();
        let (width, height) = self.geometry.source_px_per_norm();
        let x = (x_in_source_px - left) / width;
        let y = (y_in_source_px - top) / height;
        if !((0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y)) {
            return None;
        }
        let column = Between::new(x, self.columns);
        let row = Between::new(y, self.rows);
        let at = |row: usize, column: usize| self.scores[row * self.columns + column];
        let along = |row: usize| {
            at(row, column.first) * (1.0 - column.share) + at(row, column.second) * column.share
        };
        Some(along(row.first) * (1.0 - row.share) + along(row.second) * row.share)
    }

    /// The picture in grey with the map over it, from dark blue (0) over red to yellow (the best score
    /// of the map). What the network does not see stays grey.
    #[must_use]
    pub fn drawn_over(&self, image: &RgbImage) -> RgbImage {
        const STOPS: [[f32; 3]; 4] =
            [[20.0, 20.0, 120.0], [150.0, 20.0, 120.0], [230.0, 60.0, 30.0], [255.0, 230.0, 40.0]];
        let best = self.best_score().max(f32::MIN_POSITIVE);
        RgbImage::from_fn(image.width(), image.height(), |x, y| {
            let [r, g, b] = image.get_pixel(x, y).0.map(f32::from);
            let grey = 0.299 * r + 0.587 * g + 0.114 * b;
            let Some(score) = self.score_at(x as f32 + 0.5, y as f32 + 0.5) else {
                return Rgb([grey as u8; 3]);
            };
            let at = Between::new((score / best).clamp(0.0, 1.0), STOPS.len());
            let (low, high) = (STOPS[at.first], STOPS[at.second]);
            Rgb(std::array::from_fn(|channel| {
                let colour = low[channel] * (1.0 - at.share) + high[channel] * at.share;
                (0.4 * grey + 0.6 * colour) as u8
            }))
        })
    }

    /// The centre of the patch with the best score, `[x, y]` in pixels of the source image.
    #[must_use]
    pub fn best_place_in_source_px(&self) -> [f32; 2] {
        let best =
            (0..self.scores.len()).max_by(|a, b| self.scores[*a].total_cmp(&self.scores[*b]));
        let at = best.unwrap_or(0);
        let (left, top) = self.geometry.corner_in_source_px();
        let (width, height) = self.geometry.source_px_per_norm();
        let norm = |patch: usize, patches: usize| (patch as f32 + 0.5) / patches.max(1) as f32;
        let columns = self.columns.max(1);
        [left + norm(at % columns, columns) * width, top + norm(at / columns, self.rows) * height]
    }

    /// The best score of all patches.
    #[must_use]
    pub fn best_score(&self) -> f32 {
        self.scores.iter().copied().fold(0.0, f32::max)
    }
}

/// Where a place lies between the centres of two patches.
struct Between {
    first: usize,
    second: usize,
    share: f32,
}

impl Between {
    fn new(norm: f32, patches: usize) -> Self {
        let last = patches.saturating_sub(1);
        let place = (norm * patches as f32 - 0.5).clamp(0.0, last as f32);
        let first = place.floor() as usize;
        Self { first, second: (first + 1).min(last), share: place - first as f32 }
    }
}

/// A map for each text in use, by the vectors of a picture's patches from the bank's image encoder.
/// A bank's pairs are of whole pictures, and patches see little: how much a map tells depends on the
/// encoder. By a ViT-Ti of ImageNet those of simulated scenes were of no use.
///
/// # Errors
/// Vectors of another dimension; what libtorch reports.
pub fn similarity_maps(
    asif: &Asif,
    patches: &PatchVectors,
) -> Result<Vec<SimilarityMap>, BankError> {
    let PatchVectors { rows, columns, vectors, geometry } = patches;
    let mut maps = vec![
        SimilarityMap {
            rows: *rows,
            columns: *columns,
            scores: Vec::with_capacity(vectors.len()),
            geometry: *geometry,
        };
        asif.texts()
    ];
    for patch in asif.describe(vectors)? {
        for (map, score) in maps.iter_mut().zip(asif.scores(&patch)) {
            map.scores.push(score);
        }
    }
    Ok(maps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::asif::AsifSettings;
    use crate::ground::{Bank, EncoderId, NewPair, PairOrigin};
    use crate::vision::canvas::Placement;

    fn asif() -> Asif {
        let id =
            |name: &str| EncoderId { name: name.to_owned(), sha256: name.to_owned(), dimension: 2 };
        let mut bank = Bank::new(id("a"), id("b"), AsifSettings::default()).unwrap();
        let pair = |vector: [f32; 2]| NewPair {
            image: vector.into(),
            text: vector.into(),
            origin: PairOrigin {
                caption: "a thing".to_owned(),
                source: "here".into(),
                topic: None,
                stamp: None,
                box_in_source_px: None,
            },
            thumbnail: None,
        };
        bank.add(vec![pair([1.0, 0.0]), pair([0.0, 1.0])]).unwrap();
        let mut asif = Asif::new(bank);
        asif.set_texts(&[vec![1.0, 0.0], vec![0.0, 1.0]]).unwrap();
        asif
    }

    #[test]
    fn a_map_lies_on_the_picture_as_the_patches_do() {
        // Two rows of three patches on a picture of 60x20 pixels; the last column is the second
        // thing.
        let (one, other) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        let patches = PatchVectors {
            rows: 2,
            columns: 3,
            vectors: [&one, &one, &other, &one, &one, &other].map(Vec::clone).into(),
            geometry: CanvasGeometry::new(Placement::Stretch, 60, 20),
        };
        let maps = similarity_maps(&asif(), &patches).unwrap();
        assert_eq!(maps[0].scores, [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(maps[1].scores, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        // The centre of a patch, its edge with the next one, and the corner of the picture.
        assert_eq!(maps[1].score_at(50.0, 5.0), Some(1.0));
        assert_eq!(maps[1].score_at(40.0, 10.0), Some(0.5));
        assert_eq!(maps[1].score_at(60.0, 20.0), Some(1.0));
        assert_eq!(maps[1].score_at(60.1, 20.0), None);
        assert_eq!(maps[1].best_score(), 1.0);
        let short = PatchVectors { vectors: vec![vec![1.0]], ..patches };
        assert!(similarity_maps(&asif(), &short).unwrap_err().is_refusal());
    }

    #[test]
    fn what_lies_outside_of_a_square_canvas_has_no_score() {
        let patches = PatchVectors {
            rows: 1,
            columns: 1,
            vectors: vec![vec![1.0, 0.0]],
            geometry: CanvasGeometry::new(Placement::PadToSquare, 60, 20),
        };
        let map = similarity_maps(&asif(), &patches).unwrap().remove(0);
        assert_eq!(map.score_at(30.0, 10.0), Some(1.0));
        assert_eq!(map.score_at(-1.0, 10.0), None);
    }

    /// Two patches side by side over a picture of 20x10, the right one fits.
    #[test]
    fn the_place_that_fits_best_is_told_and_shines() {
        let geometry = CanvasGeometry::new(Placement::Stretch, 20, 10);
        let map = SimilarityMap { rows: 1, columns: 2, scores: vec![0.1, 0.4], geometry };
        assert_eq!(map.best_place_in_source_px(), [15.0, 5.0]);
        let drawn = map.drawn_over(&RgbImage::from_pixel(20, 10, Rgb([50; 3])));
        // Yellow where it is best, blue at a quarter of that.
        let [r, g, b] = drawn.get_pixel(19, 5).0;
        assert!(r > 150 && g > 150 && b < 60, "{r} {g} {b}");
        let [r, g, b] = drawn.get_pixel(0, 5).0;
        assert!(b > r && b > g, "{r} {g} {b}");
    }
}
