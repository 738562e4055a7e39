//! Masks in files of COCO's forms.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::types::{CocoRle, Mask};
use crate::vision::mask::filled;

/// A mask as it stands in the file.
#[derive(Default)]
pub(in crate::eval) enum RawMask {
    #[default]
    None,
    /// Each `x, y, x, y, …`.
    Polygons(Vec<Vec<Option<f64>>>),
    Code {
        size: [u32; 2],
        counts: RawCounts,
    },
    /// A code whose parts are of another form.
    Broken,
}

/// Compressed, or the runs themselves.
#[derive(Deserialize)]
#[serde(untagged)]
pub(in crate::eval) enum RawCounts {
    Text(String),
    Runs(Vec<u32>),
    Other(IgnoredAny),
}

/// Numbers, `null` for those that are none, or something else.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawPolygon {
    Numbers(Vec<Option<f64>>),
    Other(IgnoredAny),
}

/// The pixels of polygons in an image of this size.
fn filled_polygons(
    polygons: &[Vec<Option<f64>>],
    size_px: Option<(u32, u32)>,
) -> Result<Mask, String> {
    let Some((width, height)) = size_px else {
        return Err("polygons of an image whose `width` and `height` are not given".to_owned());
    };
    let mut corners_of_all = Vec::with_capacity(polygons.len());
    for (index, numbers) in polygons.iter().enumerate() {
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            let count = numbers.len();
            return Err(format!("polygon {index}: expected pairs of numbers, found {count}"));
        }
        let corner = |pair: &[Option<f64>; 2]| pair.map(|number| number.unwrap_or(f64::NAN));
        corners_of_all.push(pairs.iter().map(corner).collect());
    }
    filled(&corners_of_all, width, height).map_err(|error| error.to_string())
}

impl RawMask {
    /// The mask for an image of this size, where it is known; `None` where there is none.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub(in crate::eval) fn mask(
        &self,
        size_px: Option<(u32, u32)>,
    ) -> Result<Option<Mask>, String> {
        let (size, counts) = match self {
            Self::None => return Ok(None),
            Self::Polygons(polygons) => return filled_polygons(polygons, size_px).map(Some),
            Self::Broken => {
                return Err("expected polygons, or `size` and `counts` of a mask".to_owned());
            }
            Self::Code { size, counts } => (*size, counts),
        };
        if let Some((width, height)) = size_px.filter(|(width, height)| size != [*height, *width]) {
            let [mask_height, mask_width] = size;
            return Err(format!("{mask_width}x{mask_height} in an image of {width}x{height}"));
        }
        let mask = match counts {
            RawCounts::Text(counts) => CocoRle { size, counts: counts.clone() }.mask(),
            RawCounts::Runs(runs) => CocoRle::mask_of_runs(size, runs),
            RawCounts::Other(_) => return Err("expected `counts` of a mask".to_owned()),
        };
        mask.map(Some).map_err(|error| error.to_string())
    }

    pub(super) fn size(&self) -> Option<[u32; 2]> {
        match self {
            Self::Code { size, .. } => Some(*size),
            Self::None | Self::Polygons(_) | Self::Broken => None,
        }
    }
}

impl<'de> Deserialize<'de> for RawMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyMask;
        impl<'de> Visitor<'de> for AnyMask {
            type Value = RawMask;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("polygons or a run-length code with `size` and `counts`")
            }

            fn visit_unit<E>(self) -> Result<RawMask, E> {
                Ok(RawMask::None)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawMask, A::Error> {
                let mut polygons = Vec::new();
                let mut is_broken = false;
                while let Some(polygon) = seq.next_element::<RawPolygon>()? {
                    match polygon {
                        RawPolygon::Numbers(numbers) => polygons.push(numbers),
                        RawPolygon::Other(_) => is_broken = true,
                    }
                }
                Ok(match (is_broken, polygons.is_empty()) {
                    (true, _) => RawMask::Broken,
                    (false, true) => RawMask::None,
                    (false, false) => RawMask::Polygons(polygons),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMask, A::Error> {
                let (mut size, mut counts) = (None, None);
                let mut any = false;
                while let Some(key) = map.next_key::<String>()? {
                    any = true;
                    match key.as_str() {
                        "size" => size = Some(map.next_value::<[u32; 2]>()?),
                        "counts" => counts = Some(map.next_value::<RawCounts>()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(match (size, counts) {
                    (Some(size), Some(counts)) => RawMask::Code { size, counts },
                    _ if any => RawMask::Broken,
                    _ => RawMask::None,
                })
            }
        }
        deserializer.deserialize_any(AnyMask)
    }
}
