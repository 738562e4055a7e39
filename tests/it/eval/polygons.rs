//! Polygons of COCO datasets, filled as pycocotools fills them.

use owlet::vision::mask::filled;
use serde_json::json;

use crate::peers;

/// Numbers in `[0, 1)`, the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }

    fn up_to(&mut self, count: usize) -> usize {
        (self.next() * count as f64) as usize
    }
}

/// A corner in the image or somewhat beside it, on whole, half and any pixels.
fn corner(random: &mut Random, (width, height): (u32, u32)) -> [f64; 2] {
    let grid = [1.0, 2.0, 10.0, 1000.0][random.up_to(4)];
    [width, height].map(|side| {
        let px = (1.4 * random.next() - 0.2) * f64::from(side);
        (px * grid).round() / grid
    })
}

#[test]
fn random_polygons_are_filled_to_the_pixel_as_pycocotools_does() {
    let mut random = Random(7);
    let sizes = [(1, 1), (1, 9), (13, 1), (37, 20), (20, 53), (320, 240), (101, 307)];
    let mut given = Vec::new();
    for round in 0..700 {
        let (width, height) = sizes[round % sizes.len()];
        let polygons: Vec<Vec<[f64; 2]>> = (0..1 + random.up_to(3))
            .map(|_| {
                // Many corners cross themselves again and again; some repeat the one before.
                let most = [3, 30][random.up_to(2)];
                let corners = 3 + random.up_to(most);
                let mut polygon: Vec<[f64; 2]> = Vec::new();
                for _ in 0..corners {
                    let new = corner(&mut random, (width, height));
                    let repeated = polygon.last().copied().filter(|_| random.up_to(8) == 0);
                    polygon.push(repeated.unwrap_or(new));
                }
                polygon
            })
            .collect();
        let mask = filled(&polygons, width, height).unwrap();
        let flat: Vec<_> = polygons.iter().map(|polygon| polygon.as_flattened()).collect();
        given.push(json!({
            "width": width, "height": height, "polygons": flat, "rle": mask.rle(),
        }));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(&given).unwrap()).unwrap();
    let told = peers::run("fill_polygons.py", &[file.path()]);
    let told: Vec<[u64; 2]> = serde_json::from_str(&told).unwrap();
    assert_eq!(told.len(), given.len());
    let area: u64 = told.iter().map(|[area, _]| area).sum();
    assert!(area > 1_000_000, "{area} pixels in all: nothing was compared");
    for ([_, differing], given) in told.iter().zip(&given) {
        assert_eq!(*differing, 0, "{given}");
    }
}
