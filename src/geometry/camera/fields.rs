//! A calibration as messages carry it, and all that can be wrong with it.

use nalgebra::{Matrix3, Rotation3};

use super::lens::{Coefficients, Lens};
use super::{CameraError, CameraModel};
use crate::types::Calibration;

/// Focal lengths in pixels that are taken.
const FOCAL_RANGE_PX: (f64, f64) = (1e-2, 1e7);

/// Largest magnitude of a principal point, in pixels.
const MOST_PRINCIPAL_PX: f64 = 1e6;

/// How far `r` may be from a rotation: calibrations are written with six digits and more.
const ROTATION_TOLERANCE: f64 = 1e-3;

/// The fields of `sensor_msgs/CameraInfo` that describe the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CameraFields<'a> {
    /// Columns at which the camera was calibrated.
    pub width: u32,
    /// Rows at which the camera was calibrated.
    pub height: u32,
    /// Name of the lens model.
    pub distortion_model: &'a str,
    /// Parameters of the lens model.
    pub d: &'a [f64],
    /// Intrinsic matrix of the raw picture, row by row.
    pub k: [f64; 9],
    /// Rectification matrix, row by row; all zero is taken as none.
    pub r: [f64; 9],
    /// Projection matrix of the rectified picture, row by row.
    pub p: [f64; 12],
    /// Columns that were joined into one; 0 and 1 mean none.
    pub binning_x: u32,
    /// Rows that were joined into one; 0 and 1 mean none.
    pub binning_y: u32,
    /// The part of the sensor that the picture shows, in pixels before binning.
    pub roi: SensorRegion,
}

/// The part of a sensor that a picture shows; a width or height of 0 means all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SensorRegion {
    /// Leftmost column.
    pub x_offset: u32,
    /// Topmost row.
    pub y_offset: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Which picture of a camera is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    /// As the sensor gave it (`image_raw`): described by `k` and `d`.
    Raw,
    /// Undistorted and turned (`image_rect`): described by `p`.
    Rectified,
}

impl<'a> From<&'a Calibration> for CameraFields<'a> {
    fn from(calibration: &'a Calibration) -> Self {
        let [binning_x, binning_y] = calibration.binning;
        let [x_offset, y_offset, width, height] = calibration.region;
        Self {
            width: calibration.width,
            height: calibration.height,
            distortion_model: &calibration.distortion_model,
            d: &calibration.d,
            k: calibration.k,
            r: calibration.r,
            p: calibration.p,
            binning_x,
            binning_y,
            roi: SensorRegion { x_offset, y_offset, width, height },
        }
    }
}

impl CameraFields<'_> {
    /// The camera that took pictures of this kind, for pictures of the size that comes out of the
    /// sensor's region and binning.
    ///
    /// The fourth column of `p` is not used: rays start in the optical centre of this camera,
    /// which is the origin of the frame that the message's header names.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn model(&self, kind: PictureKind) -> Result<CameraModel, CameraError> {
        if self.width == 0 || self.height == 0 {
            return Err(CameraError::EmptyPicture { width: self.width, height: self.height });
        }
        finite("d", self.d)?;
        finite("k", &self.k)?;
        finite("r", &self.r)?;
        finite("p", &self.p)?;
        let rectified_from_raw = rotation(&self.r)?;
        let rectified_from_picture = match kind {
            PictureKind::Raw => rectified_from_raw,
            PictureKind::Rectified => Rotation3::identity(),
        };
        let (matrix, columns, values) = match kind {
            PictureKind::Raw => ("k", 3, &self.k[..]),
            PictureKind::Rectified => ("p", 4, &self.p[..]),
        };
        let [focal, centre] = intrinsics(matrix, columns, values)?;
        let lens = match kind {
            PictureKind::Raw => self.lens()?,
            PictureKind::Rectified => lens_of(Coefficients::None)?,
        };
        let whole = CameraModel {
            width: self.width,
            height: self.height,
            focal_px: focal,
            centre_px: centre,
            lens,
            rectified_from_picture,
        };
        self.shown(whole)
    }

    fn lens(&self) -> Result<Lens, CameraError> {
        let wrong = |model, expected| CameraError::CoefficientCount {
            model,
            expected,
            found: self.d.len(),
        };
        lens_of(match (self.distortion_model, self.d) {
            // Drivers of ideal cameras name a model and leave its coefficients out.
            ("" | "none" | "plumb_bob" | "rational_polynomial", []) => Coefficients::None,
            ("" | "none", d) if d.iter().all(|k| *k == 0.0) => Coefficients::None,
            ("" | "none", _) => return Err(wrong("no model", "0")),
            ("plumb_bob", &[k1, k2, p1, p2]) => brown([k1, k2, 0.0], [p1, p2], [0.0; 3]),
            ("plumb_bob", &[k1, k2, p1, p2, k3]) => brown([k1, k2, k3], [p1, p2], [0.0; 3]),
            ("plumb_bob", _) => return Err(wrong("plumb_bob", "5 (or 4, or none)")),
            ("rational_polynomial", &[k1, k2, p1, p2, k3, k4, k5, k6]) => {
                brown([k1, k2, k3], [p1, p2], [k4, k5, k6])
            }
            ("rational_polynomial", _) => {
                return Err(wrong("rational_polynomial", "8 (or none)"));
            }
            // Four zeros are a lens too: one whose picture grows with the angle.
            ("equidistant", &[k1, k2, k3, k4]) => Coefficients::Equidistant([k1, k2, k3, k4]),
            ("equidistant", _) => return Err(wrong("equidistant", "4")),
            (found, _) => return Err(CameraError::UnknownModel { found: shortened(found) }),
        })
    }

    /// What the region and the binning leave of the whole sensor.
    fn shown(&self, whole: CameraModel) -> Result<CameraModel, CameraError> {
        let roi = self.roi;
        let (x, y, columns, rows) = match (roi.width, roi.height) {
            (0, _) | (_, 0) => (0, 0, self.width, self.height),
            _ => (roi.x_offset, roi.y_offset, roi.width, roi.height),
        };
        let fits = |start: u32, length: u32, whole: u32| {
            start.checked_add(length).is_some_and(|end| end <= whole)
        };
        if !fits(x, columns, self.width) || !fits(y, rows, self.height) {
            return Err(CameraError::RegionOutside {
                width: self.width,
                height: self.height,
                x,
                y,
                region_width: columns,
                region_height: rows,
            });
        }
        let (bin_x, bin_y) = (self.binning_x.max(1), self.binning_y.max(1));
        let (width, height) = (columns / bin_x, rows / bin_y);
        if width == 0 || height == 0 {
            return Err(CameraError::EmptyPicture { width, height });
        }
        let [cx, cy] = whole.centre_px;
        let cut = CameraModel {
            width,
            height,
            centre_px: [cx - f64::from(x), cy - f64::from(y)],
            ..whole
        };
        Ok(cut.scaled(1.0 / f64::from(bin_x), 1.0 / f64::from(bin_y)))
    }
}

