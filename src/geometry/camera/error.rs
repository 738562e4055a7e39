//! Why a calibration or a pixel cannot be used.

/// A calibration that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CameraError {
    /// The camera says that it is not calibrated, as ROS has it: the focal length is zero.
    #[error("the camera is not calibrated: `{matrix}` holds no focal length")]
    NotCalibrated {
        /// The matrix that was asked for: `k` for raw pictures, `p` for rectified ones.
        matrix: &'static str,
    },
    /// A picture without pixels.
    #[error("expected a width and a height above 0, found {width} x {height}")]
    EmptyPicture {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// NaN or infinity.
    #[error("expected finite numbers, found {value} in `{field}[{index}]`")]
    NotFinite {
        /// `d`, `k`, `r` or `p`.
        field: &'static str,
        /// Index into the field.
        index: usize,
        /// What stands there.
        value: f64,
    },
    /// A focal length that no camera has.
    #[error("expected focal lengths from {min} to {max} px, found {found} in `{field}[{index}]`")]
    FocalLength {
        /// `k` or `p`.
        field: &'static str,
        /// Index into the field.
        index: usize,
        /// What stands there, in pixels.
        found: f64,
        /// Smallest that is taken, in pixels.
        min: f64,
        /// Largest that is taken, in pixels.
        max: f64,
    },
    /// A principal point that no camera has.
    #[error(
        "expected a principal point within {max} px of the picture's corner, found {found} in \
         `{field}[{index}]`"
    )]
    PrincipalPoint {
        /// `k` or `p`.
        field: &'static str,
        /// Index into the field.
        index: usize,
        /// What stands there, in pixels.
        found: f64,
        /// Largest magnitude that is taken, in pixels.
        max: f64,
    },
    /// A number that is fixed in every camera matrix has another value.
    #[error("expected {expected} in `{field}[{index}]`, found {found}")]
    MatrixForm {
        /// `k` or `p`.
        field: &'static str,
        /// Index into the field.
        index: usize,
        /// What stands there in every camera matrix.
        expected: f64,
        /// What was found.
        found: f64,
    },
    /// A matrix that is to be a rotation and is none.
    #[error("expected a rotation in `r`, found one that is off by {error:.3e}")]
    NotARotation {
        /// Largest element of `r * transpose(r) - 1`; infinite for a reflection.
        error: f64,
    },
    /// A distortion model that is not known.
    #[error(
        "expected a distortion model of plumb_bob, rational_polynomial, equidistant or none, found {found:?}"
    )]
    UnknownModel {
        /// What was found.
        found: String,
    },
    /// A number of coefficients that does not belong to the model.
    #[error("expected {expected} coefficients in `d` for {model}, found {found}")]
    CoefficientCount {
        /// The distortion model.
        model: &'static str,
        /// How many it has.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// Coefficients with which not even the middle of the picture is one to one.
    #[error(
        "expected a distortion that grows from the middle outwards, found one that folds at {at_degrees:.2} degrees off the axis"
    )]
    FoldsAtCentre {
        /// Where the model folds, in degrees off the axis.
        at_degrees: f64,
    },
    /// A region of the sensor that lies outside of it.
    #[error(
        "expected a region within {width} x {height}, found {region_width} x {region_height} at ({x}, {y})"
    )]
    RegionOutside {
        /// Columns of the sensor.
        width: u32,
        /// Rows of the sensor.
        height: u32,
        /// Leftmost column of the region.
        x: u32,
        /// Topmost row of the region.
        y: u32,
        /// Columns of the region.
        region_width: u32,
        /// Rows of the region.
        region_height: u32,
    },
    /// The picture has another size than the camera describes.
    #[error(
        "expected a picture of {expected_width} x {expected_height} as the calibration has it, \
         found {width} x {height}"
    )]
    PictureSize {
        /// Columns that the calibration describes.
        expected_width: u32,
        /// Rows that the calibration describes.
        expected_height: u32,
        /// Columns of the picture.
        width: u32,
        /// Rows of the picture.
        height: u32,
    },
    /// Another resolution of the same camera would have the same shape.
    #[error(
        "expected the shape of {expected_width} x {expected_height} in another resolution, \
         found {width} x {height}"
    )]
    PictureShape {
        /// Columns that the calibration describes.
        expected_width: u32,
        /// Rows that the calibration describes.
        expected_height: u32,
        /// Columns that were asked for.
        width: u32,
        /// Rows that were asked for.
        height: u32,
    },
}

/// A pixel that has no ray, or a point that has no pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum RayError {
    /// The pixel or the point holds NaN or infinity, or is too far away for f64.
    #[error("expected a finite pixel or point")]
    NotFinite,
    /// The point lies behind the camera, in its plane, or in its centre.
    #[error("expected a point in front of the camera")]
    BehindCamera,
    /// The lens model folds back before it comes that far out: several rays share a pixel there,
    /// and the calibration says nothing about it.
    #[error("expected a place that the lens model covers")]
    OutsideLens,
    /// The distortion could not be inverted to the tolerance.
    #[error("expected the inverse of the distortion to settle")]
    NotSettled,
}
