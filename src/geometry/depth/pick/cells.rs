//! The window of a depth picture around a mask.

use nalgebra::{Point2, Point3};

use super::super::foreground::every_for;
use super::super::separate::{Surface, Wanted, Weighed, separate};
use super::super::{LocateError, LocateSettings, Scene};
use crate::types::Mask;

/// The window of the depth picture around a mask, in steps of `every` pixels.
pub(super) struct Cells {
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// Pixels from one cell to the next.
    pub(super) every: usize,
    /// The depth pixel of the first cell.
    first: (u32, u32),
    pub(super) masked: Vec<bool>,
    /// Depth in metres where it is known, masked and on the thing's surface; 0 elsewhere.
    pub(super) depths_m: Vec<f64>,
}

impl Scene<'_> {
    /// The cells of a mask's window with their depths, and the surface that most of them lie on.
    pub(super) fn cells(
        &self,
        mask: &Mask,
        locate: &LocateSettings,
        most: usize,
    ) -> Result<(Cells, Surface), LocateError> {
        let [columns, rows] = self.window_of(mask);
        let every = every_for(columns.len() * rows.len(), most);
        let first = (columns.start, rows.start);
        let (columns, rows) = (columns.step_by(every), rows.step_by(every));
        let mut cells = Cells {
            columns: columns.len(),
            rows: rows.len(),
            every,
            first,
            masked: Vec::new(),
            depths_m: Vec::new(),
        };
        for y in rows {
            for x in columns.clone() {
                let (x, y) = (i64::from(x), i64::from(y));
                let masked = self.masked(mask, x, y);
                cells.masked.push(masked);
                let depth = masked.then(|| self.depth_at(x, y)).flatten();
                cells.depths_m.push(depth.unwrap_or(0.0));
            }
        }
        let pixels = cells.masked.iter().filter(|masked| **masked).count();
        if pixels == 0 {
            return Err(LocateError::EmptyRegion);
        }
        let mut known: Vec<f64> = cells.depths_m.iter().copied().filter(|z| *z > 0.0).collect();
        if known.is_empty() {
            return Err(LocateError::NoDepth { pixels });
        }
        let (nearest_m, furthest_m) = (locate.nearest_m, locate.furthest_m);
        let in_range = |depth: &f64| (nearest_m..=furthest_m).contains(depth);
        if !known.iter().any(in_range) {
            let (pixels, middle) = (known.len(), known.len() / 2);
            let found_m = *known.select_nth_unstable_by(middle, f64::total_cmp).1;
            return Err(LocateError::OutOfRange { found_m, pixels, nearest_m, furthest_m });
        }
        known.retain(in_range);
        let weighed = known.iter().map(|depth_m| Weighed { depth_m: *depth_m, weight: 1.0 });
        let needed = locate.fewest_points.max(1);
        let surface = separate(weighed.collect(), Wanted::Largest)
            .ok_or(LocateError::TooFewPoints { found: 0, needed })?;
        for depth in &mut cells.depths_m {
            if !surface.holds(*depth) {
                *depth = 0.0;
            }
        }
        let found = cells.depths_m.iter().filter(|depth| **depth > 0.0).count();
        match found < needed {
            true => Err(LocateError::TooFewPoints { found, needed }),
            false => Ok((cells, surface)),
        }
    }

    pub(super) fn point_of(&self, cells: &Cells, at: usize) -> Option<Point3<f64>> {
        let depth_m = cells.depths_m[at];
        let (x, y) = cells.pixel(at);
        let pixel = Point2::new(f64::from(x), f64::from(y));
        (depth_m > 0.0).then(|| self.camera.point_from_pixel(&pixel, depth_m).ok()).flatten()
    }
}

impl Cells {
    /// Column and row of a cell.
    pub(super) fn place(&self, at: usize) -> (i64, i64) {
        let columns = self.columns.max(1);
        ((at % columns) as i64, (at / columns) as i64)
    }

    /// All cells with their columns and rows.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, i64, i64)> + '_ {
        (0..self.masked.len()).map(|at| {
            let (x, y) = self.place(at);
            (at, x, y)
        })
    }

    pub(super) fn index(&self, x: i64, y: i64) -> Option<usize> {
        let x = usize::try_from(x).ok().filter(|x| *x < self.columns)?;
        let y = usize::try_from(y).ok().filter(|y| *y < self.rows)?;
        Some(y * self.columns + x)
    }

    /// The pixel of the depth picture.
    pub(super) fn pixel(&self, at: usize) -> (u32, u32) {
        let (x, y) = self.place(at);
        let every = self.every as u32;
        // Cells lie in the picture.
        (self.first.0 + x as u32 * every, self.first.1 + y as u32 * every)
    }

    /// The mean depth of a cell and its neighbours on the surface, over inverse depth; `None` where
    /// there are none.
    pub(super) fn smoothed(&self, at: usize) -> Option<f64> {
        let (x, y) = self.place(at);
        let (mut count, mut sum) = (0.0, 0.0);
        for (dx, dy) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy))) {
            let depth = self.index(x + dx, y + dy).map_or(0.0, |at| self.depths_m[at]);
            if depth > 0.0 {
                count += 1.0;
                sum += 1.0 / depth;
            }
        }
        (count > 0.0).then(|| count / sum)
    }
}
