//! Lookups against transforms computed directly, and what a buffer must refuse or forget.

use std::f64::consts::{FRAC_PI_2, PI};

use nalgebra::{Isometry3, Point3, UnitQuaternion, Vector3};
use proptest::prelude::*;

use super::*;

const SEC: i64 = 1_000_000_000;
const TURNED: [f64; 4] =
    [0.0, 0.0, std::f64::consts::FRAC_1_SQRT_2, std::f64::consts::FRAC_1_SQRT_2];
const IDENTITY: [f64; 4] = [0.0, 0.0, 0.0, 1.0];

fn at<'a>(secs: f64, parent: &'a str, child: &'a str, x: f64) -> StampedTransform<'a> {
    StampedTransform {
        stamp: Stamp((secs * 1e9).round() as i64),
        parent,
        child,
        translation: [x, 0.0, 0.0],
        rotation: IDENTITY,
    }
}

/// A robot that drives along x at 1 m/s from 100 s to 110 s, with a turned camera on it.
fn robot() -> Buffer {
    let mut buffer = Buffer::default();
    for tenth in 0..=100 {
        let secs = 100.0 + f64::from(tenth) / 10.0;
        buffer.insert(&at(secs, "odom", "base_link", secs - 100.0)).unwrap();
    }
    let camera = StampedTransform { rotation: TURNED, ..at(0.0, "base_link", "camera", 0.5) };
    buffer.insert_static(&camera).unwrap();
    buffer.insert_static(&at(0.0, "base_link", "lidar", -0.5)).unwrap();
    buffer
}

fn origin(
    buffer: &Buffer,
    target: &str,
    source: &str,
    secs: f64,
) -> Result<Point3<f64>, LookupError> {
    let stamp = Stamp((secs * 1e9).round() as i64);
    Ok(buffer.lookup(target, source, stamp)? * Point3::origin())
}

#[test]
fn lookups_go_up_and_down_the_tree_and_between_stamps() {
    let buffer = robot();
    let close = |found: Point3<f64>, x, y| {
        assert!((found - Point3::new(x, y, 0.0)).norm() < 1e-9, "{found}");
    };
    close(origin(&buffer, "odom", "camera", 103.25).unwrap(), 3.75, 0.0);
    close(origin(&buffer, "lidar", "camera", 103.25).unwrap(), 1.0, 0.0);
    // The camera looks along the robot's y: the robot's centre lies 0.5 m along its own y.
    close(origin(&buffer, "camera", "base_link", 104.0).unwrap(), 0.0, 0.5);
    close(origin(&buffer, "camera", "odom", 104.0).unwrap(), 0.0, 4.5);
    assert_eq!(buffer.lookup("odom", "odom", Stamp(0)), Ok(Isometry3::identity()));
    // Names with a leading slash are the same names.
    close(origin(&buffer, "/odom", "/camera", 103.25).unwrap(), 3.75, 0.0);
    // What does not move is known at every stamp.
    close(origin(&buffer, "lidar", "camera", -1e9).unwrap(), 1.0, 0.0);
    let (newest, stamp) = buffer.lookup_newest("odom", "camera").unwrap();
    close(newest * Point3::origin(), 10.5, 0.0);
    assert_eq!(stamp, Some(Stamp(110 * SEC)));
    assert_eq!(buffer.lookup_newest("lidar", "camera").unwrap().1, None);
}

