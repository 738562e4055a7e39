//! A scene from straight above.

use nalgebra::{Isometry3, Point2};

use super::depth::Scene;

/// Cells of one map: 2048 x 2048, 16 MiB for each picture of floats.
pub const MOST_CELLS: usize = 1 << 22;

/// Bounds and cells of a heightmap. The picture is orthographic and counts as CLIPort's does:
/// columns along x, rows along y, both rising, each cell as wide as high.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeightGrid {
    bounds_m: [[f64; 2]; 3],
    m_per_px: f64,
    columns: u32,
    rows: u32,
}

/// Bounds that are no grid.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// Upside down, empty, or no number.
    #[error("expected bounds of {axis} from a lower to a higher number, found {low} to {high}")]
    Bounds {
        /// `x`, `y` or `z`.
        axis: &'static str,
        /// The lower bound in metres.
        low: f64,
        /// The upper bound in metres.
        high: f64,
    },
    /// No size of a cell.
    #[error("expected metres for each pixel above 0, found {m_per_px}")]
    CellSize {
        /// What was asked for.
        m_per_px: f64,
    },
    /// Bounds in which not even one cell lies.
    #[error("expected at least one cell, found bounds of {columns} x {rows} cells")]
    NoCells {
        /// Along x.
        columns: f64,
        /// Along y.
        rows: f64,
    },
    /// More cells than a map may have.
    #[error("expected at most {MOST_CELLS} cells, found {columns} x {rows}")]
    TooManyCells {
        /// Along x.
        columns: f64,
        /// Along y.
        rows: f64,
    },
}

/// What was seen in the cells of a grid, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Heights {
    /// Of the highest point in each cell, in metres above the lower bound of z; NaN where nothing
    /// was seen.
    pub heights_m: Vec<f32>,
    /// Where the source picture shows that point, as column and row; `None` where nothing was seen.
    pub seen_at_px: Vec<Option<[u32; 2]>>,
}

impl HeightGrid {
    /// From the lowest and highest x, y and z in metres, and the side of a cell. Columns and rows
    /// are rounded to whole numbers as CLIPort rounds them.
    ///
    /// # Errors
    /// Bounds that hold nothing, and more cells than [`MOST_CELLS`].
    pub fn new(bounds_m: [[f64; 2]; 3], m_per_px: f64) -> Result<Self, GridError> {
        for (axis, [low, high]) in ["x", "y", "z"].into_iter().zip(bounds_m) {
            if !(low.is_finite() && high.is_finite() && low < high) {
                return Err(GridError::Bounds { axis, low, high });
            }
        }
        if !(m_per_px.is_finite() && m_per_px > 0.0) {
            return Err(GridError::CellSize { m_per_px });
        }
        let side = |[low, high]: [f64; 2]| ((high - low) / m_per_px).round();
        let (columns, rows) = (side(bounds_m[0]), side(bounds_m[1]));
        if columns < 1.0 || rows < 1.0 {
            return Err(GridError::NoCells { columns, rows });
        }
        if columns * rows > MOST_CELLS as f64 {
            return Err(GridError::TooManyCells { columns, rows });
        }
        Ok(Self { bounds_m, m_per_px, columns: columns as u32, rows: rows as u32 })
    }

    /// Cells along x.
    #[must_use]
    pub fn columns(&self) -> u32 {
        self.columns
    }

    /// Cells along y.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The cell above which a place lies, as an index row by row; `None` outside of the bounds. The
    /// upper bounds are outside, as in the reference.
    fn cell(&self, x: f64, y: f64, z: f64) -> Option<usize> {
        let is_within = |axis: usize, value: f64| {
            (self.bounds_m[axis][0]..self.bounds_m[axis][1]).contains(&value)
        };
        if !(is_within(0, x) && is_within(1, y) && is_within(2, z)) {
            return None;
        }
        let place = |axis: usize, value: f64, side: u32| {
            let cell = ((value - self.bounds_m[axis][0]) / self.m_per_px).floor() as u32;
            cell.min(side - 1) as usize
        };
        Some(place(1, y, self.rows) * self.columns as usize + place(0, x, self.columns))
    }

