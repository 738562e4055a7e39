//! What is made beside places: pick points and the scene from above.

use image::{Rgb, RgbImage};

use super::*;
use crate::config::Config;
use crate::types::{InstanceMask, LocateMode, Mask};

const BOUNDS: [[f64; 2]; 3] = [[-0.4, 0.6], [-0.3, 0.3], [-0.1, 0.4]];

/// A cuboid that stands on the world's origin, seen from above and aside, with all that places
/// need.
fn seen(settings: SpatialSettings) -> (Cuboid, Box<View>, Mask, PixelBox) {
    let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), 0.4);
    let world_from_box = Isometry3::from_parts(Translation3::new(0.1, 0.0, 0.1), turn);
    let cuboid = Cuboid { world_from_box, size_m: Vector3::new(0.3, 0.16, 0.2) };
    let world_from_camera = looking_at(&Point3::new(0.1, 0.0, 0.1), 0.3, 1.2, 0.9);
    let colour = calibration("optical", LENSES[0]);
    let (picture, pixels) = shoot(&model(&colour), &world_from_camera, &cuboid);
    // The wall lies at four metres.
    let mask = picture.metres().iter().map(|metres| *metres < 3.0).collect();
    let mask = Mask::new(SIZE[0], SIZE[1], mask);
    let mut spatial = Spatial::new(SpatialSettings {
        target_frame: Some("world".into()),
        heightmap: Some(HeightGrid::new(BOUNDS, 0.02).unwrap()),
        ..settings
    });
    let pose = transform(SHOT, "world", "optical", &world_from_camera);
    spatial.transforms(&[pose], true).unwrap();
    spatial.calibration("front", CalibrationOf::Colour, colour).unwrap();
    spatial.depth("front", depth("optical", SHOT, picture));
    spatial.image("front", SHOT, Stamp(0));
    let view = ready(spatial.resolve("front", &header("optical"), SIZE, Stamp(MS))).unwrap();
    (cuboid, view, mask, pixels)
}

fn masked(pixels: PixelBox, mask: &Mask) -> FrameDetections {
    let mut found = found("optical", &[pixels, pixels]);
    let mask = InstanceMask { mask: mask.clone(), predicted_iou: None };
    found.detections[1].mask = Some(mask);
    found.detections[1].score = 0.5;
    found.has_masks = true;
    found
}

#[test]
fn a_pick_is_given_in_the_target_frame_and_a_detection_without_a_mask_has_a_reason() {
    let picks = Some(PickSettings { radius_m: 0.03, ..PickSettings::default() });
    let (cuboid, view, mask, pixels) = seen(SpatialSettings { picks, ..Default::default() });
    let found = masked(pixels, &mask);
    let located = view.locate(&found, Extras::default());
    let picks = located.places.picks.as_ref().unwrap();
    let no_pick = picks[0].as_ref().unwrap_err();
    assert_eq!(no_pick.kind, NoPlaceKind::NoMask);
    assert!(no_pick.reason.contains("`segmenter`"), "{no_pick}");
    let pick = picks[1].as_ref().unwrap();
    // Seen from above its top is what can be picked, 0.2 m up, across its shorter side.
    assert!((Vector3::from(pick.normal) - Vector3::z()).norm() < 0.02, "{pick:?}");
    let middle = Point3::from(pick.position_m) - Point3::new(0.1, 0.0, 0.2);
    assert!(middle.z.abs() < 2e-3 && middle.norm() < 0.06, "{pick:?}");
    let [x, y, z, w] = pick.orientation_xyzw;
    let turn = UnitQuaternion::from_quaternion(nalgebra::Quaternion::new(w, x, y, z));
    assert!((turn * Vector3::z() + Vector3::z()).norm() < 0.02, "the way in is down");
    let across = cuboid.world_from_box * Vector3::y();
    assert!((turn * Vector3::y()).dot(&across).abs() > 0.99, "{pick:?}");
    // A pixel is 6 mm wide there.
    assert!((pick.width_m - 0.16).abs() < 0.013 && (pick.length_m - 0.3).abs() < 0.02, "{pick:?}");
    assert!(pick.score > 0.8, "{pick:?}");

    let mut counts = PlaceCounts::default();
    counts.add(&located.places, None);
    assert_eq!((counts.picked, counts.unpicked[&NoPlaceKind::NoMask]), (1, 1));
    assert_eq!(counts.newest_picks, Some([1, 2]));
    assert_eq!(counts.newest_pick_reason.unwrap().kind, NoPlaceKind::NoMask);
    // The best is the only one, unless another prompt is asked for.
    let best = |prompt: Option<&str>| {
        let mut places = located.places.clone();
        places.pick_prompt = prompt.map(Into::into);
        places.best_pick(&found).map(|(index, _)| index)
    };
    assert_eq!((best(None), best(Some("a box")), best(Some("a mug"))), (Some(1), Some(1), None));
    // Nothing is looked for that was not asked for.
    let (_, view, ..) = seen(SpatialSettings::default());
    assert_eq!(view.locate(&found, Extras::default()).places.picks, None);
}

