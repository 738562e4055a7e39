//! Things of known shape, projected and found again.

use nalgebra::{Isometry3, Translation3};
use proptest::prelude::*;

use super::*;
use crate::geometry::CameraModel;
use crate::types::DepthImage;

/// A shape with its middle at the origin of its own frame.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Sides along x, y and z.
    Cuboid([f64; 3]),
    /// Radius.
    Ball(f64),
    /// Radius, and length along z.
    Can(f64, f64),
}

impl Shape {
    /// Distance along a ray to where it enters, in the shape's frame.
    fn meets(&self, start: &Point3<f64>, ray: &Vector3<f64>) -> Option<f64> {
        let slab = |axis: usize, half: f64| {
            let ends = [-half, half].map(|end| (end - start[axis]) / ray[axis]);
            (ends[0].min(ends[1]), ends[0].max(ends[1]))
        };
        // Of the quadratic a t² + 2 b t + c.
        let round = |a: f64, b: f64, c: f64| {
            let root = (b * b - a * c).sqrt();
            ((-b - root) / a, (-b + root) / a)
        };
        let parts = match *self {
            Self::Cuboid(size) => (0..3).map(|axis| slab(axis, 0.5 * size[axis])).collect(),
            Self::Ball(radius) => {
                let from = start.coords;
                vec![round(ray.dot(ray), from.dot(ray), from.dot(&from) - radius * radius)]
            }
            Self::Can(radius, length) => {
                let (from, along) = (start.xy().coords, ray.xy());
                let side =
                    round(along.dot(&along), from.dot(&along), from.dot(&from) - radius * radius);
                vec![side, slab(2, 0.5 * length)]
            }
        };
        let enter = parts.iter().map(|part| part.0).fold(0.0, f64::max);
        let leave = parts.iter().map(|part| part.1).fold(f64::INFINITY, f64::min);
        let is_known = parts.iter().all(|part| part.0.is_finite());
        (is_known && enter > 0.0 && enter < leave).then_some(enter)
    }

    /// How far a point is from the surface, the normal of the surface nearest to it, and, of a
    /// flat face, its two sides, shorter first.
    fn surface(&self, at: &Point3<f64>) -> (f64, Vector3<f64>, Option<[f64; 2]>) {
        let face = |axis: usize, half: f64| {
            let mut normal = Vector3::zeros();
            normal[axis] = at[axis].signum();
            ((at[axis].abs() - half).abs(), normal)
        };
        match *self {
            Self::Cuboid(size) => {
                let faces = (0..3).map(|axis| (axis, face(axis, 0.5 * size[axis])));
                let nearest = faces.min_by(|a, b| a.1.0.total_cmp(&b.1.0)).unwrap();
                let (axis, (off, normal)) = nearest;
                let (one, other) = (size[(axis + 1) % 3], size[(axis + 2) % 3]);
                (off, normal, Some([one.min(other), one.max(other)]))
            }
            Self::Ball(radius) => ((at.coords.norm() - radius).abs(), at.coords.normalize(), None),
            Self::Can(radius, length) => {
                let (end, up) = face(2, 0.5 * length);
                let side = (at.xy().coords.norm() - radius).abs();
                let out = Vector3::new(at.x, at.y, 0.0).normalize();
                if end < side { (end, up, None) } else { (side, out, None) }
            }
        }
    }
}

/// A shape in front of a wall as a camera sees it.
struct Shot {
    camera: CameraModel,
    camera_from_shape: Isometry3<f64>,
    shape: Shape,
    depth: DepthImage,
    mask: Mask,
}

fn camera() -> CameraModel {
    CameraModel::pinhole([321, 241], [300.0, 302.0], [158.5, 121.25]).unwrap()
}

fn shoot(shape: Shape, camera_from_shape: Isometry3<f64>, camera: &CameraModel) -> Shot {
    let shape_from_camera = camera_from_shape.inverse();
    let (mut metres, mut mask) = (Vec::new(), Vec::new());
    for y in 0..camera.height() {
        for x in 0..camera.width() {
            let pixel = Point2::new(f64::from(x), f64::from(y));
            let ray = camera.point_from_pixel(&pixel, 1.0).unwrap().coords;
            let start = shape_from_camera * Point3::origin();
            let met = shape.meets(&start, &(shape_from_camera * ray));
            mask.push(met.is_some());
            metres.push(met.unwrap_or(2.5) as f32);
        }
    }
    let (width, height) = (camera.width(), camera.height());
    let depth = DepthImage::new(width, height, metres).unwrap();
    let mask = Mask::new(width, height, mask);
    Shot { camera: camera.clone(), camera_from_shape, shape, depth, mask }
}

impl Shot {
    fn pick(&self) -> Result<PickPoint, PickError> {
        self.pick_in(&self.depth)
    }