fn brown(numerator: [f64; 3], tangential: [f64; 2], denominator: [f64; 3]) -> Coefficients {
    let all = [&numerator[..], &tangential, &denominator].concat();
    if all.iter().all(|k| *k == 0.0) {
        return Coefficients::None;
    }
    Coefficients::Brown { numerator, tangential, denominator }
}

fn lens_of(coefficients: Coefficients) -> Result<Lens, CameraError> {
    Lens::new(coefficients).map_err(|at_degrees| CameraError::FoldsAtCentre { at_degrees })
}

fn finite(field: &'static str, values: &[f64]) -> Result<(), CameraError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(CameraError::NotFinite { field, index, value: values[index] }),
    }
}

/// Focal lengths and principal point out of a matrix of so many columns.
pub(super) fn intrinsics(
    field: &'static str,
    columns: usize,
    values: &[f64],
) -> Result<[[f64; 2]; 2], CameraError> {
    let at = |row: usize, column: usize| row * columns + column;
    let (fx, fy) = (at(0, 0), at(1, 1));
    if values[fx] == 0.0 && values[fy] == 0.0 {
        return Err(CameraError::NotCalibrated { matrix: field });
    }
    let (min, max) = FOCAL_RANGE_PX;
    for index in [fx, fy] {
        let found = values[index];
        if !(min..=max).contains(&found) {
            return Err(CameraError::FocalLength { field, index, found, min, max });
        }
    }
    let (cx, cy) = (at(0, 2), at(1, 2));
    for index in [cx, cy] {
        let found = values[index];
        if found.abs() > MOST_PRINCIPAL_PX {
            let max = MOST_PRINCIPAL_PX;
            return Err(CameraError::PrincipalPoint { field, index, found, max });
        }
    }
    let fixed =
        [(at(0, 1), 0.0), (at(1, 0), 0.0), (at(2, 0), 0.0), (at(2, 1), 0.0), (at(2, 2), 1.0)];
    for (index, expected) in fixed {
        // A skew of a millionth of the focal length moves no pixel.
        if (values[index] - expected).abs() > 1e-6 * values[fx].max(1.0) {
            return Err(CameraError::MatrixForm { field, index, expected, found: values[index] });
        }
    }
    Ok([[values[fx], values[fy]], [values[cx], values[cy]]])
}

fn rotation(r: &[f64; 9]) -> Result<Rotation3<f64>, CameraError> {
    if r.iter().all(|value| *value == 0.0) {
        return Ok(Rotation3::identity());
    }
    let matrix = Matrix3::from_row_slice(r);
    let error = match matrix.determinant() > 0.0 {
        true => (matrix * matrix.transpose() - Matrix3::identity()).amax(),
        false => f64::INFINITY,
    };
    // The product of huge numbers is NaN.
    if error.is_nan() || error > ROTATION_TOLERANCE {
        return Err(CameraError::NotARotation { error });
    }
    let mut rotation = Rotation3::from_matrix_unchecked(matrix);
    rotation.renormalize();
    Ok(rotation)
}

/// A name from a message, short enough for a log.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}
