//! Camera models against OpenCV, against themselves, and against what no camera is.

use nalgebra::{Point2, Point3, Vector3};
use proptest::prelude::*;

use super::*;

const K: [f64; 9] = [610.5, 0.0, 321.25, 0.0, 612.0, 243.5, 0.0, 0.0, 1.0];
const PLUMB_BOB: [f64; 5] = [-0.28, 0.09, 0.0011, -0.0007, -0.012];
const RATIONAL: [f64; 8] = [0.51, -2.9, 0.0006, -0.0003, 1.67, 0.39, -2.7, 1.6];
const EQUIDISTANT: [f64; 4] = [0.05, -0.012, 0.004, -0.0009];

fn fields<'a>(distortion_model: &'a str, d: &'a [f64]) -> CameraFields<'a> {
    CameraFields { width: 641, height: 479, distortion_model, d, k: K, ..Default::default() }
}

fn raw(distortion_model: &str, d: &[f64]) -> CameraModel {
    fields(distortion_model, d).model(PictureKind::Raw).unwrap()
}

fn refused(change: impl FnOnce(&mut CameraFields<'static>)) -> CameraError {
    let mut changed = fields("plumb_bob", &PLUMB_BOB);
    change(&mut changed);
    changed.model(PictureKind::Raw).unwrap_err()
}

/// Printed by OpenCV 5.0.0: `cv2.projectPoints` and `cv2.fisheye.projectPoints`.
#[test]
fn points_land_where_opencv_puts_them() {
    let points = [[0.0, 0.0, 1.0], [0.3, -0.2, 1.0], [-0.5, 0.4, 1.25], [0.9, 0.7, 2.0]];
    let models = [
        (
            raw("plumb_bob", &PLUMB_BOB),
            [
                [321.25, 243.5],
                [497.7940180833999, 125.56519655359999],
                [93.11073322361895, 426.5465623643115],
                [573.3730327515625, 440.40457973749994],
            ],
        ),
        (
            raw("rational_polynomial", &RATIONAL),
            [
                [321.25, 243.5],
                [506.5462364605796, 119.69748415410893],
                [71.94613866799264, 443.49093319347224],
                [602.1707872209945, 462.69653577754855],
            ],
        ),
        (
            raw("equidistant", &EQUIDISTANT),
            [
                [321.25, 243.5],
                [498.05371763892305, 125.34125012828727],
                [93.16836444088392, 426.41362615846555],
                [574.0927090198591, 440.6386232488991],
            ],
        ),
    ];
    for (model, expected) in models {
        for (point, expected) in points.into_iter().zip(expected) {
            let pixel = model.pixel_from_point(&Point3::from(point)).unwrap();
            assert!((pixel - Point2::from(expected)).norm() < 1e-9, "{pixel} {expected:?}");
            let back = model.point_from_pixel(&pixel, point[2]).unwrap();
            assert!((back - Point3::from(point)).norm() < 1e-9, "{back} {point:?}");
        }
    }
}

#[test]
fn every_pixel_of_a_calibrated_picture_has_a_ray() {
    for model in [
        raw("", &[]),
        raw("plumb_bob", &PLUMB_BOB),
        raw("rational_polynomial", &RATIONAL),
        raw("equidistant", &EQUIDISTANT),
    ] {
        for y in (0..479).step_by(7).chain([478]) {
            for x in (0..641).step_by(9).chain([640]) {
                let pixel = Point2::new(f64::from(x), f64::from(y));
                let ray = model.ray_from_pixel(&pixel).unwrap();
                let back = model.pixel_from_ray(&ray).unwrap();
                assert!((back - pixel).norm() < 1e-6, "{pixel} {back}");
            }
        }
    }
}

#[test]
fn what_is_no_calibration_is_refused_with_what_was_expected() {
    let message = |error: CameraError| error.to_string();
    assert_eq!(
        message(refused(|camera| camera.k = [0.0; 9])),
        "the camera is not calibrated: `k` holds no focal length"
    );
    assert_eq!(
        message(refused(|camera| camera.k[2] = f64::NAN)),
        "expected finite numbers, found NaN in `k[2]`"
    );
    assert_eq!(
        message(refused(|camera| camera.d = &[0.1, 0.2, 0.3])),
        "expected 5 (or 4, or none) coefficients in `d` for plumb_bob, found 3"
    );
    assert_eq!(
        message(refused(|camera| camera.distortion_model = "kannala")),
        "expected a distortion model of plumb_bob, rational_polynomial, equidistant or none, \
         found \"kannala\""
    );
    assert!(matches!(
        refused(|camera| camera.k[0] = -600.0),
        CameraError::FocalLength { field: "k", index: 0, .. }
    ));
    assert!(matches!(
        refused(|camera| camera.k[4] = 0.0),
        CameraError::FocalLength { field: "k", index: 4, .. }
    ));
    assert!(matches!(
        refused(|camera| camera.k[5] = 1e9),
        CameraError::PrincipalPoint { index: 5, .. }
    ));
    assert!(matches!(
        refused(|camera| camera.k[1] = 2.0),
        CameraError::MatrixForm { field: "k", index: 1, expected: 0.0, found: 2.0 }
    ));
    assert!(matches!(
        refused(|camera| camera.k[8] = 0.0),
        CameraError::MatrixForm { index: 8, expected: 1.0, .. }
    ));
    assert!(matches!(refused(|camera| camera.r[0] = 1.0), CameraError::NotARotation { .. }));
    assert!(matches!(refused(|camera| camera.width = 0), CameraError::EmptyPicture { .. }));
    assert!(matches!(
        refused(
            |camera| camera.roi = SensorRegion { x_offset: 600, y_offset: 0, width: 42, height: 9 }
        ),
        CameraError::RegionOutside { x: 600, region_width: 42, .. }
    ));
    assert!(matches!(
        refused(|camera| {
            camera.roi = SensorRegion { x_offset: u32::MAX, y_offset: 0, width: 9, height: 9 };
        }),
        CameraError::RegionOutside { .. }
    ));
    assert!(matches!(refused(|camera| camera.binning_y = 480), CameraError::EmptyPicture { .. }));
    assert!(matches!(
        refused(|camera| camera.d = &[-1e300, 1e300, 0.0, 0.0, 1e308]),
        CameraError::FoldsAtCentre { .. }
    ));
    // `p` is empty: there is no rectified picture of this camera.
    assert!(matches!(
        fields("", &[]).model(PictureKind::Rectified),
        Err(CameraError::NotCalibrated { matrix: "p" })
    ));
    assert_eq!(
        raw("", &[]).check_picture(640, 479).unwrap_err().to_string(),
        "expected a picture of 641 x 479 as the calibration has it, found 640 x 479"
    );
}

#[test]
fn the_rectified_picture_has_no_distortion_and_its_own_matrix() {
    let mut both = fields("plumb_bob", &PLUMB_BOB);
    both.p = [500.0, 0.0, 320.0, -60.0, 0.0, 501.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let (sin, cos) = 0.02_f64.sin_cos();
    both.r = [cos, 0.0, sin, 0.0, 1.0, 0.0, -sin, 0.0, cos];
    let rectified = both.model(PictureKind::Rectified).unwrap();
    assert!(rectified.is_ideal());
    assert_eq!((rectified.focal_px(), rectified.centre_px()), ([500.0, 501.0], [320.0, 240.0]));
    let raw = both.model(PictureKind::Raw).unwrap();
    assert!(!raw.is_ideal());
    assert!((raw.rectified_from_picture().angle() - 0.02).abs() < 1e-12);
    assert_eq!(rectified.rectified_from_picture(), Rotation3::identity());
}

#[test]
fn a_region_and_binning_are_what_the_picture_shows() {
    let mut part = fields("plumb_bob", &PLUMB_BOB);
    let whole = part.model(PictureKind::Raw).unwrap();
    part.roi = SensorRegion { x_offset: 100, y_offset: 40, width: 401, height: 300 };
    (part.binning_x, part.binning_y) = (2, 3);
    let part = part.model(PictureKind::Raw).unwrap();
    assert_eq!((part.width(), part.height()), (200, 100));
    // Binned pixel (7, 5) is made of columns 114 and 115 and rows 55 to 57 of the sensor.
    let one = part.ray_from_pixel(&Point2::new(7.0, 5.0)).unwrap();
    let other = whole.ray_from_pixel(&Point2::new(114.5, 56.0)).unwrap();
    assert!((one.into_inner() - other.into_inner()).norm() < 1e-12);
}

#[test]
fn a_lens_model_is_not_used_where_it_folds() {
    // x (1 - 0.5 x²) has its highest point at x = sqrt(2 / 3).
    let folding = raw("plumb_bob", &[-0.5, 0.0, 0.0, 0.0, 0.0]);
    assert!((folding.widest_rad().tan() - (2.0_f64 / 3.0).sqrt()).abs() < 1e-9);
    // Without the check this point would land inside of the picture, at x = 0.9 (1 - 0.405).
    assert_eq!(folding.pixel_from_ray(&Vector3::new(0.9, 0.0, 1.0)), Err(RayError::OutsideLens));
    let furthest = (2.0_f64 / 3.0).sqrt() * (2.0 / 3.0);
    let at = |distance: f64| Point2::new(K[2] + distance * K[0], K[5]);
    let ray = folding.ray_from_pixel(&at(furthest - 1e-6)).unwrap();
    assert!(ray.x / ray.z < (2.0_f64 / 3.0).sqrt());
    assert_eq!(folding.ray_from_pixel(&at(furthest + 1e-3)), Err(RayError::OutsideLens));
}

#[test]
fn a_fisheye_sees_sideways_and_a_pinhole_does_not() {
    let fisheye = raw("equidistant", &[0.0; 4]);
    let sideways = Vector3::new(1.0, 0.0, -0.2);
    let pixel = fisheye.pixel_from_ray(&sideways).unwrap();
    assert!((fisheye.ray_from_pixel(&pixel).unwrap().dot(&sideways.normalize()) - 1.0) < 1e-12);
    assert_eq!(fisheye.point_from_pixel(&pixel, 1.0), Err(RayError::BehindCamera));
    let pinhole = raw("", &[]);
    for behind in [sideways, Vector3::x(), Vector3::zeros(), -Vector3::z()] {
        assert_eq!(pinhole.pixel_from_ray(&behind), Err(RayError::BehindCamera));
    }
    assert_eq!(fisheye.pixel_from_ray(&-Vector3::z()), Err(RayError::BehindCamera));
}

#[test]
fn another_resolution_of_the_same_camera_sees_the_same() {
    let model = raw("plumb_bob", &PLUMB_BOB);
    let half = model.resized(320, 240).unwrap();
    half.check_picture(320, 240).unwrap();
    // The corners of the pictures are the same place.
    let corner = model.ray_from_pixel(&Point2::new(640.5, 478.5)).unwrap();
    let same = half.ray_from_pixel(&Point2::new(319.5, 239.5)).unwrap();
    assert!((corner.into_inner() - same.into_inner()).norm() < 1e-9);
    assert!(matches!(model.resized(320, 200), Err(CameraError::PictureShape { .. })));
    assert!(matches!(model.resized(0, 240), Err(CameraError::EmptyPicture { .. })));
}

#[test]
fn what_is_not_finite_never_comes_out_as_a_number() {
    for model in [raw("plumb_bob", &PLUMB_BOB), raw("equidistant", &EQUIDISTANT)] {
        for bad in [f64::NAN, f64::INFINITY, 1e308] {
            assert!(model.ray_from_pixel(&Point2::new(bad, 0.0)).is_err());
            assert!(model.pixel_from_ray(&Vector3::new(bad, bad, bad)).is_err());
            let far = model.point_from_pixel(&Point2::new(600.0, 0.0), bad);
            assert!(far.is_err() || far.unwrap().coords.iter().all(|value| value.is_finite()));
        }
        assert_eq!(
            model.point_from_pixel(&Point2::new(3.0, 3.0), 0.0),
            Err(RayError::BehindCamera)
        );
    }
}

#[test]
fn pixels_count_from_centres_and_boxes_from_edges() {
    let whole = PixelBox::from_corners([0.0, 0.0, 641.0, 479.0]);
    assert_eq!(CameraModel::centre_of(&whole), Point2::new(320.0, 239.0));
    let model = raw("", &[]);
    assert!(model.sees(&Point2::new(-0.5, 478.4)) && !model.sees(&Point2::new(-0.6, 0.0)));
    assert!(!model.sees(&Point2::new(640.5, 0.0)) && !model.sees(&Point2::new(f64::NAN, 0.0)));
}

/// A camera of any shape whose lens is as strong as those that are sold.
fn any_camera() -> impl Strategy<Value = CameraModel> {
    let lens = prop_oneof![
        Just(("none", vec![])),
        prop::array::uniform5(-1.0..1.0_f64).prop_map(|[k1, k2, p1, p2, k3]| {
            ("plumb_bob", vec![0.35 * k1, 0.1 * k2, 3e-3 * p1, 3e-3 * p2, 0.02 * k3])
        }),
        prop::array::uniform8(-1.0..1.0_f64).prop_map(|[k1, k2, p1, p2, k3, k4, k5, k6]| {
            let d = [0.6 * k1, 0.2 * k2, 2e-3 * p1, 2e-3 * p2, 0.05 * k3, 0.5 * k4, 0.2 * k5];
            ("rational_polynomial", [&d[..], &[0.05 * k6]].concat())
        }),
        prop::array::uniform4(-1.0..1.0_f64).prop_map(|[k1, k2, k3, k4]| {
            ("equidistant", vec![0.1 * k1, 0.03 * k2, 0.01 * k3, 0.003 * k4])
        }),
    ];
    let size = (17_u32..1500, 17_u32..1500);
    (lens, size, 0.6..2.5_f64, 0.9..1.1_f64, -0.1..0.1_f64, -0.1..0.1_f64).prop_map(
        |((name, d), (width, height), focal, aspect, off_x, off_y)| {
            let focal = focal * f64::from(width.max(height));
            let mut k = K;
            (k[0], k[4]) = (focal, focal * aspect);
            k[2] = f64::from(width) * (0.5 + off_x);
            k[5] = f64::from(height) * (0.5 + off_y);
            let camera = CameraFields {
                width,
                height,
                distortion_model: name,
                d: &d,
                k,
                ..Default::default()
            };
            camera.model(PictureKind::Raw).unwrap()
        },
    )
}

proptest! {
    #[test]
    fn pixels_and_rays_are_one_to_one_up_to_the_border(
        camera in any_camera(),
        (across, down) in (0.0..=1.0_f64, 0.0..=1.0_f64),
        depth_m in 0.05..50.0_f64,
    ) {
        let pixel = Point2::new(
            across * f64::from(camera.width()) - 0.5,
            down * f64::from(camera.height()) - 0.5,
        );
        // Outside of what the lens covers an error is the answer, and never another ray.
        match camera.point_from_pixel(&pixel, depth_m) {
            Ok(point) => {
                prop_assert!((point.z - depth_m).abs() < 1e-9 * depth_m);
                let back = camera.pixel_from_point(&point).unwrap();
                prop_assert!((back - pixel).norm() < 1e-5, "{pixel} {back}");
            }
            Err(error) => prop_assert_eq!(error, RayError::OutsideLens),
        }
    }

    #[test]
    fn points_in_view_come_back(
        camera in any_camera(),
        (x, y, z) in (-0.25..0.25_f64, -0.25..0.25_f64, 0.1..20.0_f64),
    ) {
        let point = Point3::new(x * z, y * z, z);
        let pixel = camera.pixel_from_point(&point);
        prop_assume!(pixel.is_ok());
        let back = camera.point_from_pixel(&pixel.unwrap(), z).unwrap();
        prop_assert!((back - point).norm() < 1e-6 * z, "{point} {back}");
    }

    #[test]
    fn nothing_in_a_message_makes_it_panic_or_give_nan(
        model in prop::sample::select(vec!["plumb_bob", "rational_polynomial", "equidistant", "", "?"]),
        d in prop::collection::vec(prop_oneof![any::<f64>(), -10.0..10.0_f64], 0..9),
        k in prop::array::uniform9(prop_oneof![2 => any::<f64>(), 8 => Just(f64::NAN)]),
        (width, height) in (any::<u32>(), any::<u32>()),
        (x, y) in (any::<f64>(), any::<f64>()),
        binning in any::<u32>(),
    ) {
        // NaN stands for "as it should be" here, so that most cameras are nearly right.
        let k = std::array::from_fn(|index| if k[index].is_nan() { K[index] } else { k[index] });
        let fields = CameraFields {
            width, height, distortion_model: model, d: &d, k, binning_x: binning,
            ..Default::default()
        };
        let Ok(camera) = fields.model(PictureKind::Raw) else { return Ok(()) };
        for pixel in [Point2::new(x, y), Point2::new(3.0, 5.0)] {
            if let Ok(ray) = camera.ray_from_pixel(&pixel) {
                prop_assert!((ray.norm() - 1.0).abs() < 1e-9);
            }
        }
        if let Ok(pixel) = camera.pixel_from_ray(&Vector3::new(x, y, 1.0)) {
            prop_assert!(pixel.coords.iter().all(|value| value.is_finite()));
        }
    }
}
