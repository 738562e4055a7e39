//! Scenes that are known are projected with every lens model and got back.

use std::f64::consts::PI;

use nalgebra::{Isometry3, Point2, Point3, Rotation3, Translation3, UnitQuaternion, Vector3};
use proptest::prelude::*;

use super::*;
use crate::geometry::{CameraFields, CameraModel};
use crate::types::{
    DepthImage, Detection, FrameDetections, NoPlaceKind, PixelBox, Prompt, PromptSet, StageTimings,
};

mod beside;
mod cameras;

const SIZE: [u32; 2] = [160, 120];
const FOCAL_PX: f64 = 150.0;
const MS: i64 = 1_000_000;
const SHOT: Stamp = Stamp(1000 * MS);

const LENSES: [(&str, &[f64]); 4] = [
    ("plumb_bob", &[]),
    ("plumb_bob", &[-0.28, 0.07, 1e-3, -5e-4, 0.0]),
    ("rational_polynomial", &[0.4, -0.3, 5e-4, -2e-4, 0.02, 0.7, -0.2, 0.01]),
    ("equidistant", &[-0.02, 0.004, -0.001, 0.0]),
];

fn header(frame_id: &str) -> FrameHeader {
    FrameHeader { stamp: SHOT, frame_id: frame_id.into() }
}

