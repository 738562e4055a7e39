//! The points of one object.

use image::RgbImage;
use nalgebra::{Point2, Point3};

use super::separate::{Surface, Wanted, Weighed, separate};
use super::{Region, Scene};
use crate::types::Mask;

/// A surface rises by no more than so many times the size of a pixel from one pixel to the next:
/// one that is seen at less than ten degrees gives no depth worth having.
const STEEPEST: f64 = 6.0;

/// How an object is taken out of a depth picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocateSettings {
    /// Nearest depth that counts, in metres.
    pub nearest_m: f64,
    /// Furthest depth that counts, in metres.
    pub furthest_m: f64,
    /// The fewest points that make an object.
    pub fewest_points: usize,
    /// The share of the depths in a box, those in its middle counting most, that the nearest
    /// surface must hold to be the object.
    pub near_share: f64,
    /// A pixel between a near and a far one is an edge that the sensor smeared where it lies away
    /// from both by more than this share of its depth, and by more than a steep surface would.
    pub smear_share: f64,
    /// Pixels of a region that are looked at; of a larger one every second, third, ... in both
    /// directions, which places are none the worse for.
    pub most_pixels: usize,
}

impl Default for LocateSettings {
    fn default() -> Self {
        Self {
            nearest_m: 0.1,
            furthest_m: 20.0,
            fewest_points: 12,
            near_share: 0.2,
            smear_share: 0.02,
            most_pixels: 10_000,
        }
    }
}

/// Why an object has no place in space.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LocateError {
    /// The box is none: NaN, infinite or without an area.
    #[error("expected a box with an area, found corners {corners:?}")]
    BadBox {
        /// Corners `[x0, y0, x1, y1]` in pixels of the source picture.
        corners: [f32; 4],
    },
    /// No pixel of the depth picture lies in the region.
    #[error("expected a region with a pixel of the depth picture, found none")]
    EmptyRegion,
    /// No pixel of the region has a depth.
    #[error("expected depth in the region, found none in {pixels} pixels")]
    NoDepth {
        /// Pixels of the depth picture in the region.
        pixels: usize,
    },
    /// All depths of the region are too near or too far.
    #[error(
        "expected depths from {nearest_m} to {furthest_m} m, found {found_m} m (median of {pixels})"
    )]
    OutOfRange {
        /// The median of the depths, in metres.
        found_m: f64,
        /// How many there are.
        pixels: usize,
        /// Nearest that counts, in metres.
        nearest_m: f64,
        /// Furthest that counts, in metres.
        furthest_m: f64,
    },
    /// Too few points are left.
    #[error("expected at least {needed} points, found {found}")]
    TooFewPoints {
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
}

/// One point of an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForegroundPoint {
    /// Where it is, in metres in the optical frame.
    pub position: Point3<f64>,
    /// The place in the source picture that shows it, counted from the edge of the first pixel.
    pub in_source_px: Point2<f64>,
}

/// A point with the colour that the source picture has there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColouredPoint {
    /// Where it is, in metres in the optical frame.
    pub position: [f32; 3],
    /// 8-bit sRGB.
    pub rgb: [u8; 3],
}

/// The points of one object: what of its region is neither background nor smeared.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreground {
    /// Row by row; never empty.
    pub points: Vec<ForegroundPoint>,
    /// Pixels of the depth picture in the region.
    pub pixels: usize,
    /// How many of them have a depth within the settings' range.
    pub with_depth: usize,
    /// Whether the outermost pixels of a mask were left out. They are kept where too little would
    /// be left.
    pub eroded: bool,
    /// Pixels at which the lens model has no ray.
    pub without_ray: usize,
    /// Median of the depths, in metres.
    pub depth_median_m: f64,
    /// Median distance of the depths from their median, in metres.
    pub depth_mad_m: f64,
    /// Size of a pixel of the source picture at 1 m, `[x, y]` in metres.
    pub(super) source_px_at_1_m: [f64; 2],
}

/// A pixel of the region whose depth is known and in range.
#[derive(Clone, Copy)]
struct Candidate {
    x: u32,
    y: u32,
    depth_m: f64,
    weight: f64,
}

