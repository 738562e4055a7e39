//! Objects in depth pictures that are rendered analytically, with what depth cameras do to them.

use image::{Rgb, RgbImage};
use nalgebra::{Isometry3, Point3, UnitQuaternion, Vector3};
use proptest::prelude::*;

use super::*;

mod scene;

use scene::{World, camera, distorted, standing, yaw_error};

#[test]
fn a_standing_cuboid_is_found_with_its_yaw_and_its_size() {
    let size = [0.30, 0.18, 0.22];
    for (model, yaw) in [(camera(), 0.4), (camera(), 1.2), (distorted(), -0.3)] {
        let (world, up) = standing(size, [0.05, 0.05, 1.0], (yaw, 0.7));
        let shot = world.shoot(&model);
        let depth = shot.spoiled(0.002, 0.1, 7);
        let scene = Scene::new(&depth, &model).unwrap();
        let mask = Mask::new(321, 241, shot.mask.clone());
        let found = scene.foreground(&Region::Mask(&mask), &LocateSettings::default()).unwrap();
        assert!(found.eroded && (found.depth_share() - 0.9).abs() < 0.03);
        let located = found.locate(Some(&up), Some(DepthNoise { at_1_m: 0.002 }));

        // Three faces are visible. A pixel is 3.5 mm; one is eroded and the ends are trimmed.
        let centre = world.camera_from_cuboid * Point3::origin();
        let off = (located.oriented_box.centre() - centre).norm();
        assert!(off < 0.015, "centre off by {off} m");
        assert!(yaw_error(&located.oriented_box, &world, &up) < 2.0);
        // The longer horizontal side comes first, then the other one, then the height.
        let expected = Vector3::from(size);
        let size = located.oriented_box.size_m;
        assert!((size - expected).amax() < 0.02, "{size} instead of {expected}");

        let visible = world.visible_points(&model, &shot);
        let nearest = visible.iter().map(|p| (p - located.surface).norm()).fold(1.0, f64::min);
        assert!(nearest < 0.05, "surface {nearest} m off");
        let deviation = located.covariance.unwrap().symmetric_eigenvalues().map(f64::sqrt);
        assert!(deviation.min() > 0.001 && deviation.max() < 0.006, "{deviation}");
    }
}

#[test]
fn without_gravity_a_plate_lies_along_its_own_axes() {
    let turn = UnitQuaternion::from_euler_angles(0.5, -0.4, 0.3);
    let world = World {
        camera_from_cuboid: Isometry3::from_parts(Vector3::new(-0.1, 0.05, 0.8).into(), turn),
        size_m: Vector3::new(0.3, 0.15, 0.01),
        wall: (Vector3::z_axis(), 2.0),
    };
    let shot = world.shoot(&camera());
    let mask = Mask::new(321, 241, shot.mask.clone());
    let scene = Scene::new(&shot.depth, &camera()).unwrap();
    let found = scene.foreground(&Region::Mask(&mask), &LocateSettings::default()).unwrap();
    let plate = found.locate(None, None).oriented_box;
    let normal = world.camera_from_cuboid * Vector3::z();
    let angle = |a: Vector3<f64>, b: Vector3<f64>| a.dot(&b).abs().min(1.0).acos().to_degrees();
    assert!(angle(plate.frame_from_box * Vector3::z(), normal) < 2.0);
    assert!(
        angle(plate.frame_from_box * Vector3::x(), world.camera_from_cuboid * Vector3::x()) < 3.0
    );
    assert!((plate.size_m - Vector3::new(0.3, 0.15, 0.0)).amax() < 0.02, "{}", plate.size_m);
    // Towards the camera and to the right, right-handed.
    assert!((plate.frame_from_box * Vector3::z()).z < 0.0);
    assert!((plate.frame_from_box * Vector3::x()).x > 0.0);
    assert_eq!(found.locate(None, None).covariance, None);
}

#[test]
fn a_box_takes_its_object_and_not_what_is_behind_before_or_smeared() {
    // Seen straight, a fifth of the wide box is the cuboid: the rest is wall.
    let (world, up) = standing([0.12, 0.12, 0.12], [0.0, 0.0, 0.9], (0.0, 0.0));
    let shot = world.shoot(&camera());
    let depth = shot.spoiled(0.002, 0.2, 3);
    let scene = Scene::new(&depth, &camera()).unwrap();
    let tight = shot.box_px(0.0);
    let wide = shot.box_px(tight.width() * 0.45);
    for region in [tight, wide] {
        let found = scene.foreground(&Region::Box(region), &LocateSettings::default()).unwrap();
        let located = found.locate(Some(&up), None);
        // The front face lies at 0.84 m.
        assert!(
            (located.surface - Point3::new(0.0, 0.0, 0.84)).norm() < 0.01,
            "{}",
            located.surface
        );
        assert!(found.points.iter().all(|point| point.position.z < 0.9));
        assert!(found.depth_mad_m < 0.01);
    }
}