#[test]
fn what_is_not_known_is_said_with_names_and_numbers() {
    let mut buffer = robot();
    let refused = |buffer: &Buffer, target, source, secs| {
        origin(buffer, target, source, secs).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&buffer, "odom", "camera_link", 104.0),
        "frame \"camera_link\" is not known; did you mean \"camera\"?"
    );
    assert_eq!(
        refused(&buffer, "odom", "gripper", 104.0),
        "frame \"gripper\" is not known; known are base_link, camera, lidar, odom"
    );
    assert_eq!(
        refused(&buffer, "odom", "camera", 110.25),
        "the transform from \"base_link\" to \"odom\" is needed at 110.250000000, 0.250000 s after \
         the newest one at 110.000000000"
    );
    assert_eq!(
        refused(&buffer, "odom", "camera", 99.0),
        "the transform from \"base_link\" to \"odom\" is needed at 99.000000000, 1.000000 s before \
         the oldest one at 100.000000000"
    );
    buffer.insert(&at(104.0, "map", "marker", 1.0)).unwrap();
    assert_eq!(
        refused(&buffer, "odom", "marker", 104.0),
        "frames \"odom\" and \"marker\" are not connected: \"odom\" is in the tree of \"odom\" \
         (base_link, camera, lidar, odom), \"marker\" in the tree of \"map\" (map, marker)"
    );
    assert!(matches!(
        Buffer::default().lookup("a", "b", Stamp(0)),
        Err(LookupError::UnknownFrame { did_you_mean: None, .. })
    ));
}

#[test]
fn no_common_stamp_is_said() {
    let mut buffer = Buffer::default();
    buffer.insert(&at(1.0, "a", "b", 1.0)).unwrap();
    buffer.insert(&at(2.0, "b", "c", 1.0)).unwrap();
    assert!(matches!(
        buffer.lookup_newest("a", "c"),
        Err(LookupError::NoCommonStamp { oldest: Stamp(2_000_000_000), .. })
    ));
    assert_eq!(
        buffer.lookup("a", "c", Stamp(2 * SEC)).unwrap_err(),
        LookupError::Extrapolation {
            parent: "a".to_owned(),
            child: "b".to_owned(),
            stamp: Stamp(2 * SEC),
            direction: Direction::Future,
            nearest: Stamp(SEC),
            gap_secs: 1.0,
        }
    );
}

#[test]
fn what_would_break_the_tree_is_refused_and_changes_nothing() {
    let mut buffer = robot();
    let before = buffer.frames();
    let refused = |buffer: &mut Buffer, transform: StampedTransform<'_>| {
        buffer.insert(&transform).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&mut buffer, at(105.0, "camera", "odom", 1.0)),
        "frame \"odom\" cannot hang below \"camera\": that would close the loop \
         camera -> base_link -> odom"
    );
    assert_eq!(
        refused(&mut buffer, at(105.0, "camera", "/camera", 1.0)),
        "frame \"camera\" is said to be its own parent"
    );
    assert_eq!(
        refused(&mut buffer, at(105.0, "", "x", 1.0)),
        "expected frame names of 1 to 255 bytes, found one of 0"
    );
    assert_eq!(
        refused(&mut buffer, at(105.0, "odom", "x", f64::NAN)),
        "transform from \"x\" to \"odom\": expected finite numbers, found NaN in `translation.x`"
    );
    let twisted = StampedTransform { rotation: [0.0; 4], ..at(105.0, "odom", "x", 0.0) };
    assert_eq!(
        refused(&mut buffer, twisted),
        "transform from \"x\" to \"odom\": expected a quaternion of length 1, found one of length 0"
    );
    assert_eq!(buffer.frames(), before);
    assert_eq!(buffer.counts().refused, 5);
}

#[test]
fn a_clock_that_is_set_back_clears_what_moves_and_says_so() {
    let mut buffer = robot();
    // A little late is only late.
    let late = buffer.insert(&at(108.5, "odom", "base_link", 8.5)).unwrap();
    assert_eq!(late, Inserted::default());
    buffer.insert(&at(109.0, "base_link", "arm", 0.0)).unwrap();

    let again = buffer.insert(&at(100.0, "odom", "base_link", 0.0)).unwrap();
    assert_eq!(again.jumped_back_secs, Some(10.0));
    assert_eq!(buffer.counts().jumps_back, 1);
    // What the other run said is gone, the frames and what does not move are not.
    assert!(origin(&buffer, "odom", "camera", 105.0).is_err());
    assert_eq!(
        origin(&buffer, "odom", "arm", 100.0).unwrap_err().to_string(),
        "no transform from \"arm\" to \"base_link\" has come since the clock jumped back"
    );
    assert!(origin(&buffer, "odom", "camera", 100.0).is_ok());
    // The rest of the second run is taken as the first one was.
    assert_eq!(buffer.insert(&at(100.1, "odom", "base_link", 0.1)).unwrap(), Inserted::default());
}