#[test]
fn from_above_each_cell_has_its_height_its_colour_and_the_best_score() {
    let (cuboid, view, mask, pixels) = seen(SpatialSettings::default());
    let image = RgbImage::from_fn(SIZE[0], SIZE[1], |x, y| match mask.holds(x, y) {
        true => Rgb([200, 10, 10]),
        false => Rgb([10, 10, 200]),
    });
    let mut found = masked(pixels, &mask);
    // A box alone would be filled; here the mask speaks.
    found.detections.remove(0);
    let extras = Extras { heightmap: Some(&image), ..Extras::default() };
    let map = view.locate(&found, extras).heightmap.unwrap();
    assert_eq!((&*map.header.frame_id, map.width, map.height), ("world", 50, 30));
    let mut on_top = 0;
    for (at, height) in map.heights_m.iter().enumerate().filter(|(_, height)| !height.is_nan()) {
        let (x, y) = ((at % 50) as u32, (at / 50) as u32);
        let in_world = Point3::new(
            BOUNDS[0][0] + 0.02 * (f64::from(x) + 0.5),
            BOUNDS[1][0] + 0.02 * (f64::from(y) + 0.5),
            0.1,
        );
        let in_box = cuboid.world_from_box.inverse_transform_point(&in_world);
        let off = [in_box.x.abs() - 0.15, in_box.y.abs() - 0.08];
        if off[0] < -0.02 && off[1] < -0.02 {
            // The lower bound lies 0.1 m below the world's origin.
            assert!((height - 0.3).abs() < 1e-3, "{height} at {x}, {y}");
            assert_eq!(map.scores[at], 0.5);
            assert_eq!(map.labels.get_pixel(x, y).0, [1]);
            assert_eq!(map.colours.get_pixel(x, y).0, [200, 10, 10]);
            on_top += 1;
        }
        assert!(off[0] < 0.02 && off[1] < 0.02, "nothing else is in the bounds: {x}, {y}");
    }
    assert!(on_top > 40, "{on_top}");
    assert!(map.scores.iter().zip(&map.heights_m).all(|(s, h)| *s == 0.0 || !h.is_nan()));
    // With nothing found there are heights all the same, and no scores.
    found.detections.clear();
    let (_, view, ..) = seen(SpatialSettings::default());
    let empty = view.locate(&found, extras).heightmap.unwrap();
    assert_eq!(empty.heights_m.len(), 1500);
    assert!(empty.heights_m.iter().any(|height| !height.is_nan()));
    assert!(empty.scores.iter().all(|score| *score == 0.0));
    // A prompt that is asked for and found nothing has no scores either.
    let picks = SpatialSettings { pick_prompt: Some("a mug".into()), ..Default::default() };
    let (_, view, mask, pixels) = seen(picks);
    let map = view.locate(&masked(pixels, &mask), extras).heightmap.unwrap();
    assert!(map.scores.iter().all(|score| *score == 0.0));
}

#[test]
fn a_frame_without_depth_has_neither_picks_nor_a_map() {
    let late = NoPlace::new(NoPlaceKind::NoDepth, "none has come");
    let located = LocatedFrame::without(header("world"), 2, late);
    assert!(located.places.picks.is_none() && located.heightmap.is_none());
}

#[test]
fn parameters_that_contradict_each_other_are_refused_with_their_names() {
    let on = Config {
        picks: true,
        heightmap: true,
        target_frame: Some("base_link".to_owned()),
        ..Config::default()
    };
    let settings = SpatialSettings::of(&on).unwrap();
    // As typed, and not as f32 has it.
    assert_eq!(settings.picks.unwrap().radius_m, 0.01);
    let grid = settings.heightmap.unwrap();
    assert_eq!((grid.columns(), grid.rows()), (160, 320));
    let refused = |config: Config| SpatialSettings::of(&config).unwrap_err().to_string();
    let never = refused(Config { locate: LocateMode::Never, ..on.clone() });
    assert_eq!(never, "picks: expected `locate` to be auto or always, found never");
    let nowhere = refused(Config { target_frame: None, ..on.clone() });
    assert!(nowhere.contains("heightmap: expected a `target_frame`"), "{nowhere}");
    assert!(nowhere.ends_with("found none"), "{nowhere}");
    let optical = Some("camera_optical_frame".to_owned());
    let optical = refused(Config { target_frame: optical, ..on.clone() });
    assert!(optical.contains("whose z is forward"), "{optical}");
    let giant = refused(Config { heightmap_m_per_px: 1e-5, ..on });
    assert!(giant.contains("heightmap_m_per_px: expected at most 4194304 cells"), "{giant}");
    assert_eq!(SpatialSettings::of(&Config::default()).unwrap(), SpatialSettings::default());
}