#[test]
fn a_depth_picture_of_another_resolution_gives_the_same_place() {
    let (world, up) = standing([0.3, 0.2, 0.2], [0.1, 0.0, 1.2], (0.5, 0.5));
    let colour = camera();
    let whole = world.shoot(&colour);
    let region = Region::Box(whole.box_px(2.0));
    let at_size = |width, height| {
        let small = colour.resized(width, height).unwrap();
        let depth = world.shoot(&small).depth;
        let scene = Scene::new(&depth, &colour).unwrap();
        scene.foreground(&region, &LocateSettings::default()).unwrap().locate(Some(&up), None)
    };
    let exact = at_size(321, 241);
    for (width, height) in [(160, 120), (107, 80), (642, 482)] {
        let found = at_size(width, height);
        // Two pixels of the coarser picture.
        let tolerance = 2.0 * 1.2 / 290.0 * (321.0 / f64::from(width)).max(1.0);
        let surface = (found.surface - exact.surface).norm();
        let centre = (found.oriented_box.centre() - exact.oriented_box.centre()).norm();
        assert!(surface.max(centre) < tolerance, "{width}: {surface} {centre}");
    }
    let square = DepthImage::new(100, 100, vec![1.0; 10_000]).unwrap();
    assert!(matches!(Scene::new(&square, &colour), Err(CameraError::PictureShape { .. })));
}

#[test]
fn a_depth_camera_beside_the_colour_camera_is_registered() {
    let (world, up) = standing([0.25, 0.2, 0.2], [0.05, 0.0, 1.0], (0.6, 0.5));
    let colour = distorted();
    let depth_camera = CameraModel::pinhole([240, 200], [200.0, 200.0], [119.5, 99.5]).unwrap();
    let colour_from_depth =
        Isometry3::new(Vector3::new(-0.05, 0.005, 0.01), Vector3::new(0.02, -0.03, 0.01));
    // The same world from where the depth camera stands.
    let depth_from_colour = colour_from_depth.inverse();
    let normal = depth_from_colour * world.wall.0;
    let distance = world.wall.1 + normal.dot(&depth_from_colour.translation.vector);
    let moved = World {
        camera_from_cuboid: depth_from_colour * world.camera_from_cuboid,
        size_m: world.size_m,
        wall: (normal, distance),
    };
    let shot = moved.shoot(&depth_camera);
    let registrar = Registrar::new(&depth_camera, &colour, colour_from_depth).unwrap();
    let registered = registrar.register(&shot.depth).unwrap();
    let counts = registered.counts;
    assert_eq!((counts.with_depth, counts.without_ray), (240 * 200, 0));
    assert!(counts.out_of_view > 0 && counts.hidden < counts.with_depth);

    // What it makes is what the colour camera would have measured, but for pixels at edges.
    let direct = world.shoot(registrar.camera());
    let pairs = registered.depth.metres().iter().zip(direct.depth.metres());
    let known: Vec<_> = pairs.filter(|(made, _)| !made.is_nan()).collect();
    let off = known.iter().filter(|(made, seen)| (*made - *seen).abs() > 0.02).count();
    assert!(off * 20 < known.len(), "{off} of {} pixels are off", known.len());

    let whole = world.shoot(&colour);
    let scene = Scene::new(&registered.depth, &colour).unwrap();
    let region = Region::Box(whole.box_px(2.0));
    let found = scene.foreground(&region, &LocateSettings::default()).unwrap();
    let located = found.locate(Some(&up), None).oriented_box;
    let centre = world.camera_from_cuboid * Point3::origin();
    assert!((located.centre() - centre).norm() < 0.03, "{} {centre}", located.centre());

    let wrong = DepthImage::new(2, 1, vec![1.0; 2]).unwrap();
    assert!(matches!(registrar.register(&wrong), Err(CameraError::PictureSize { .. })));
}

