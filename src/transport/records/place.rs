//! Places as JSON.

use serde::{Deserialize, Serialize};

use crate::types::{NoPlace, Place};

/// Where an object is. Lengths are rounded to a micrometre, quaternions to a millionth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceRecord {
    /// Centre of the box around what is visible of it, `x, y, z` in metres.
    pub position_m: [f64; 3],
    /// Axes of the box, `x, y, z, w`.
    pub orientation_xyzw: [f64; 4],
    /// Lengths along the box's own axes, in metres.
    pub size_m: [f64; 3],
    /// The middle of its visible surface, `x, y, z` in metres.
    pub surface_m: [f64; 3],
    /// Depths that the box was made from.
    pub points: usize,
}

/// Why an object has no place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoPlaceRecord {
    /// What it is counted as, such as `no_depth_in_box`.
    pub kind: String,
    /// What was expected and found.
    pub reason: String,
}

impl From<&Place> for PlaceRecord {
    fn from(place: &Place) -> Self {
        Self {
            position_m: place.position_m.map(rounded),
            orientation_xyzw: place.orientation_xyzw.map(rounded),
            size_m: place.size_m.map(rounded),
            surface_m: place.surface_m.map(rounded),
            points: place.points,
        }
    }
}

impl From<&NoPlace> for NoPlaceRecord {
    fn from(no_place: &NoPlace) -> Self {
        Self { kind: no_place.kind.name().to_owned(), reason: no_place.reason.to_string() }
    }
}

/// No depth camera is exact to a micrometre.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