#[test]
fn one_stamp_in_the_far_future_is_healed_by_the_next_ones() {
    let mut buffer = robot();
    buffer.insert(&at(1e6, "odom", "base_link", 0.0)).unwrap();
    let healed = buffer.insert(&at(110.1, "odom", "base_link", 10.1)).unwrap();
    assert!(healed.jumped_back_secs.is_some());
    assert!(origin(&buffer, "odom", "base_link", 110.1).is_ok());
}

#[test]
fn a_frame_that_changes_its_parent_forgets_the_old_one() {
    let mut buffer = robot();
    buffer.insert(&at(105.0, "odom", "box", 1.0)).unwrap();
    let grasped = buffer.insert(&at(106.0, "camera", "box", 0.1)).unwrap();
    assert_eq!(grasped.parent_before.as_deref(), Some("odom"));
    assert_eq!(buffer.counts().parents_changed, 1);
    assert!(origin(&buffer, "odom", "box", 105.0).is_err());
    assert!(origin(&buffer, "odom", "box", 106.0).is_ok());
    // From moving to fixed and back: what came last holds.
    buffer.insert_static(&at(0.0, "camera", "box", 0.2)).unwrap();
    assert!((origin(&buffer, "camera", "box", 0.0).unwrap().x - 0.2).abs() < 1e-12);
    buffer.insert(&at(107.0, "camera", "box", 0.3)).unwrap();
    assert!(origin(&buffer, "camera", "box", 0.0).is_err());
}

#[test]
fn memory_is_bounded_in_time_samples_and_frames() {
    let settings =
        BufferSettings { kept_secs: 1.0, most_samples: 50, most_frames: 3, ..Default::default() };
    let mut buffer = Buffer::new(settings);
    for step in 0..2000 {
        buffer.insert(&at(f64::from(step) / 10.0, "a", "b", f64::from(step))).unwrap();
    }
    // One second at 10 Hz: no more than 11 were ever kept, and none was dropped for its number.
    assert_eq!(buffer.counts().evicted, 0);
    assert!(buffer.lookup("a", "b", Stamp((198.9 * 1e9) as i64)).is_ok());
    assert!(buffer.lookup("a", "b", Stamp((198.8 * 1e9) as i64)).is_err());
    for step in 0..100 {
        buffer.insert(&at(200.0 + f64::from(step) / 1000.0, "a", "b", 0.0)).unwrap();
    }
    // Of 11 that were kept two went for their age, and 50 are left of 9 and 100.
    assert_eq!(buffer.counts().evicted, 59);
    buffer.insert(&at(0.0, "b", "c", 0.0)).unwrap();
    assert_eq!(
        buffer.insert(&at(0.0, "c", "d", 0.0)).unwrap_err().to_string(),
        "expected at most 3 frames, found a further one: \"d\""
    );
    let old = Buffer::new(BufferSettings { kept_secs: 1.0, jump_back_secs: 5.0, ..settings });
    let mut old = old;
    old.insert(&at(10.0, "a", "b", 0.0)).unwrap();
    assert!(matches!(old.insert(&at(8.0, "a", "b", 0.0)), Err(InsertError::TooOld { .. })));
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let mut buffer = Buffer::default();
    for stamp in [Stamp(i64::MIN), Stamp(i64::MAX), Stamp(0), Stamp(i64::MIN)] {
        buffer.insert(&StampedTransform { stamp, ..at(0.0, "a", "b", 1.0) }).unwrap();
        for asked in [Stamp(i64::MIN), Stamp(i64::MAX), Stamp(0)] {
            assert_eq!(buffer.lookup("a", "b", asked).is_ok(), asked == stamp);
        }
    }
}