    /// What a depth picture shows of the grid's space; `grid_from_picture` is the pose of the
    /// camera's optical frame in the frame of the bounds, whose z is up.
    ///
    /// Cells finer than what a pixel shows stay empty in between: nothing is interpolated.
    #[must_use]
    pub fn heights(&self, scene: &Scene<'_>, grid_from_picture: &Isometry3<f64>) -> Heights {
        let cells = self.columns as usize * self.rows as usize;
        let mut found = Heights { heights_m: vec![f32::NAN; cells], seen_at_px: vec![None; cells] };
        let (camera, depth) = (scene.camera(), scene.depth());
        for (row, line) in (0_u32..).zip(depth.metres().chunks_exact(depth.width().max(1) as usize))
        {
            for (column, metres) in (0_u32..).zip(line) {
                let pixel = Point2::new(f64::from(column), f64::from(row));
                let Ok(point) = camera.point_from_pixel(&pixel, f64::from(*metres)) else {
                    continue;
                };
                let point = grid_from_picture * point;
                let Some(cell) = self.cell(point.x, point.y, point.z) else { continue };
                let height_m = (point.z - self.bounds_m[2][0]) as f32;
                let highest = &mut found.heights_m[cell];
                if highest.is_nan() || *highest < height_m {
                    *highest = height_m;
                    let at = scene.in_source_px(column, row);
                    found.seen_at_px[cell] = Some([at.x as u32, at.y as u32]);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{Point3, Translation3, UnitQuaternion, Vector3};
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::CameraModel;
    use crate::types::DepthImage;

    const BOUNDS: [[f64; 2]; 3] = [[0.2, 0.8], [-0.3, 0.1], [-0.02, 0.3]];

    /// A box on a table at z = 0, seen by a camera that looks down at it, leaning.
    fn scene(
        camera: &CameraModel,
        table_from_picture: &Isometry3<f64>,
        (low, high): ([f64; 3], [f64; 3]),
    ) -> DepthImage {
        let eye = table_from_picture.translation.vector;
        let mut metres = Vec::new();
        for row in 0..camera.height() {
            for column in 0..camera.width() {
                let pixel = Point2::new(f64::from(column), f64::from(row));
                let ray = camera.point_from_pixel(&pixel, 1.0).unwrap().coords;
                let ray = table_from_picture * ray;
                let (mut enter, mut leave) = (0.0_f64, f64::INFINITY);
                for axis in 0..3 {
                    let one = (low[axis] - eye[axis]) / ray[axis];
                    let other = (high[axis] - eye[axis]) / ray[axis];
                    enter = enter.max(one.min(other));
                    leave = leave.min(one.max(other));
                }
                let table = -eye.z / ray.z;
                metres.push(match enter < leave {
                    true => enter,
                    false if table > 0.0 => table,
                    false => f64::NAN,
                } as f32);
            }
        }
        DepthImage::new(camera.width(), camera.height(), metres).unwrap()
    }

    fn looking_down(x: f64, y: f64, lean: (f64, f64)) -> Isometry3<f64> {
        // The optical z looks down, x along the table's x.
        let down = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
        let leaning = UnitQuaternion::from_euler_angles(lean.0, lean.1, 0.0);
        Isometry3::from_parts(Translation3::new(x, y, 0.9), leaning * down)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn a_box_on_a_table_stands_in_its_cells_at_its_height(
            corner in (0.35..0.5_f64, -0.2..-0.1_f64), size in prop::array::uniform3(0.05..0.12_f64),
            lean in (-0.15..0.15_f64, -0.15..0.15_f64),
        ) {
            let low = [corner.0, corner.1, 0.0];
            let high = [low[0] + size[0], low[1] + size[1], size[2]];
            let camera = CameraModel::pinhole([411, 309], [500.0, 500.0], [204.0, 155.5]).unwrap();
            let table_from_picture = looking_down(0.5, -0.1, lean);
            let depth = scene(&camera, &table_from_picture, (low, high));
            let grid = HeightGrid::new(BOUNDS, 0.004).unwrap();
            prop_assert_eq!((grid.columns(), grid.rows()), (150, 100));
            let view = Scene::new(&depth, &camera).unwrap();
            let found = grid.heights(&view, &table_from_picture);
            let (mut on_top, mut on_table) = (0, 0);
            for row in 0..100 {
                for column in 0..150 {
                    let at = row * 150 + column;
                    let height_m = f64::from(found.heights_m[at]);
                    prop_assert_eq!(height_m.is_nan(), found.seen_at_px[at].is_none());
                    if height_m.is_nan() {
                        continue;
                    }
                    let x = BOUNDS[0][0] + 0.004 * (column as f64 + 0.5);
                    let y = BOUNDS[1][0] + 0.004 * (row as f64 + 0.5);
                    // Half a cell is either; so are cells at the box's sides.
                    let inside = |margin: f64| {
                        (low[0] + margin..high[0] - margin).contains(&x)
                            && (low[1] + margin..high[1] - margin).contains(&y)
                    };
                    if inside(0.004) {
                        prop_assert!((height_m - 0.02 - size[2]).abs() < 1e-4, "{}", height_m);
                        on_top += 1;
                        let [u, v] = found.seen_at_px[at].unwrap();
                        let pixel = Point2::new(f64::from(u), f64::from(v));
                        let z = depth.metres()[v as usize * 411 + u as usize];
                        let seen = camera.point_from_pixel(&pixel, f64::from(z)).unwrap();
                        let seen = table_from_picture * seen;
                        prop_assert!((seen - Point3::new(x, y, size[2])).amax() < 0.0021);
                    } else if !inside(-0.004) {
                        prop_assert!((height_m - 0.02).abs() < 1e-4, "{}", height_m);
                        on_table += 1;
                    }
                }
            }
            let cells = (size[0] / 0.004 - 3.0) * (size[1] / 0.004 - 3.0);
            prop_assert!(f64::from(on_top) > 0.9 * cells, "{} of {}", on_top, cells);
            prop_assert!(on_table > 7000, "{}", on_table);
        }
    }

    #[test]
    fn grids_that_hold_nothing_or_too_much_are_refused() {
        let refused = |bounds, m_per_px| HeightGrid::new(bounds, m_per_px).unwrap_err().to_string();
        let [x, y, z] = BOUNDS;
        let upside_down = refused([x, [0.1, -0.3], z], 0.01);
        let expected = "expected bounds of y from a lower to a higher number, found 0.1 to -0.3";
        assert_eq!(upside_down, expected);
        assert!(refused([x, y, [0.0, f64::NAN]], 0.01).contains("bounds of z"));
        assert!(refused([x, y, [0.0, f64::INFINITY]], 0.01).contains("bounds of z"));
        assert!(refused(BOUNDS, 0.0).contains("above 0"));
        assert!(refused(BOUNDS, f64::NAN).contains("above 0"));
        assert!(refused(BOUNDS, 10.0).contains("at least one cell"));
        assert!(refused(BOUNDS, 1e-5).contains("at most 4194304 cells, found 60000 x 40000"));
        assert!(refused(BOUNDS, 1e-300).contains("at most"));
        // CLIPort's own table.
        let own = HeightGrid::new([[0.25, 0.75], [-0.5, 0.5], [0.0, 0.28]], 0.003_125).unwrap();
        assert_eq!((own.columns(), own.rows()), (160, 320));
    }

    #[test]
    fn what_is_not_seen_has_no_height() {
        let camera = CameraModel::pinhole([41, 31], [50.0, 50.0], [20.0, 15.0]).unwrap();
        let depth = DepthImage::new(41, 31, vec![f32::NAN; 41 * 31]).unwrap();
        let view = Scene::new(&depth, &camera).unwrap();
        let grid = HeightGrid::new(BOUNDS, 0.05).unwrap();
        let found = grid.heights(&view, &looking_down(0.5, -0.1, (0.0, 0.0)));
        assert!(found.heights_m.iter().all(|height| height.is_nan()));
        assert!(found.seen_at_px.iter().all(Option::is_none));
    }
}
