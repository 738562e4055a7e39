//! Filled rectangles, clipped to the image.

use image::{Rgb, RgbImage};

/// Pixels `x0..x1` by `y0..y1`; may reach outside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x0: i64,
    pub(super) y0: i64,
    pub(super) x1: i64,
    pub(super) y1: i64,
}

impl Rect {
    pub(super) fn grown(self, by: i64) -> Self {
        Self { x0: self.x0 - by, y0: self.y0 - by, x1: self.x1 + by, y1: self.y1 + by }
    }

    pub(super) fn contains(&self, other: &Self) -> bool {
        self.x0 <= other.x0 && self.y0 <= other.y0 && other.x1 <= self.x1 && other.y1 <= self.y1
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.x0 < other.x1 && other.x0 < self.x1 && self.y0 < other.y1 && other.y0 < self.y1
    }
}

/// Fills the part of `rect` that lies in the image.
pub(super) fn fill(image: &mut RgbImage, rect: Rect, color: [u8; 3]) {
    let clamp = |at: i64, side: u32| at.clamp(0, i64::from(side)) as usize;
    let (width, height) = image.dimensions();
    let (x0, x1) = (clamp(rect.x0, width), clamp(rect.x1, width));
    let (y0, y1) = (clamp(rect.y0, height), clamp(rect.y1, height));
    if x0 >= x1 || y0 >= y1 {
        return;
    }
    let stride = width as usize * 3;
    let samples: &mut [u8] = image;
    for row in samples.chunks_exact_mut(stride).take(y1).skip(y0) {
        for pixel in row[3 * x0..3 * x1].chunks_exact_mut(3) {
            pixel.copy_from_slice(&color);
        }
    }
}

/// Fills a border of `width` pixels along the inner edge of `rect`; all of it where it is smaller.
pub(super) fn outline(image: &mut RgbImage, rect: Rect, width: i64, color: [u8; 3]) {
    let Rect { x0, y0, x1, y1 } = rect;
    let (across, down) = (width.min(x1 - x0), width.min(y1 - y0));
    fill(image, Rect { y1: y0 + down, ..rect }, color);
    fill(image, Rect { y0: y1 - down, ..rect }, color);
    fill(image, Rect { x1: x0 + across, ..rect }, color);
    fill(image, Rect { x0: x1 - across, ..rect }, color);
}

/// Dashes along the inner edge of `rect`: `width` pixels of the first colour with `halo` pixels of the
/// second one around them.
pub(super) fn dashes(
    image: &mut RgbImage,
    rect: Rect,
    (width, halo): (i64, i64),
    [color, around]: [[u8; 3]; 2],
) {
    let Rect { x0, y0, x1, y1 } = rect;
    let (across, down) = (width.min(x1 - x0), width.min(y1 - y0));
    let (dash, period) = (4 * width + 2, 8 * width + 4);
    let mut pieces = Vec::new();
    for start in (x0..x1).step_by(period.unsigned_abs() as usize) {
        let (x0, x1) = (start, (start + dash).min(x1));
        pieces.push(Rect { x0, y0, x1, y1: y0 + down });
        pieces.push(Rect { x0, y0: y1 - down, x1, y1 });
    }
    for start in (y0..y1).step_by(period.unsigned_abs() as usize) {
        let (y0, y1) = (start, (start + dash).min(y1));
        pieces.push(Rect { x0, y0, x1: x0 + across, y1 });
        pieces.push(Rect { x0: x1 - across, y0, x1, y1 });
    }
    for piece in &pieces {
        fill(image, piece.grown(halo), around);
    }
    for piece in pieces {
        fill(image, piece, color);
    }
}

/// A line of `width` pixels between two places; nothing where one is no number or further outside
/// than the image is long.
pub(super) fn line(image: &mut RgbImage, [from, to]: [[f32; 2]; 2], width: i64, color: [u8; 3]) {
    let reach = image.width().max(image.height()) as f32;
    let is_near = |at: &f32| (-reach..=2.0 * reach).contains(at);
    if !from.iter().chain(&to).all(is_near) {
        return;
    }
    let [across, down] = [to[0] - from[0], to[1] - from[1]];
    let steps = across.abs().max(down.abs()).ceil().max(1.0);
    for step in 0..=steps as u32 {
        let share = step as f32 / steps;
        let middle = [from[0] + share * across, from[1] + share * down];
        let [x0, y0] = middle.map(|px| (px - 0.5 * width as f32).round() as i64);
        fill(image, Rect { x0, y0, x1: x0 + width, y1: y0 + width }, color);
    }
}

/// Lays `color` over one pixel, `coverage` in `[0, 1]`; nothing outside the image.
pub(super) fn blend(image: &mut RgbImage, (x, y): (i64, i64), color: [u8; 3], coverage: f32) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
    let Some(Rgb(pixel)) = image.get_pixel_mut_checked(x, y) else { return };
    let coverage = coverage.clamp(0.0, 1.0);
    for (below, above) in pixel.iter_mut().zip(color) {
        let mixed = f32::from(*below) + (f32::from(above) - f32::from(*below)) * coverage;
        *below = mixed.round() as u8;
    }
}