    fn pick_in(&self, depth: &DepthImage) -> Result<PickPoint, PickError> {
        let scene = Scene::new(depth, &self.camera).unwrap();
        scene.pick(&self.mask, &LocateSettings::default(), &PickSettings::default())
    }

    /// How far a pick is from the surface in metres and its normal from that of the surface in
    /// degrees, and the sides of a flat face.
    fn errors(&self, pick: &PickPoint) -> (f64, f64, Option<[f64; 2]>) {
        let shape_from_camera = self.camera_from_shape.inverse();
        let (off, normal, sides) = self.shape.surface(&(shape_from_camera * pick.position));
        let angle = (self.camera_from_shape * normal).angle(&pick.normal).to_degrees();
        (off, angle, sides)
    }

    fn pixel_m(&self) -> f64 {
        self.camera_from_shape.translation.z / self.camera.focal_px()[0]
    }
}

/// What holds of every pick.
fn check_axes(pick: &PickPoint) {
    let [x, y, z] = [Vector3::x(), Vector3::y(), Vector3::z()].map(|axis| pick.orientation * axis);
    assert!((z + pick.normal.into_inner()).norm() < 1e-9, "z is the way in");
    assert!(pick.normal.dot(&pick.position.coords) < 0.0, "the camera sees the front");
    assert!(x.cross(&y).dot(&z) > 0.999, "right-handed");
    assert!(x.x >= -1e-9, "to the right");
    assert!((0.0..=1.0).contains(&pick.score), "{}", pick.score);
}