#[test]
fn every_reason_for_having_no_place_has_a_name() {
    let flat = |metres: f32| DepthImage::new(20, 10, vec![metres; 200]).unwrap();
    let model = CameraModel::pinhole([40, 20], [30.0, 30.0], [19.5, 9.5]).unwrap();
    let settings = LocateSettings::default();
    let refused = |depth: &DepthImage, corners: [f32; 4]| {
        let scene = Scene::new(depth, &model).unwrap();
        let region = Region::Box(PixelBox::from_corners(corners));
        scene.foreground(&region, &settings).unwrap_err()
    };
    let whole = [0.0, 0.0, 40.0, 20.0];
    assert_eq!(refused(&flat(f32::NAN), whole), LocateError::NoDepth { pixels: 200 });
    assert!(matches!(refused(&flat(-1.0), whole), LocateError::NoDepth { .. }));
    assert!(matches!(refused(&flat(f32::INFINITY), whole), LocateError::NoDepth { .. }));
    assert_eq!(
        refused(&flat(0.05), whole).to_string(),
        "expected depths from 0.1 to 20 m, found 0.05000000074505806 m (median of 200)"
    );
    let few = refused(&flat(1.0), [0.0, 0.0, 4.0, 4.0]);
    assert_eq!(few, LocateError::TooFewPoints { found: 4, needed: 12 });
    for corners in [[0.0, 0.0, 0.3, 0.3], [50.0, 0.0, 60.0, 9.0], [-9.0, -9.0, -1.0, -1.0]] {
        assert_eq!(refused(&flat(1.0), corners), LocateError::EmptyRegion);
    }
    for corners in [[f32::NAN, 0.0, 9.0, 9.0], [0.0, 0.0, f32::INFINITY, 9.0], [5.0, 5.0, 5.0, 9.0]]
    {
        assert!(matches!(refused(&flat(1.0), corners), LocateError::BadBox { .. }));
    }
    let depth = flat(1.0);
    let scene = Scene::new(&depth, &model).unwrap();
    let nothing = [false; 800];
    let mask = Mask::new(40, 20, nothing.to_vec());
    let empty = scene.foreground(&Region::Mask(&mask), &settings);
    assert_eq!(empty.unwrap_err(), LocateError::EmptyRegion);
}

#[test]
fn a_thin_mask_is_not_eroded_to_nothing() {
    let depth = DepthImage::new(40, 20, vec![1.0; 800]).unwrap();
    let model = CameraModel::pinhole([40, 20], [30.0, 30.0], [19.5, 9.5]).unwrap();
    let scene = Scene::new(&depth, &model).unwrap();
    // Instance 3 is a line of one row, instance 5 a block.
    let numbers: Vec<u16> = (0..800)
        .map(|index| match (index % 40, index / 40) {
            (_, 2) => 3,
            (5..25, 6..16) => 5,
            _ => 0,
        })
        .collect();
    let take = |number| {
        let mask = Mask::new(40, 20, numbers.iter().map(|of| *of == number).collect());
        scene.foreground(&Region::Mask(&mask), &LocateSettings::default()).unwrap()
    };
    let (line, block) = (take(3), take(5));
    assert_eq!((line.eroded, line.points.len(), line.pixels), (false, 40, 40));
    assert_eq!((block.eroded, block.points.len(), block.pixels), (true, 18 * 8, 200));
}

#[test]
fn a_large_region_is_looked_at_in_steps_and_gives_the_same_place() {
    let (world, up) = standing([0.3, 0.3, 0.4], [0.05, 0.0, 0.8], (0.6, 0.5));
    let camera = camera();
    let shot = world.shoot(&camera);
    let scene = Scene::new(&shot.depth, &camera).unwrap();
    let mask = Mask::new(camera.width(), camera.height(), shot.mask.clone());
    for region in [Region::Box(shot.box_px(0.0)), Region::Mask(&mask)] {
        let locate = |most_pixels| {
            let settings = LocateSettings { most_pixels, ..Default::default() };
            let found = scene.foreground(&region, &settings).unwrap();
            (found.pixels, found.locate(Some(&up), None))
        };
        let ((all, whole), (some, coarse)) = (locate(usize::MAX), locate(1000));
        assert!(all > 10_000 && some <= 1000 && some > 300, "{all} {some}");
        let off = (whole.oriented_box.centre() - coarse.oriented_box.centre()).norm();
        assert!(off < 0.01 && (whole.surface - coarse.surface).norm() < 0.01, "{off}");
    }
}