proptest! {
    /// A chain of frames that turn and move: the lookup is the product of what each of them is at
    /// that moment.
    #[test]
    fn lookups_agree_with_direct_interpolation(
        ends in prop::collection::vec(
            (
                prop::array::uniform3(-3.0..3.0_f64),
                prop::array::uniform3(-1.0..1.0_f64),
                -3.0..3.0_f64,
            ),
            1..6,
        ),
        share in 0.0..=1.0_f64,
        (from, to) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let names: Vec<_> = (0..=ends.len()).map(|index| format!("frame_{index}")).collect();
        let mut buffer = Buffer::default();
        let mut root_from = vec![Isometry3::identity()];
        let stamp = Stamp(SEC + (share * 1e9) as i64);
        let share = (stamp.0 - SEC) as f64 / 1e9;
        for (index, (translation, axis, angle)) in ends.iter().enumerate() {
            let axis = Vector3::from(*axis) + Vector3::new(0.0, 0.0, 1e-3);
            let turn = axis.normalize() * *angle;
            // From the identity at 1 s to the given transform at 2 s, at constant speed.
            let end = UnitQuaternion::new(turn).coords;
            for (secs, translation, rotation) in
                [(1.0, [0.0; 3], IDENTITY), (2.0, *translation, end.into())]
            {
                let ends = at(secs, &names[index], &names[index + 1], 0.0);
                buffer.insert(&StampedTransform { translation, rotation, ..ends }).unwrap();
            }
            let parent_from_child =
                Isometry3::new(Vector3::from(*translation) * share, turn * share);
            root_from.push(root_from[index] * parent_from_child);
        }
        let (from, to) = (from.index(names.len()), to.index(names.len()));
        let found = buffer.lookup(&names[to], &names[from], stamp).unwrap();
        let direct = root_from[to].inverse() * root_from[from];
        let point = Point3::new(0.3, -0.7, 1.1);
        prop_assert!((found * point - direct * point).norm() < 1e-7);
        let back = buffer.lookup(&names[from], &names[to], stamp).unwrap();
        prop_assert!((back * (found * point) - point).norm() < 1e-9);
    }

    #[test]
    fn no_sequence_of_transforms_breaks_it(
        steps in prop::collection::vec(
            (0..6_usize, 0..6_usize, any::<i64>(), -2.0..2.0_f64, any::<bool>()),
            0..80,
        ),
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        let mut buffer = Buffer::new(BufferSettings { most_samples: 4, ..Default::default() });
        for (parent, child, stamp, x, is_static) in steps {
            let transform = StampedTransform {
                stamp: Stamp(stamp >> (stamp & 31)),
                ..at(0.0, names[parent], names[child], x)
            };
            let taken = match is_static {
                true => buffer.insert_static(&transform),
                false => buffer.insert(&transform),
            };
            if taken.is_ok() {
                let found = buffer.lookup(names[parent], names[child], transform.stamp);
                prop_assert!((found.unwrap().translation.vector.x - x).abs() < 1e-12);
            }
            for target in names {
                for source in names {
                    if let Ok(found) = buffer.lookup(target, source, transform.stamp) {
                        prop_assert!(found.translation.vector.iter().all(|v| v.is_finite()));
                    }
                    let _ = buffer.lookup_newest(target, source);
                }
            }
        }
    }
}

#[test]
fn a_turn_is_interpolated_along_the_shorter_arc() {
    let mut buffer = Buffer::default();
    // The second quaternion is the negative of a quarter turn: the same rotation.
    let turns = [(1.0, IDENTITY), (2.0, TURNED.map(|value| -value))];
    for (secs, rotation) in turns {
        buffer.insert(&StampedTransform { rotation, ..at(secs, "a", "b", 0.0) }).unwrap();
    }
    let halfway = buffer.lookup("a", "b", Stamp(3 * SEC / 2)).unwrap();
    assert!((halfway.rotation.angle() - FRAC_PI_2 / 2.0).abs() < 1e-9);
    assert!(halfway.rotation.angle() < PI);
}