impl Scene<'_> {
    /// The points of the object in a region.
    ///
    /// # Errors
    /// The reason why there are none.
    pub fn foreground(
        &self,
        region: &Region<'_>,
        settings: &LocateSettings,
    ) -> Result<Foreground, LocateError> {
        let within = self.region(region, settings.most_pixels)?;
        if within.is_empty() {
            return Err(LocateError::EmptyRegion);
        }
        let (candidates, with_depth) = self.candidates(&within, settings)?;
        let [fx, fy] = self.camera.focal_px();
        let wanted = match region {
            Region::Mask(_) => Wanted::Largest,
            Region::Box(_) => {
                // An object is at most twice as deep as it looks wide or high; one that looks
                // small may be a hand's breadth deep at arm's length.
                let side = |low: Option<u32>, high: Option<u32>| {
                    f64::from(high.unwrap_or(0) - low.unwrap_or(0) + 1)
                };
                let columns = within.iter().map(|pixel| pixel.x);
                let rows = within.iter().map(|pixel| pixel.y);
                let width = side(columns.clone().min(), columns.max()) / fx;
                let height = side(rows.clone().min(), rows.max()) / fy;
                let thickest_share = (2.0 * width.max(height)).max(0.2);
                Wanted::Nearest { share: settings.near_share, thickest_share }
            }
        };
        let depths = candidates
            .iter()
            .map(|candidate| Weighed { depth_m: candidate.depth_m, weight: candidate.weight });
        let too_few = |found| LocateError::TooFewPoints { found, needed: settings.fewest_points };
        let surface = separate(depths.collect(), wanted).ok_or_else(|| too_few(0))?;
        let eroded = match region {
            Region::Mask(mask) => self.eroded(&candidates, mask, &surface, settings),
            Region::Box(_) => None,
        };
        let (mut points, mut without_ray) = (Vec::new(), 0);
        for candidate in eroded.as_ref().unwrap_or(&candidates) {
            if !surface.holds(candidate.depth_m) {
                continue;
            }
            let pixel = Point2::new(f64::from(candidate.x), f64::from(candidate.y));
            match self.camera.point_from_pixel(&pixel, candidate.depth_m) {
                Ok(position) => points.push(ForegroundPoint {
                    position,
                    in_source_px: self.in_source_px(candidate.x, candidate.y),
                }),
                Err(_) => without_ray += 1,
            }
        }
        if points.len() < settings.fewest_points.max(1) {
            return Err(too_few(points.len()));
        }
        let [across, down] = self.source_px_per_depth_px;
        Ok(Foreground {
            points,
            pixels: within.len(),
            with_depth,
            eroded: eroded.is_some(),
            without_ray,
            depth_median_m: surface.median_m,
            depth_mad_m: surface.mad_m,
            source_px_at_1_m: [1.0 / (fx * across), 1.0 / (fy * down)],
        })
    }

    /// The pixels of a region with their weights, no more than `most`; the depth is not looked at.
    fn region(&self, region: &Region<'_>, most: usize) -> Result<Vec<Candidate>, LocateError> {
        let (width, height) = (self.depth.width(), self.depth.height());
        let mut within = Vec::new();
        let mut add = |x, y, weight| within.push(Candidate { x, y, depth_m: 0.0, weight });
        match region {
            Region::Box(pixels) => {
                let corners = pixels.corners();
                if corners.iter().any(|corner| !corner.is_finite()) || pixels.area() <= 0.0 {
                    return Err(LocateError::BadBox { corners });
                }
                let [across, down] = self.source_px_per_depth_px;
                let [x0, y0, x1, y1] = corners.map(f64::from);
                // Columns whose centres lie between two edges.
                let between = |low: f64, high: f64, side: u32| {
                    let clamped =
                        |edge: f64| (edge - 0.5).ceil().clamp(0.0, f64::from(side)) as u32;
                    clamped(low)..clamped(high)
                };
                let weight = |at: f64, low: f64, high: f64| {
                    let from_middle = 2.0 * (at - low) / (high - low) - 1.0;
                    1.0 - 0.75 * from_middle * from_middle
                };
                let rows = between(y0 / down, y1 / down, height);
                let columns = between(x0 / across, x1 / across, width);
                let every = every_for(rows.len() * columns.len(), most);
                for y in rows.step_by(every) {
                    for x in columns.clone().step_by(every) {
                        let at = self.in_source_px(x, y);
                        add(x, y, weight(at.x, x0, x1) * weight(at.y, y0, y1));
                    }
                }
            }
            Region::Mask(mask) => {
                // Where its box lies in the depth picture, rounded outwards.
                let [x0, y0, x1, y1] = mask.box_px().map_or([0.0; 4], |area| area.corners());
                let range = |from: f32, to: f32, side: u32, of_mask: u32| {
                    let scale = f64::from(side) / f64::from(of_mask.max(1));
                    let first = (f64::from(from) * scale).floor() as u32;
                    first..((f64::from(to) * scale).ceil() as u32).min(side)
                };
                for y in range(y0, y1, height, mask.height()) {
                    let columns = range(x0, x1, width, mask.width());
                    for x in columns.filter(|x| self.masked(mask, i64::from(*x), i64::from(y))) {
                        add(x, y, 1.0);
                    }
                }
                let every = every_for(within.len(), most) as u32;
                if every > 1 {
                    within.retain(|at| at.x.is_multiple_of(every) && at.y.is_multiple_of(every));
                }
            }
        }
        Ok(within)
    }

    /// Whether the mask holds the place that a pixel of the depth picture shows.
    fn masked(&self, mask: &Mask, x: i64, y: i64) -> bool {
        let place = |at: i64, side: u32, of_mask: u32| {
            let at = ((at as f64 + 0.5) / f64::from(side) * f64::from(of_mask)).floor();
            (at >= 0.0 && at < f64::from(of_mask)).then_some(at as u32)
        };
        place(x, self.depth.width(), mask.width())
            .zip(place(y, self.depth.height(), mask.height()))
            .is_some_and(|(x, y)| mask.holds(x, y))
    }

    /// The pixels whose depth is known, in range, and not smeared; and how many there were before
    /// the smeared ones were left out.
    fn candidates(
        &self,
        within: &[Candidate],
        settings: &LocateSettings,
    ) -> Result<(Vec<Candidate>, usize), LocateError> {
        let mut known: Vec<_> = within
            .iter()
            .filter_map(|pixel| {
                let depth_m = self.depth_at(i64::from(pixel.x), i64::from(pixel.y))?;
                Some(Candidate { depth_m, ..*pixel })
            })
            .collect();
        if known.is_empty() {
            return Err(LocateError::NoDepth { pixels: within.len() });
        }
        let (nearest_m, furthest_m) = (settings.nearest_m, settings.furthest_m);
        let in_range = |pixel: &Candidate| (nearest_m..=furthest_m).contains(&pixel.depth_m);
        if !known.iter().any(in_range) {
            let pixels = known.len();
            let (_, middle, _) =
                known.select_nth_unstable_by(pixels / 2, |a, b| a.depth_m.total_cmp(&b.depth_m));
            let found_m = middle.depth_m;
            return Err(LocateError::OutOfRange { found_m, pixels, nearest_m, furthest_m });
        }
        known.retain(in_range);
        let with_depth = known.len();
        known.retain(|pixel| !self.is_smeared(pixel, settings.smear_share));
        if known.len() < settings.fewest_points.max(1) {
            let needed = settings.fewest_points.max(1);
            return Err(LocateError::TooFewPoints { found: known.len(), needed });
        }
        Ok((known, with_depth))
    }

    /// Whether a pixel hangs between a near and a far surface: a sensor that averages over a pixel
    /// or interpolates puts it where nothing is.
    fn is_smeared(&self, pixel: &Candidate, smear_share: f64) -> bool {
        let (x, y) = (i64::from(pixel.x), i64::from(pixel.y));
        let [fx, fy] = self.camera.focal_px();
        let least = pixel.depth_m * smear_share.max(STEEPEST / fx.min(fy));
        [(1, 0), (0, 1)].into_iter().any(|(dx, dy)| {
            let (Some(one), Some(other)) =
                (self.depth_at(x - dx, y - dy), self.depth_at(x + dx, y + dy))
            else {
                return false;
            };
            let (rise, further) = (pixel.depth_m - one, other - pixel.depth_m);
            rise * further > 0.0 && rise.abs().min(further.abs()) > least
        })
    }

    /// The pixels of a mask that have the mask on all sides, where enough of them lie on the
    /// surface. Masks reach over the edge by a pixel, and depth is at its worst there.
    fn eroded(
        &self,
        candidates: &[Candidate],
        mask: &Mask,
        surface: &Surface,
        settings: &LocateSettings,
    ) -> Option<Vec<Candidate>> {
        let inside = |pixel: &&Candidate| {
            let (x, y) = (i64::from(pixel.x), i64::from(pixel.y));
            (-1..=1).all(|dy| (-1..=1).all(|dx| self.masked(mask, x + dx, y + dy)))
        };
        let eroded: Vec<_> = candidates.iter().filter(inside).copied().collect();
        let on_surface = eroded.iter().filter(|pixel| surface.holds(pixel.depth_m)).count();
        (on_surface >= settings.fewest_points.max(1)).then_some(eroded)
    }
}

/// The step in both directions that leaves no more than about `most` of so many pixels.
fn every_for(pixels: usize, most: usize) -> usize {
    let least = (pixels as f64 / most.max(1) as f64).sqrt();
    (least.ceil() as usize).max(1)
}

impl Foreground {
    /// Share of the region's pixels that have a depth within range, in `[0, 1]`.
    #[must_use]
    pub fn depth_share(&self) -> f64 {
        self.with_depth as f64 / self.pixels.max(1) as f64
    }

    /// The points with their colours. `image` is the source picture.
    #[must_use]
    pub fn coloured(&self, image: &RgbImage) -> Vec<ColouredPoint> {
        let colour = |place: &Point2<f64>| {
            let pixel = image.get_pixel_checked(place.x as u32, place.y as u32);
            pixel.map_or([0; 3], |pixel| pixel.0)
        };
        self.points
            .iter()
            .map(|point| ColouredPoint {
                position: point.position.coords.map(|metres| metres as f32).into(),
                rgb: colour(&point.in_source_px),
            })
            .collect()
    }
}
