//! Rigid transforms out of the numbers that messages carry.

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};

/// How far the squared length of a quaternion may be from 1; the bound of `tf2`.
pub const QUATERNION_TOLERANCE: f64 = 1e-2;

/// Largest coordinate of a translation, in metres: beyond it sums lose millimetres, and nothing
/// that a robot meets is that far away.
pub const MOST_TRANSLATION_M: f64 = 1e12;

/// Numbers that are no rigid transform.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum TransformError {
    /// NaN or infinity.
    #[error("expected finite numbers, found {value} in `{field}`")]
    NotFinite {
        /// `translation` or `rotation`, with the coordinate.
        field: &'static str,
        /// What stands there.
        value: f64,
    },
    /// A translation out of this world.
    #[error("expected a translation within {MOST_TRANSLATION_M:e} m, found {value} in `{field}`")]
    TooFar {
        /// `translation`, with the coordinate.
        field: &'static str,
        /// What stands there, in metres.
        value: f64,
    },
    /// A quaternion that is no rotation; all zero is what an unset message holds in some languages.
    #[error("expected a quaternion of length 1, found one of length {length}")]
    NotNormalised {
        /// Its length.
        length: f64,
    },
}

/// A rigid transform from a translation `x, y, z` in metres and a quaternion `x, y, z, w`, which
/// is brought to length 1 where it is close to that.
///
/// # Errors
/// Where a number is not finite or too large, or the quaternion is not normalised.
pub fn rigid(translation: [f64; 3], rotation: [f64; 4]) -> Result<Isometry3<f64>, TransformError> {
    const TRANSLATION: [&str; 3] = ["translation.x", "translation.y", "translation.z"];
    const ROTATION: [&str; 4] = ["rotation.x", "rotation.y", "rotation.z", "rotation.w"];
    let named = || TRANSLATION.iter().zip(translation).chain(ROTATION.iter().zip(rotation));
    if let Some((field, value)) = named().find(|(_, value)| !value.is_finite()) {
        return Err(TransformError::NotFinite { field, value });
    }
    let mut far = TRANSLATION.iter().zip(translation);
    if let Some((field, value)) = far.find(|(_, value)| value.abs() > MOST_TRANSLATION_M) {
        return Err(TransformError::TooFar { field, value });
    }
    let [x, y, z, w] = rotation;
    let quaternion = Quaternion::new(w, x, y, z);
    if (quaternion.norm_squared() - 1.0).abs() > QUATERNION_TOLERANCE {
        return Err(TransformError::NotNormalised { length: quaternion.norm() });
    }
    let [x, y, z] = translation;
    Ok(Isometry3::from_parts(
        Translation3::new(x, y, z),
        UnitQuaternion::from_quaternion(quaternion),
    ))
}

/// Between two transforms: translation along the straight line, rotation along the shorter arc.
/// `share` is 0 for `from` and 1 for `to`.
#[must_use]
pub fn between(from: &Isometry3<f64>, to: &Isometry3<f64>, share: f64) -> Isometry3<f64> {
    let translation = from.translation.vector.lerp(&to.translation.vector, share);
    // A share of the turn from one to the other: exact for the smallest turns too, where the arc
    // cosine that slerp is usually written with is not.
    let turn = from.rotation.rotation_to(&to.rotation);
    let rotation = turn.powf(share) * from.rotation;
    Isometry3::from_parts(Translation3::from(translation), rotation)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use nalgebra::{Point3, Vector3};
    use proptest::prelude::*;

    use super::*;

    pub(in crate::geometry) fn any_rigid() -> impl Strategy<Value = Isometry3<f64>> {
        (prop::array::uniform3(-20.0..20.0_f64), prop::array::uniform3(-1.0..1.0_f64), -PI..PI)
            .prop_map(|(t, axis, angle)| {
                let axis = Vector3::from(axis);
                let axis = if axis.norm() > 1e-3 { axis } else { Vector3::z() };
                Isometry3::new(Vector3::from(t), axis.normalize() * angle)
            })
    }

    #[test]
    fn numbers_that_are_no_transform_are_named() {
        let identity = [0.0, 0.0, 0.0, 1.0];
        assert_eq!(rigid([0.0; 3], identity), Ok(Isometry3::identity()));
        assert!(matches!(
            rigid([0.0, f64::NAN, 0.0], identity),
            Err(TransformError::NotFinite { field: "translation.y", .. })
        ));
        assert!(matches!(
            rigid([0.0; 3], [0.0, 0.0, f64::INFINITY, 1.0]),
            Err(TransformError::NotFinite { field: "rotation.z", .. })
        ));
        assert_eq!(
            rigid([0.0; 3], [0.0; 4]).unwrap_err().to_string(),
            "expected a quaternion of length 1, found one of length 0"
        );
        assert!(matches!(rigid([0.0; 3], [1e200; 4]), Err(TransformError::NotNormalised { .. })));
        assert!(matches!(
            rigid([0.0, 0.0, -1e13], identity),
            Err(TransformError::TooFar { field: "translation.z", .. })
        ));
        // One that lost digits on its way is mended.
        let mended = rigid([0.0; 3], [0.0, 0.0, 0.706, 0.706]).unwrap();
        assert!((mended.rotation.angle() - PI / 2.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn inverse_and_order_of_composition(
            a_from_b in any_rigid(),
            b_from_c in any_rigid(),
            c_from_d in any_rigid(),
            point in prop::array::uniform3(-5.0..5.0_f64),
        ) {
            let point = Point3::from(point);
            let there_and_back = a_from_b.inverse() * (a_from_b * point);
            prop_assert!((there_and_back - point).norm() < 1e-12);
            let left = ((a_from_b * b_from_c) * c_from_d) * point;
            let right = a_from_b * (b_from_c * (c_from_d * point));
            prop_assert!((left - right).norm() < 1e-11);
            // What a message carries gives the same transform back.
            let t = a_from_b.translation.vector;
            let q = a_from_b.rotation.coords;
            let read = rigid(t.into(), q.into()).unwrap();
            prop_assert!((read * point - a_from_b * point).norm() < 1e-12);
        }

        #[test]
        fn halfway_is_the_same_from_both_ends_and_the_ends_are_themselves(
            from in any_rigid(),
            to in any_rigid(),
            share in 0.0..1.0_f64,
        ) {
            let point = Point3::new(1.0, -2.0, 3.0);
            let off = |a: &Isometry3<f64>, b: &Isometry3<f64>| (a * point - b * point).norm();
            prop_assert!(off(&between(&from, &to, 0.0), &from) < 1e-9);
            prop_assert!(off(&between(&from, &to, 1.0), &to) < 1e-9);
            // At half a turn both arcs are as short.
            let turn = from.rotation.angle_to(&to.rotation);
            prop_assume!(turn < PI - 1e-3);
            let (one, other) = (between(&from, &to, share), between(&to, &from, 1.0 - share));
            prop_assert!(off(&one, &other) < 1e-7);
            prop_assert!((from.rotation.angle_to(&one.rotation) - share * turn).abs() < 1e-6);
        }
    }
}