#[test]
fn points_carry_the_colour_of_their_pixel() {
    let depth = DepthImage::new(4, 3, vec![2.0; 12]).unwrap();
    let model = CameraModel::pinhole([8, 6], [10.0, 10.0], [3.5, 2.5]).unwrap();
    let scene = Scene::new(&depth, &model).unwrap();
    let whole = Region::Box(PixelBox::from_corners([0.0, 0.0, 8.0, 6.0]));
    let settings = LocateSettings { fewest_points: 1, ..Default::default() };
    let found = scene.foreground(&whole, &settings).unwrap();
    let image = RgbImage::from_fn(8, 6, |x, y| Rgb([x as u8, y as u8, 7]));
    let cloud = found.coloured(&image);
    assert_eq!(cloud.len(), 12);
    // The second pixel of the first row covers columns 2 and 3 of the colour picture.
    assert_eq!(cloud[1].rgb, [3, 1, 7]);
    assert_eq!(cloud[1].position[2], 2.0);
    // A picture of another size gives no colour and no panic.
    assert_eq!(found.coloured(&RgbImage::new(1, 1))[11].rgb, [0; 3]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    /// Cuboids of a hand's breadth to an arm's length, anywhere in view, at any yaw, seen from
    /// above, on a camera with a lens, spoiled by noise, edges and holes.
    #[test]
    fn cuboids_are_found_from_box_and_mask(
        size in prop::array::uniform3(0.08..0.4_f64),
        (x, y, z) in (-0.2..0.2_f64, -0.1..0.1_f64, 0.7..1.8_f64),
        (yaw, pitch) in (-3.1..3.1_f64, 0.5..1.0_f64),
        seed in any::<u64>(),
        lens in any::<bool>(),
    ) {
        let model = if lens { distorted() } else { camera() };
        let (world, up) = standing(size, [x * z, y * z, z], (yaw, pitch));
        let shot = world.shoot(&model);
        let touches_edge = (0..shot.mask.len()).any(|index| {
            let (column, row) = (index % 321, index / 321);
            shot.mask[index] && (column == 0 || column == 320 || row == 0 || row == 240)
        });
        prop_assume!(!touches_edge);
        let depth = shot.spoiled(0.002, 0.15, seed);
        let scene = Scene::new(&depth, &model).unwrap();
        let settings = LocateSettings::default();
        let centre = world.camera_from_cuboid * Point3::origin();
        let pixel_m = z / 290.0;

        let mask = Mask::new(321, 241, shot.mask.clone());
        let found = scene.foreground(&Region::Mask(&mask), &settings).unwrap();
        let masked = found.locate(Some(&up), None);
        // Two pixels are lost to erosion, three standard deviations of depth to noise, on each
        // side; and a tenth of the longest side, for faces that are seen at a low angle.
        let tolerance = 4.0 * pixel_m + 0.006 * z * z + 0.1 * Vector3::from(size).amax();
        let off = (masked.oriented_box.centre() - centre).norm();
        prop_assert!(off < tolerance, "mask: centre off by {off}, allowed {tolerance}");
        let (long, short) = (size[0].max(size[1]), size[0].min(size[1]));
        let expected = Vector3::new(long, short, size[2]);
        let wrong = (masked.oriented_box.size_m - expected).amax();
        prop_assert!(wrong < 2.0 * tolerance, "mask: size off by {wrong}, allowed {tolerance}");

        // In a box the wall behind is not the object, and the object is whole, but for a far part
        // that fills less than a quarter of it.
        let region = Region::Box(shot.box_px(3.0));
        let boxed = scene.foreground(&region, &settings).unwrap().locate(Some(&up), None);
        let off = (boxed.surface - masked.surface).norm();
        prop_assert!(off < tolerance, "box: surface off by {off}, allowed {tolerance}");
        let off = (boxed.oriented_box.centre() - centre).norm();
        prop_assert!(off < 2.0 * tolerance, "box: centre off by {off}, allowed {tolerance}");
    }

    #[test]
    fn no_depth_picture_breaks_it(
        metres in prop::collection::vec(
            prop_oneof![any::<f32>(), 0.0..3.0_f32, Just(f32::NAN)], 48,
        ),
        corners in prop::array::uniform4(prop_oneof![any::<f32>(), -2.0..10.0_f32]),
        mask in prop::collection::vec(any::<bool>(), 12),
    ) {
        let depth = DepthImage::new(8, 6, metres).unwrap();
        let model = CameraModel::pinhole([8, 6], [9.0, 9.0], [3.5, 2.5]).unwrap();
        let scene = Scene::new(&depth, &model).unwrap();
        let settings = LocateSettings { fewest_points: 1, furthest_m: 1e30, ..Default::default() };
        let regions = [
            Region::Box(PixelBox::from_corners(corners)),
            Region::Mask(&Mask::new(4, 3, mask.clone())),
        ];
        for region in regions {
            let Ok(found) = scene.foreground(&region, &settings) else { continue };
            for up in [None, Some(Vector3::y_axis())] {
                let located = found.locate(up.as_ref(), Some(DepthNoise { at_1_m: 0.001 }));
                let finite = located.surface.coords.iter().all(|value| value.is_finite());
                prop_assert!(finite && located.oriented_box.size_m.iter().all(|side| *side >= 0.0));
            }
        }
    }
}
