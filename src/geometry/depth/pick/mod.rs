//! Where a gripper may take hold of a thing: of what the camera sees of it, the middle of the
//! largest part that is even, the normal there, and how wide the thing is across.
//!
//! ```text
//! mask, depth ─> cells (on the surface, even) ─> clearance ─> point ─┬─ plane through the patch ─> normal
//!                                                                     └─ points of the thing ────> closing way, width
//! ```

mod cells;
mod clearance;
mod grip;
mod plane;
#[cfg(test)]
mod tests;

use nalgebra::{Point2, Point3, Unit, UnitQuaternion, Vector3};

use super::{LocateError, LocateSettings, Scene};
use crate::types::Mask;
use cells::Cells;
use clearance::clearances;
use grip::{Grip, axes};
use plane::Plane;

/// How pick points are looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PickSettings {
    /// Radius of the patch that a gripper or a suction cup needs, in metres: its plane is looked
    /// at, the width is taken over so much of the thing to both sides, and less room lowers the
    /// score.
    pub radius_m: f64,
    /// A surface that bends by more than this share of its depth within half a patch is no place to
    /// take hold: it is an edge.
    pub rough_share: f64,
    /// Cells that a mask is looked at in; of a larger one every second, third, ... pixel in both
    /// directions.
    pub most_cells: usize,
}

impl Default for PickSettings {
    fn default() -> Self {
        Self { radius_m: 0.01, rough_share: 0.004, most_cells: 40_000 }
    }
}

/// Bends below this say nothing, in metres: depth in whole millimetres has such.
const LEAST_ROUGHNESS_M: f64 = 1.5e-3;

/// Points further off a plane than this share of their depth, and than a millimetre, are not of it.
const NOISE_SHARE: f64 = 0.002;

/// Of all points with this share of the largest clearance the one nearest to the middle is taken:
/// along a bar all have the same.
const AS_CLEAR_SHARE: f64 = 0.9;

/// The smallest radius of even surface, in cells, that a normal can be had from.
const LEAST_CLEARANCE_CELLS: f64 = 2.0;

/// Why there is no pick point.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PickError {
    /// The mask shows no surface: the same reasons as for a place.
    #[error(transparent)]
    NoSurface(#[from] LocateError),
    /// The surface is rough, or too narrow for its normal.
    #[error(
        "expected an even patch at least {needed_px:.1} depth pixels in radius, found {found_px:.1}"
    )]
    NoRoom {
        /// Radius of the largest one, in pixels of the depth picture.
        found_px: f64,
        /// What it takes.
        needed_px: f64,
    },
    /// The patch has too few depths, or all in a line.
    #[error("expected a patch that spans a plane, found {points} points that do not")]
    NoPlane {
        /// Depths in the patch.
        points: usize,
    },
}

/// Where a gripper may take hold of a thing, in metres in the optical frame of the camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PickPoint {
    /// On the surface.
    pub position: Point3<f64>,
    /// The gripper's axes: z is the way in, against the normal; y the way that the fingers close; x
    /// to the right in the picture.
    pub orientation: UnitQuaternion<f64>,
    /// The normal of the surface, towards the camera.
    pub normal: Unit<Vector3<f64>>,
    /// The width of the visible part at the point along y, in metres.
    pub width_m: f64,
    /// The length of the visible part along x, in metres.
    pub length_m: f64,
    /// Radius of the largest even disc around the point, in metres.
    pub room_m: f64,
    /// In `[0, 1]`: see [`Pick::score`](crate::types::Pick::score).
    pub score: f64,
    /// In pixels of the source picture, counted from the edge of its first pixel.
    pub at_source_px: Point2<f64>,
}