fn calibration(frame_id: &str, (model, d): (&str, &[f64])) -> Calibration {
    let [width, height] = SIZE;
    let (cx, cy) = (0.5 * f64::from(width) - 3.0, 0.5 * f64::from(height) + 1.0);
    Calibration {
        header: header(frame_id),
        width,
        height,
        distortion_model: model.to_owned(),
        d: d.to_vec(),
        k: [FOCAL_PX, 0.0, cx, 0.0, FOCAL_PX, cy, 0.0, 0.0, 1.0],
        r: [0.0; 9],
        p: [FOCAL_PX, 0.0, cx, 0.0, 0.0, FOCAL_PX, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        binning: [0; 2],
        region: [0; 4],
    }
}

fn model(calibration: &Calibration) -> CameraModel {
    CameraFields::from(calibration).model(PictureKind::Raw).unwrap()
}

/// Makes a camera one of a stereo pair: its rectification matrix turns by so much about two axes.
/// The pose of the raw picture in the frame of its header comes back.
fn turn(calibration: &mut Calibration, radians: f64) -> Isometry3<f64> {
    let rotation = UnitQuaternion::from_euler_angles(0.5 * radians, radians, 0.0);
    let rows = rotation.to_rotation_matrix().into_inner().transpose();
    calibration.r.copy_from_slice(rows.as_slice());
    Isometry3::from_parts(Translation3::identity(), rotation)
}

/// A cuboid somewhere in the world, with a wall far behind it.
#[derive(Clone, Copy, Debug)]
struct Cuboid {
    world_from_box: Isometry3<f64>,
    size_m: Vector3<f64>,
}

impl Cuboid {
    /// How far along a ray it is hit.
    fn hit(&self, origin: &Point3<f64>, ray: &Vector3<f64>) -> Option<f64> {
        let origin = self.world_from_box.inverse_transform_point(origin);
        let ray = self.world_from_box.inverse_transform_vector(ray);
        let (mut near, mut far) = (f64::NEG_INFINITY, f64::INFINITY);
        for axis in 0..3 {
            let half = 0.5 * self.size_m[axis];
            let one = (-half - origin[axis]) / ray[axis];
            let other = (half - origin[axis]) / ray[axis];
            near = near.max(one.min(other));
            far = far.min(one.max(other));
        }
        (near < far && near > 0.0).then_some(near)
    }
}

/// What a depth camera sees, and the box around the cuboid in its picture.
fn shoot(
    camera: &CameraModel,
    world_from_camera: &Isometry3<f64>,
    cuboid: &Cuboid,
) -> (DepthImage, PixelBox) {
    let origin = world_from_camera * Point3::origin();
    let [width, height] = SIZE;
    let mut metres = Vec::new();
    let mut seen = [f32::INFINITY, f32::INFINITY, 0.0, 0.0];
    for y in 0..height {
        for x in 0..width {
            let pixel = Point2::new(f64::from(x), f64::from(y));
            let Ok(ray) = camera.ray_from_pixel(&pixel) else {
                metres.push(f32::NAN);
                continue;
            };
            let hit = cuboid.hit(&origin, &(world_from_camera * ray.into_inner()));
            metres.push(hit.map_or(4.0, |far| far * ray.z) as f32);
            if hit.is_some() {
                let (x, y) = (x as f32, y as f32);
                seen = [seen[0].min(x), seen[1].min(y), seen[2].max(x + 1.0), seen[3].max(y + 1.0)];
            }
        }
    }
    (DepthImage::new(width, height, metres).unwrap(), PixelBox::from_corners(seen))
}

fn found(frame_id: &str, boxes: &[PixelBox]) -> FrameDetections {
    let prompts = vec![Prompt::from_text("a box")];
    let detection = |pixels: &PixelBox| Detection {
        prompt: 0,
        score: 0.9,
        objectness: None,
        box_in_source_px: *pixels,
        mask: None,
        finer: Vec::new(),
        explanation: None,
    };
    FrameDetections {
        camera: "front".into(),
        header: header(frame_id),
        width: SIZE[0],
        height: SIZE[1],
        prompts: Arc::new(PromptSet { version: 1, prompts, default_threshold: 0.1 }),
        detections: boxes.iter().map(detection).collect(),
        weak: Vec::new(),
        has_masks: false,
        track_ids: None,
        timings: StageTimings::default(),
    }
}

fn depth(frame_id: &str, stamp: Stamp, picture: DepthImage) -> Depth {
    let header = FrameHeader { stamp, frame_id: frame_id.into() };
    Depth { header, picture: LazyDepth::new(Box::new(move || Ok(picture))) }
}

fn transform(stamp: Stamp, parent: &str, child: &str, pose: &Isometry3<f64>) -> FrameTransform {
    FrameTransform {
        stamp,
        parent: parent.to_owned(),
        child: child.to_owned(),
        translation_m: pose.translation.vector.into(),
        rotation_xyzw: pose.rotation.coords.into(),
    }
}

fn in_world() -> Spatial {
    let target_frame = Some("world".into());
    Spatial::new(SpatialSettings { target_frame, ..SpatialSettings::default() })
}

/// A camera at a distance that looks down at a point.
fn looking_at(target: &Point3<f64>, azimuth: f64, elevation: f64, far_m: f64) -> Isometry3<f64> {
    let out = Vector3::new(
        azimuth.cos() * elevation.cos(),
        azimuth.sin() * elevation.cos(),
        elevation.sin(),
    );
    let z = -out;
    let x = z.cross(&Vector3::z()).normalize();
    let rotation = Rotation3::from_basis_unchecked(&[x, z.cross(&x), z]);
    let position = target + out * far_m;
    Isometry3::from_parts(
        Translation3::from(position.coords),
        UnitQuaternion::from_rotation_matrix(&rotation),
    )
}

fn ready(resolution: Resolution) -> Result<Box<View>, NoPlace> {
    match resolution {
        Resolution::Ready(answer) => answer,
        Resolution::Wait(until) => panic!("waits until {until}"),
    }
}

/// How far two boxes are from each other: centres, and sizes whichever side is called x.
fn off_by(place: &crate::types::Place, cuboid: &Cuboid) -> (f64, f64) {
    let centre = Vector3::from(place.position_m) - cuboid.world_from_box.translation.vector;
    let sorted = |mut sides: [f64; 2]| {
        sides.sort_by(f64::total_cmp);
        sides
    };
    let [x, y, z] = place.size_m;
    let (found, real) = (sorted([x, y]), sorted([cuboid.size_m.x, cuboid.size_m.y]));
    let size = [found[0] - real[0], found[1] - real[1], z - cuboid.size_m.z];
    (centre.norm(), size.iter().fold(0.0, |most: f64, off| most.max(off.abs())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A cuboid of which three faces show comes back whole, whatever the lens, with the camera in
    /// motion and its pose known before and after the shot, depth beside colour or in it, and as a
    /// camera alone or one of a stereo pair, rectified or not.
    #[test]
    fn a_known_scene_comes_back_with_every_lens_model(
        lens in 0..LENSES.len(),
        depth_lens in 0..LENSES.len(),
        is_registered in any::<bool>(),
        turned in prop::option::of(-0.06..0.06_f64),
        is_rectified in any::<bool>(),
        azimuth in -PI..PI,
        elevation in 0.45..0.9_f64,
        corner in 0.35..1.2_f64,
        size in prop::array::uniform3(0.12..0.28_f64),
        place in prop::array::uniform3(-3.0..3.0_f64),
    ) {
        let centre = Point3::from(place);
        // A vertical edge faces the camera, more or less.
        let yaw = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), azimuth + corner);
        let world_from_box = Isometry3::from_parts(Translation3::from(centre.coords), yaw);
        let cuboid = Cuboid { world_from_box, size_m: size.into() };
        let world_from_camera = looking_at(&centre, azimuth, elevation, 0.9);
        let mut colour = calibration("optical", LENSES[lens]);
        let kind = if is_rectified { PictureKind::Rectified } else { PictureKind::Raw };
        let mut optical_from_picture = Isometry3::identity();
        if let Some(turned) = turned {
            let optical_from_raw = turn(&mut colour, turned);
            if !is_rectified {
                optical_from_picture = optical_from_raw;
            }
        }

        let mut spatial = in_world();
        spatial.set_picture_kind("front", kind);
        let moved = Translation3::new(0.02, -0.01, 0.005);
        for (stamp, pose) in [
            (Stamp(SHOT.0 - 40 * MS), moved.inverse() * world_from_camera),
            (Stamp(SHOT.0 + 40 * MS), moved * world_from_camera),
        ] {
            spatial.transforms(&[transform(stamp, "world", "optical", &pose)], false).unwrap();
        }
        let camera = CameraFields::from(&colour).model(kind).unwrap();
        let (aligned, pixels) =
            shoot(&camera, &(world_from_camera * optical_from_picture), &cuboid);
        spatial.calibration("front", CalibrationOf::Colour, colour).unwrap();
        if is_registered {
            spatial.depth("front", depth("optical", SHOT, aligned));
        } else {
            let beside = Isometry3::new(Vector3::new(0.02, 0.0, 0.0), Vector3::new(0.0, 0.01, 0.0));
            spatial.transforms(&[transform(SHOT, "optical", "ir", &beside)], true).unwrap();
            let mut infrared = calibration("ir", LENSES[depth_lens]);
            let ir_from_picture = turn(&mut infrared, turned.map_or(0.0, |radians| -radians));
            let world_from_picture = world_from_camera * beside * ir_from_picture;
            let (seen, _) = shoot(&model(&infrared), &world_from_picture, &cuboid);
            spatial.calibration("front", CalibrationOf::Depth, infrared).unwrap();
            spatial.depth("front", depth("ir", Stamp(SHOT.0 + 20 * MS), seen));
        }
        spatial.image("front", SHOT, Stamp(0));
        let view = ready(spatial.resolve("front", &header("optical"), SIZE, Stamp(MS))).unwrap();
        let located = view.locate(&found("optical", &[pixels]), Extras::default());
        prop_assert_eq!(&*located.places.header.frame_id, "world");
        let placed = located.places.places[0].as_ref().unwrap();

        // A pixel is 6 mm wide there. Edges are known to a pixel or two, and where depth is moved
        // from one camera to another, to one more; boxes leave out the outermost hundredth.
        let tolerance_m = if is_registered { 0.022 } else { 0.035 };
        let (centre_off, size_off) = off_by(placed, &cuboid);
        prop_assert!(centre_off < tolerance_m, "centre {centre_off}, size {size_off}");
        prop_assert!(size_off < 1.5 * tolerance_m, "centre {centre_off}, size {size_off}");
        // The middle of the surface lies on the surface.
        let surface = world_from_box.inverse_transform_point(&Point3::from(placed.surface_m));
        let outside = (0..3)
            .map(|axis| surface[axis].abs() - 0.5 * size[axis])
            .fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(outside < 0.015, "{outside} m out of the cuboid");
    }
}

/// A camera that looks at a cuboid, everything told but what a test leaves out.
struct Setup {
    spatial: Spatial,
    pixels: PixelBox,
    picture: DepthImage,
}

fn setup() -> Setup {
    let world_from_box = Isometry3::translation(0.1, 0.0, 0.05);
    let cuboid = Cuboid { world_from_box, size_m: Vector3::new(0.2, 0.2, 0.2) };
    let world_from_camera = looking_at(&Point3::new(0.0, 0.0, 0.0), 0.5, 0.6, 1.0);
    let colour = calibration("optical", LENSES[0]);
    let (picture, pixels) = shoot(&model(&colour), &world_from_camera, &cuboid);
    let mut spatial = in_world();
    let pose = transform(SHOT, "world", "optical", &world_from_camera);
    spatial.transforms(&[pose], true).unwrap();
    spatial.image("front", SHOT, Stamp(0));
    Setup { spatial, pixels, picture }
}

impl Setup {
    fn answer(&mut self, now: Stamp) -> Option<Result<Box<View>, NoPlace>> {
        match self.spatial.resolve("front", &header("optical"), SIZE, now) {
            Resolution::Wait(_) => None,
            Resolution::Ready(answer) => Some(answer),
        }
    }

    /// Waits while something may come, and then says what is missing.
    #[track_caller]
    fn lacks(&mut self, kind: NoPlaceKind, text: &str) {
        assert!(self.answer(Stamp(0)).is_none(), "it may still come");
        let Some(Err(no_place)) = self.answer(Stamp(500 * MS)) else {
            panic!("nothing is missing")
        };
        assert_eq!(no_place.kind, kind, "{no_place}");
        assert!(no_place.reason.contains(text), "{no_place}");
    }
}

#[test]
fn what_is_missing_is_waited_for_and_then_named() {
    setup().lacks(NoPlaceKind::NoDepth, "no depth picture has come");

    let mut unseen = setup();
    let picture = unseen.picture.clone();
    unseen.spatial.depth("front", depth("optical", SHOT, picture.clone()));
    unseen.lacks(NoPlaceKind::NoCalibration, "camera_info");

    let mut elsewhere = setup();
    elsewhere.spatial.settings.target_frame = Some("map".into());
    let colour = calibration("optical", LENSES[0]);
    elsewhere.spatial.calibration("front", CalibrationOf::Colour, colour.clone()).unwrap();
    elsewhere.spatial.depth("front", depth("optical", SHOT, picture.clone()));
    elsewhere.lacks(NoPlaceKind::NoTransform, "frame \"map\" is not known");

    let mut apart = setup();
    apart.spatial.calibration("front", CalibrationOf::Colour, colour.clone()).unwrap();
    apart.spatial.depth("front", depth("infrared", SHOT, picture.clone()));
    apart.lacks(NoPlaceKind::NoCalibration, "\"infrared\" and the image of \"optical\"");

    let mut early = setup();
    early.spatial.depth("front", depth("optical", Stamp(SHOT.0 - 400 * MS), picture.clone()));
    early.lacks(NoPlaceKind::DepthTooOld, "0.400 s older than the image, more than 0.05 s");

    // What will not come is not waited for.
    let mut late = setup();
    late.spatial.depth("front", depth("optical", Stamp(SHOT.0 + 70 * MS), picture.clone()));
    let answer = late.answer(Stamp(0)).unwrap().map(|_| ()).unwrap_err();
    assert_eq!(answer.kind, NoPlaceKind::DepthTooNew);
    let mut small = setup();
    let small_colour = Calibration { width: 80, ..colour.clone() };
    small.spatial.calibration("front", CalibrationOf::Colour, small_colour).unwrap();
    small.spatial.depth("front", depth("optical", SHOT, picture.clone()));
    let answer = small.answer(Stamp(0)).unwrap().map(|_| ()).unwrap_err();
    assert_eq!(answer.kind, NoPlaceKind::BadCalibration);
    assert!(answer.reason.contains("found 160 x 120"), "{answer}");

    // What comes while it is waited for is enough.
    let mut whole = setup();
    whole.spatial.calibration("front", CalibrationOf::Colour, colour).unwrap();
    assert!(whole.answer(Stamp(0)).is_none());
    whole.spatial.depth("front", depth("optical", SHOT, picture));
    let pixels = whole.pixels;
    let view = whole.answer(Stamp(0)).unwrap().unwrap();
    let image = image::RgbImage::from_pixel(SIZE[0], SIZE[1], image::Rgb([1, 2, 3]));
    let nowhere = PixelBox::from_corners([5.0, 5.0, 5.0, 9.0]);
    let mut found = found("optical", &[nowhere, pixels]);
    let with_cloud = Extras { cloud: Some(&image), ..Extras::default() };
    let located = view.locate(&found, with_cloud);
    assert_eq!(located.places.places[0].as_ref().unwrap_err().kind, NoPlaceKind::BadBox);
    let cloud = located.cloud.unwrap();
    assert_eq!(cloud.points.len(), located.places.places[1].as_ref().unwrap().points);
    for point in &cloud.points {
        assert_eq!((point.rgb, point.instance), ([1, 2, 3], 2));
        let [x, y, z] = point.position_m;
        assert!((-0.01..0.21).contains(&x) && y.abs() < 0.11 && (-0.06..0.16).contains(&z));
    }
    // With ids over time points have them, and none where their object has none yet.
    for (id, instance) in [(Some(40_000), 40_000), (None, 0)] {
        found.track_ids = Some(vec![Some(7), id]);
        let with_ids = view.locate(&found, with_cloud).cloud.unwrap();
        assert_eq!(with_ids.points.len(), cloud.points.len());
        assert!(with_ids.points.iter().all(|point| point.instance == instance));
    }
    let answer = whole.answer(Stamp(0)).unwrap().map(|_| ()).unwrap_err();
    assert_eq!(answer.kind, NoPlaceKind::Late, "an image is answered once");
}

#[test]
fn a_broken_depth_picture_is_the_reason_of_every_detection() {
    let mut broken = setup();
    let colour = calibration("optical", LENSES[0]);
    broken.spatial.calibration("front", CalibrationOf::Colour, colour).unwrap();
    let picture = LazyDepth::new(Box::new(|| Err("cut off".to_owned())));
    broken.spatial.depth("front", Depth { header: header("optical"), picture });
    let view = broken.answer(Stamp(0)).unwrap().unwrap();
    let located = view.locate(&found("optical", &[broken.pixels; 3]), Extras::default());
    let mut counts = PlaceCounts::default();
    counts.add(&located.places, located.missing.as_ref());
    assert_eq!((counts.frames, counts.located, counts.detections()), (1, 0, 3));
    assert_eq!(counts.frames_without[&NoPlaceKind::BadDepth], 1);
    assert_eq!(counts.unlocated[&NoPlaceKind::BadDepth], 3);
    assert_eq!(counts.newest, Some([0, 3]));
    // With nothing to be placed nothing is decoded, and nothing is wrong.
    let mut empty = setup();
    empty
        .spatial
        .calibration("front", CalibrationOf::Colour, calibration("optical", LENSES[0]))
        .unwrap();
    let picture = LazyDepth::new(Box::new(|| panic!("decoded")));
    empty.spatial.depth("front", Depth { header: header("optical"), picture });
    let located =
        empty.answer(Stamp(0)).unwrap().unwrap().locate(&found("optical", &[]), Extras::default());
    assert!(located.places.places.is_empty() && located.missing.is_none());
}

#[test]
fn transforms_that_are_refused_are_counted_and_the_others_are_taken() {
    let mut spatial = in_world();
    let good = transform(SHOT, "world", "optical", &Isometry3::identity());
    let bad = FrameTransform { rotation_xyzw: [0.0; 4], ..good.clone() };
    let loops = transform(SHOT, "optical", "world", &Isometry3::identity());
    let (refused, reason) = spatial.transforms(&[bad, good, loops], true).unwrap_err();
    assert_eq!(refused, 2);
    assert!(reason.contains("quaternion"), "{reason}");
    assert_eq!(spatial.transform_counts().taken, 1);
}