fn any_pose() -> impl Strategy<Value = Isometry3<f64>> {
    let place = (-0.1..0.1_f64, -0.08..0.08_f64, 0.45..0.9_f64);
    (place, prop::array::uniform3(-3.1..3.1_f64)).prop_map(|((x, y, z), [a, b, c])| {
        Isometry3::from_parts(
            Translation3::new(x, y, z),
            UnitQuaternion::from_euler_angles(a, b, c),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_cuboid_is_picked_on_a_face_along_its_normal_and_across_its_shorter_side(
        pose in any_pose(), size in prop::array::uniform3(0.05..0.11_f64),
    ) {
        let shot = shoot(Shape::Cuboid(size), pose, &camera());
        let pick = shot.pick().unwrap();
        check_axes(&pick);
        let (off, angle, sides) = shot.errors(&pick);
        // The picture is exact: what is left is the arithmetic of a small patch.
        prop_assert!(off < 1e-3 && angle < 1.0, "{off} m, {angle} degrees: {pick:?}");
        let [shorter, longer] = sides.unwrap();
        // What leans away is seen to the next pixel, and a pixel spans more of it.
        let facing = pick.normal.dot(&pick.position.coords.normalize()).abs();
        let tolerance = 0.002 + 0.03 * longer + 2.0 * shot.pixel_m() / facing;
        prop_assert!((pick.width_m - shorter).abs() < tolerance, "{} of {sides:?}", pick.width_m);
        prop_assert!((pick.length_m - longer).abs() < tolerance, "{} of {sides:?}", pick.length_m);
    }

    #[test]
    fn a_ball_is_picked_at_its_middle(pose in any_pose(), radius in 0.03..0.06_f64) {
        let shot = shoot(Shape::Ball(radius), pose, &camera());
        let pick = shot.pick().unwrap();
        check_axes(&pick);
        let (off, angle, _) = shot.errors(&pick);
        // A patch of 10 mm bends by 1.7 mm on the smallest ball; its plane lies inside of it.
        prop_assert!(off < 2e-3 && angle < 2.5, "{off} m, {angle} degrees: {pick:?}");
        prop_assert!(pick.score > 0.8, "{}", pick.score);
        // What is seen of it is a little less than half.
        prop_assert!(pick.width_m > 1.7 * radius && pick.width_m < 2.0 * radius + 2.0 * shot.pixel_m());
    }

    #[test]
    fn a_can_is_picked_across(
        pose in any_pose(), radius in 0.03..0.04_f64, length in 0.1..0.14_f64,
    ) {
        let shot = shoot(Shape::Can(radius, length), pose, &camera());
        let pick = shot.pick().unwrap();
        check_axes(&pick);
        let (off, angle, _) = shot.errors(&pick);
        prop_assert!(off < 2e-3 && angle < 4.0, "{off} m, {angle} degrees: {pick:?}");
        // Never along it: both its side and its ends are two radii wide.
        prop_assert!(pick.width_m < 2.0 * radius + 3.0 * shot.pixel_m(), "{}", pick.width_m);
        prop_assert!(pick.width_m > 1.4 * radius, "{}", pick.width_m);
    }
}

/// A cuboid whose largest face looks at the camera, leaning by a quarter radian.
fn plain() -> Shot {
    let pose = Isometry3::new(Vector3::new(0.03, -0.02, 0.6), Vector3::new(0.25, 0.0, 0.3));
    shoot(Shape::Cuboid([0.12, 0.06, 0.05]), pose, &camera())
}

#[test]
fn noise_and_holes_cost_score_and_not_the_pick() {
    let shot = plain();
    let clean = shot.pick().unwrap();
    assert!(clean.score > 0.9, "{clean:?}");
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let metres = shot.depth.metres().iter().map(|z| {
        let noise = (random() + random() + random() - 1.5) * 2e-3;
        if random() < 0.2 { f32::NAN } else { z + noise as f32 }
    });
    let depth = DepthImage::new(321, 241, metres.collect()).unwrap();
    let pick = shot.pick_in(&depth).unwrap();
    let (off, angle, _) = shot.errors(&pick);
    // Noise of 1 mm on a patch of 60 pixels, 10 mm in radius: a fortieth of a radian either way.
    // Four times that.
    assert!(off < 1e-3 && angle < 6.0, "{off} m, {angle} degrees");
    assert!(pick.score < clean.score - 0.1, "{} {}", pick.score, clean.score);
    assert!((pick.width_m - 0.06).abs() < 0.006, "{}", pick.width_m);
}

#[test]
fn a_thing_at_the_border_of_the_picture_is_picked_inside_of_it() {
    for [x, y] in [[-0.32, 0.0], [0.32, 0.05], [0.0, 0.24], [-0.3, -0.22]] {
        let pose = Isometry3::new(Vector3::new(x, y, 0.6), Vector3::new(0.1, 0.2, 0.0));
        let shot = shoot(Shape::Ball(0.05), pose, &camera());
        let pick = shot.pick().unwrap();
        let (off, angle, _) = shot.errors(&pick);
        assert!(off < 2e-3 && angle < 5.0, "{off} m, {angle} degrees");
        let at = pick.at_source_px;
        assert!((0.0..321.0).contains(&at.x) && (0.0..241.0).contains(&at.y), "{at}");
    }
}

#[test]
fn another_resolution_of_depth_gives_the_same_pick() {
    let shot = plain();
    let exact = shot.pick().unwrap();
    for (width, height) in [(160, 120), (642, 482)] {
        let small = shot.camera.resized(width, height).unwrap();
        let depth = shoot(shot.shape, shot.camera_from_shape, &small).depth;
        let pick = shot.pick_in(&depth).unwrap();
        // Two pixels of the coarser picture.
        assert!((pick.position - exact.position).norm() < 0.008, "{pick:?} {exact:?}");
        assert!(pick.normal.angle(&exact.normal).to_degrees() < 2.0);
        assert!((pick.width_m - exact.width_m).abs() < 0.01);
    }
    // A picture of another size is looked at in steps, at the same cost.
    let scene = Scene::new(&shot.depth, &shot.camera).unwrap();
    let few = PickSettings { most_cells: 500, ..PickSettings::default() };
    let pick = scene.pick(&shot.mask, &LocateSettings::default(), &few).unwrap();
    assert!((pick.position - exact.position).norm() < 0.015, "{pick:?} {exact:?}");
}

#[test]
fn what_cannot_be_picked_has_a_reason() {
    let shot = plain();
    let count = 321 * 241;
    let reason = |depth: Vec<f32>| {
        let depth = DepthImage::new(321, 241, depth).unwrap();
        shot.pick_in(&depth).unwrap_err()
    };
    assert!(matches!(
        reason(vec![f32::NAN; count]),
        PickError::NoSurface(LocateError::NoDepth { .. })
    ));
    assert!(matches!(
        reason(vec![50.0; count]),
        PickError::NoSurface(LocateError::OutOfRange { .. })
    ));
    // Gravel: every pixel is somewhere else.
    let gravel = (0..count).map(|at| 0.6 + 0.01 * ((at * 7919 % 13) as f32 - 6.0)).collect();
    assert!(matches!(reason(gravel), PickError::NoRoom { .. }));
    // A line one pixel wide has no normal; an empty mask no surface.
    let scene = Scene::new(&shot.depth, &shot.camera).unwrap();
    let with = |mask: &Mask| {
        scene.pick(mask, &LocateSettings::default(), &PickSettings::default()).unwrap_err()
    };
    let line = Mask::new(321, 241, (0..count).map(|at| at / 321 == 120).collect());
    let error = with(&line);
    assert!(matches!(error, PickError::NoRoom { .. }), "{error}");
    assert!(error.to_string().contains("at least 2.0 depth pixels"), "{error}");
    let empty = Mask::new(321, 241, vec![false; count]);
    assert_eq!(with(&empty), PickError::NoSurface(LocateError::EmptyRegion));
}