impl Scene<'_> {
    /// Where a gripper may take hold of the thing in a mask over the source picture.
    ///
    /// # Errors
    /// The reason why there is no such place.
    pub fn pick(
        &self,
        mask: &Mask,
        locate: &LocateSettings,
        settings: &PickSettings,
    ) -> Result<PickPoint, PickError> {
        let (cells, surface) = self.cells(mask, locate, settings.most_cells)?;
        let even = self.even_cells(&cells, settings, surface.median_m);
        let (at, clear) = self.clearest(&cells, &even)?;
        let [fx, fy] = self.camera.focal_px();
        let focal_px = 0.5 * (fx + fy);
        let m_per_cell = |depth_m: f64| depth_m * cells.every as f64 / focal_px;
        // The outermost cells are of the mask's edge, where depth is at its worst.
        let room_m = (clear - 1.0) * m_per_cell(cells.smoothed(at).unwrap_or(surface.median_m));
        let (patch, in_disc) = self.patch(&cells, at, clear, settings.radius_m);
        let no_plane = PickError::NoPlane { points: patch.len() };
        let noise_m = (NOISE_SHARE * surface.median_m).max(1e-3);
        let plane = Plane::through(&patch, noise_m).ok_or(no_plane)?;

        let (x, y) = cells.pixel(at);
        let pixel = Point2::new(f64::from(x), f64::from(y));
        let ray = self.camera.point_from_pixel(&pixel, 1.0).map_err(|_| no_plane)?;
        let position = plane.meets(&ray.coords).ok_or(no_plane)?;
        let facing = plane.normal.dot(&ray.coords.normalize()).abs();
        let held = plane.inliers as f64 / in_disc.max(1) as f64;
        let score = held * facing * (room_m / settings.radius_m).clamp(0.0, 1.0);

        let points = self.points(&cells);
        // Half a cell at either end belongs to the outermost points.
        let cell_m = m_per_cell(position.z);
        let grip = Grip { position, normal: plane.normal, radius_m: settings.radius_m, cell_m };
        let (closing, width_m, length_m) = grip.across(&points);
        Ok(PickPoint {
            position,
            orientation: axes(&plane.normal, &closing),
            normal: plane.normal,
            width_m,
            length_m,
            room_m,
            score: score.clamp(0.0, 1.0),
            at_source_px: self.in_source_px(x, y),
        })
    }

    /// The cells around which the surface does not bend: over inverse depth, in which every plane
    /// is even however it leans. A single cell that is missing or noisy breaks no surface: its
    /// neighbours speak for it.
    fn even_cells(&self, cells: &Cells, settings: &PickSettings, depth_m: f64) -> Vec<bool> {
        let [fx, fy] = self.camera.focal_px();
        let half_patch_px = 0.5 * settings.radius_m * 0.5 * (fx + fy) / depth_m;
        let step = (half_patch_px / cells.every as f64).round().clamp(1.0, 8.0) as i64;
        let inverse: Vec<_> = (0..cells.masked.len())
            .map(|at| match cells.depths_m[at] > 0.0 {
                true => cells.smoothed(at).map_or(0.0, |depth| 1.0 / depth),
                false => 0.0,
            })
            .collect();
        let inverse_at = |x: i64, y: i64| {
            cells.index(x, y).map(|at| inverse[at]).filter(|inverse| *inverse > 0.0)
        };
        let is_flat: Vec<_> = cells
            .places()
            .map(|(at, x, y)| {
                let here = inverse[at];
                if here <= 0.0 {
                    return false;
                }
                let depth = 1.0 / here;
                let most_m = (settings.rough_share * depth).max(LEAST_ROUGHNESS_M);
                [(step, 0), (0, step)].into_iter().all(|(dx, dy)| {
                    let (Some(one), Some(other)) =
                        (inverse_at(x - dx, y - dy), inverse_at(x + dx, y + dy))
                    else {
                        return true;
                    };
                    (one + other - 2.0 * here).abs() * depth * depth <= most_m
                })
            })
            .collect();
        cells
            .places()
            .map(|(at, x, y)| {
                let around = || {
                    let near = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (x + dx, y + dy)));
                    near.filter_map(|(x, y)| cells.index(x, y)).filter(|at| cells.masked[*at])
                };
                let flat = around().filter(|at| is_flat[*at]).count();
                let known = around().filter(|at| cells.depths_m[*at] > 0.0).count();
                cells.masked[at] && 3 * known >= around().count() && 3 * flat >= 2 * known.max(1)
            })
            .collect()
    }

    /// The cell with the largest even disc around it, of several the one nearest to the middle of
    /// the surface; with the disc's radius in cells.
    fn clearest(&self, cells: &Cells, even: &[bool]) -> Result<(usize, f64), PickError> {
        let clear = clearances(even, cells.columns, cells.rows);
        let widest = clear.iter().copied().fold(0.0, f64::max);
        if widest < LEAST_CLEARANCE_CELLS {
            let every = cells.every as f64;
            let needed_px = LEAST_CLEARANCE_CELLS * every;
            return Err(PickError::NoRoom { found_px: widest * every, needed_px });
        }
        let (mut count, mut sum) = (0.0, (0.0, 0.0));
        for (_, x, y) in cells.places().filter(|(at, ..)| cells.depths_m[*at] > 0.0) {
            count += 1.0;
            sum = (sum.0 + x as f64, sum.1 + y as f64);
        }
        let middle = (sum.0 / f64::max(count, 1.0), sum.1 / f64::max(count, 1.0));
        let off = |x: i64, y: i64| (x as f64 - middle.0).hypot(y as f64 - middle.1);
        let nearest = cells
            .places()
            .filter(|(at, ..)| clear[*at] >= AS_CLEAR_SHARE * widest)
            .min_by(|(_, ax, ay), (_, bx, by)| off(*ax, *ay).total_cmp(&off(*bx, *by)));
        // The widest itself is one of them.
        let at = nearest.map_or(0, |(at, ..)| at);
        Ok((at, clear[at]))
    }

    /// The points of the surface in the disc around a cell, no wider than asked for, and how many
    /// cells the disc has.
    fn patch(
        &self,
        cells: &Cells,
        at: usize,
        clear: f64,
        radius_m: f64,
    ) -> (Vec<Point3<f64>>, usize) {
        let [fx, fy] = self.camera.focal_px();
        let depth_m = cells.smoothed(at).unwrap_or(1.0);
        let asked = radius_m * 0.5 * (fx + fy) / (depth_m * cells.every as f64);
        let radius = clear.min(asked).max(LEAST_CLEARANCE_CELLS);
        let (x, y) = cells.place(at);
        let reach = radius.ceil() as i64;
        let (mut points, mut in_disc) = (Vec::new(), 0);
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let is_within = (dx as f64).hypot(dy as f64) <= radius;
                let Some(at) = cells.index(x + dx, y + dy).filter(|_| is_within) else { continue };
                in_disc += 1;
                points.extend(self.point_of(cells, at));
            }
        }
        (points, in_disc)
    }

    /// All points of the surface.
    fn points(&self, cells: &Cells) -> Vec<Point3<f64>> {
        (0..cells.masked.len()).filter_map(|at| self.point_of(cells, at)).collect()
    }
}
