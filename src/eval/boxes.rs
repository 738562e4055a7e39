//! Boxes as COCO files hold them.

use serde::{Deserialize, Serialize};

use crate::types::PixelBox;

/// A box by its corner and size in f64 pixels of the source image, as in COCO files:
/// `[left, top, width, height]`. Width and height may be negative in a results file that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct CocoBox {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl From<[f64; 4]> for CocoBox {
    fn from([left, top, width, height]: [f64; 4]) -> Self {
        Self { left, top, width, height }
    }
}

impl From<CocoBox> for [f64; 4] {
    fn from(area: CocoBox) -> Self {
        [area.left, area.top, area.width, area.height]
    }
}

impl From<PixelBox> for CocoBox {
    /// The numbers that a results file holds for it: see [`decimal`].
    fn from(area: PixelBox) -> Self {
        Self {
            left: decimal(area.x0),
            top: decimal(area.y0),
            width: decimal(area.width()),
            height: decimal(area.height()),
        }
    }
}

impl CocoBox {
    /// The corners in f32, for drawing.
    #[must_use]
    pub fn to_pixel_box(self) -> PixelBox {
        PixelBox::from_corners(
            [self.left, self.top, self.left + self.width, self.top + self.height]
                .map(|pixel| pixel as f32),
        )
    }

    /// Width times height in square pixels.
    #[must_use]
    pub fn area(&self) -> f64 {
        self.width * self.height
    }

    /// Whether all four numbers are finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        <[f64; 4]>::from(*self).iter().all(|number| number.is_finite())
    }

    /// Whether some of it lies in an image of `width` x `height` pixels.
    #[must_use]
    pub fn touches(&self, width: u32, height: u32) -> bool {
        let inside =
            |start: f64, length: f64, side: u32| start < f64::from(side) && start + length > 0.0;
        inside(self.left, self.width, width) && inside(self.top, self.height, height)
    }

    /// The area that both share, in square pixels; 0 where they do not overlap.
    fn shared(&self, other: &Self) -> f64 {
        // Written in the order of pycocotools: another order rounds differently.
        let across = f64::min(self.width + self.left, other.width + other.left)
            - f64::max(self.left, other.left);
        let down = f64::min(self.height + self.top, other.height + other.top)
            - f64::max(self.top, other.top);
        if across <= 0.0 || down <= 0.0 { 0.0 } else { across * down }
    }

    /// Intersection over union, in `[0, 1]`; 0 where they do not overlap.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f64 {
        let shared = self.shared(other);
        if shared == 0.0 { 0.0 } else { shared / (self.area() + other.area() - shared) }
    }

    /// The share of this box that lies in `crowd`, which stands in the place of the IoU where a
    /// region holds a crowd of objects.
    #[must_use]
    pub fn share_inside(&self, crowd: &Self) -> f64 {
        let shared = self.shared(crowd);
        if shared == 0.0 { 0.0 } else { shared / self.area() }
    }
}

/// The f64 that the shortest text of `value` stands for: what is counted here and what a results
/// file says are then one number, and the file is short. Keeps the order and the ties of values.
#[must_use]
pub fn decimal(value: f32) -> f64 {
    // The text of a float always is one.
    value.to_string().parse().unwrap_or(f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(numbers: [f64; 4]) -> CocoBox {
        numbers.into()
    }

    #[test]
    fn overlaps_are_shares_of_the_union_or_of_the_box_itself() {
        let a = at([0.0, 0.0, 10.0, 10.0]);
        let b = at([5.0, 0.0, 10.0, 10.0]);
        assert_eq!(a.iou(&b), 1.0 / 3.0);
        assert_eq!(a.share_inside(&b), 0.5);
        assert_eq!((a.iou(&a), a.share_inside(&a)), (1.0, 1.0));
        // Touching, apart, and of negative size.
        for other in [[10.0, 0.0, 5.0, 5.0], [50.0, 50.0, 5.0, 5.0], [8.0, 8.0, -4.0, -4.0]] {
            assert_eq!((a.iou(&at(other)), at(other).share_inside(&a)), (0.0, 0.0));
        }
    }

    #[test]
    fn a_box_touches_an_image_with_any_part_of_it() {
        assert!(at([-5.0, -5.0, 6.0, 6.0]).touches(10, 10));
        assert!(at([9.5, 9.5, 60.0, 60.0]).touches(10, 10));
        assert!(!at([10.0, 0.0, 5.0, 5.0]).touches(10, 10));
        assert!(!at([0.0, -5.0, 5.0, 5.0]).touches(10, 10));
    }

    #[test]
    fn decimals_are_short_and_keep_order_and_ties() {
        assert_eq!(decimal(0.71), 0.71);
        assert_eq!(decimal(1e-30), 1e-30);
        let mut last = f64::NEG_INFINITY;
        for step in 0..1000_u32 {
            let next = decimal(f32::from_bits(0.1_f32.to_bits() + step));
            assert!(next > last);
            last = next;
        }
        let area = CocoBox::from(PixelBox::from_corners([0.1, 0.2, 10.3, 20.5]));
        assert_eq!(serde_json::to_string(&area).unwrap(), "[0.1,0.2,10.2,20.3]");
    }
}
