//! A box that moves at constant speed, as a Kalman filter sees it.
//!
//! The state is the centre (x, y), the width and the height in pixels, and the speed of each in
//! pixels per second. No coordinate depends on another one, in motion, in noise or in what is
//! measured, so that the filter of eight numbers is four filters of two; they are computed as such.
//!
//! The noise is that of DeepSORT and ByteTrack at 30 frames a second, as densities over time. It
//! grows with the width (x, width) or the height (y, height) of the box.

use nalgebra::{Matrix2, Vector2};

use crate::types::PixelBox;

/// Standard deviation of a measured edge, as a share of the side: ByteTrack's.
const MEASURED: f64 = 1.0 / 20.0;

/// How fast the place wanders beyond what its speed says: a variance of (side / 20)² each thirtieth
/// of a second.
const PLACE_WALK_PER_SEC: f64 = 30.0 / (20.0 * 20.0);

/// How fast the speed changes: a variance of (side / 160 per thirtieth of a second)² each thirtieth
/// of a second.
const SPEED_WALK_PER_SEC: f64 = 30.0 * (30.0 / 160.0) * (30.0 / 160.0);

/// Standard deviations of place and speed (per second) of a new box, as shares of its side.
const NEW_PLACE: f64 = 2.0 * MEASURED;
const NEW_SPEED: f64 = 10.0 * 30.0 / 160.0;

/// Smallest side of a box, in pixels.
const SMALLEST_PX: f64 = 1.0;

/// One coordinate and its speed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    /// Place in px, speed in px/s.
    state: Vector2<f64>,
    covariance: Matrix2<f64>,
}

impl Axis {
    fn new(measured_px: f64, side_px: f64) -> Self {
        let deviation = Vector2::new(NEW_PLACE, NEW_SPEED) * side_px;
        Self {
            state: Vector2::new(measured_px, 0.0),
            covariance: Matrix2::from_diagonal(&deviation.component_mul(&deviation)),
        }
    }

    fn predict(&mut self, secs: f64, side_px: f64) {
        let motion = Matrix2::new(1.0, secs, 0.0, 1.0);
        let speed_walk =
            Matrix2::new(secs.powi(3) / 3.0, secs.powi(2) / 2.0, secs.powi(2) / 2.0, secs)
                * SPEED_WALK_PER_SEC;
        let place_walk = Matrix2::new(secs * PLACE_WALK_PER_SEC, 0.0, 0.0, 0.0);
        self.state = motion * self.state;
        self.covariance = motion * self.covariance * motion.transpose()
            + (speed_walk + place_walk) * (side_px * side_px);
    }

    fn update(&mut self, measured_px: f64, side_px: f64) {
        let noise = (MEASURED * side_px).powi(2);
        // At least the noise, which is above 0: a side is never below one pixel.
        let variance = self.covariance[(0, 0)] + noise;
        let gain = self.covariance.column(0) / variance;
        self.state += gain * (measured_px - self.state[0]);
        // Joseph's form stays symmetric and positive whatever is rounded.
        let kept = Matrix2::identity() - gain * Vector2::x().transpose();
        self.covariance =
            kept * self.covariance * kept.transpose() + gain * gain.transpose() * noise;
    }
}

/// A moving box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MovingBox {
    /// Centre x, centre y, width, height.
    axes: [Axis; 4],
}

fn coordinates(measured: &PixelBox) -> [f64; 4] {
    let [x0, y0, x1, y1] = measured.corners().map(f64::from);
    [0.5 * (x0 + x1), 0.5 * (y0 + y1), x1 - x0, y1 - y0]
}

impl MovingBox {
    /// A box that was seen for the first time and stands still until it is known better.
    pub(super) fn new(measured: &PixelBox) -> Self {
        let [x, y, width, height] = coordinates(measured);
        let (wide, high) = (width.max(SMALLEST_PX), height.max(SMALLEST_PX));
        Self {
            axes: [
                Axis::new(x, wide),
                Axis::new(y, high),
                Axis::new(width, wide),
                Axis::new(height, high),
            ],
        }
    }

    fn sides(&self) -> [f64; 4] {
        let width = self.axes[2].state[0].max(SMALLEST_PX);
        let height = self.axes[3].state[0].max(SMALLEST_PX);
        [width, height, width, height]
    }

    /// Moves on by `secs`, which is not below 0.
    pub(super) fn predict(&mut self, secs: f64) {
        let sides = self.sides();
        for (axis, side) in self.axes.iter_mut().zip(sides) {
            axis.predict(secs, side);
        }
    }

    /// Keeps the size as it is: of an object that is not seen it is not known how it goes on, and a
    /// box that shrinks to nothing is never found again.
    pub(super) fn hold_size(&mut self) {
        self.axes[2].state[1] = 0.0;
        self.axes[3].state[1] = 0.0;
    }

    /// Takes in where it was seen.
    pub(super) fn update(&mut self, measured: &PixelBox) {
        let sides = self.sides();
        for ((axis, side), measured) in self.axes.iter_mut().zip(sides).zip(coordinates(measured)) {
            axis.update(measured, side);
        }
    }

    /// Where it is.
    pub(super) fn pixel_box(&self) -> PixelBox {
        let [width, height, ..] = self.sides();
        let (x, y) = (self.axes[0].state[0], self.axes[1].state[0]);
        let corners = [x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height];
        PixelBox::from_corners(corners.map(|edge| edge as f32))
    }

    /// Speed of the centre `[x, y]` in px/s.
    pub(super) fn speed_px_per_s(&self) -> [f64; 2] {
        [self.axes[0].state[1], self.axes[1].state[1]]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(x: f64, y: f64, width: f64, height: f64) -> PixelBox {
        let corners = [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0];
        PixelBox::from_corners(corners.map(|edge| edge as f32))
    }

    proptest! {
        #[test]
        fn constant_speed_is_learned_at_any_frame_rate(
            (vx, vy) in (-80.0..80.0_f64, -80.0..80.0_f64),
            rate in 5.0..60.0_f64,
        ) {
            let mut moving = MovingBox::new(&at(300.0, 200.0, 60.0, 90.0));
            let frames = (3.0 * rate) as u32;
            for frame in 1..=frames {
                let secs = f64::from(frame) / rate;
                moving.predict(1.0 / rate);
                moving.update(&at(300.0 + vx * secs, 200.0 + vy * secs, 60.0, 90.0));
            }
            let [x, y] = moving.speed_px_per_s();
            prop_assert!((x - vx).abs() < 2.0 && (y - vy).abs() < 2.0, "{x} {y}");
            // Half a second unseen.
            moving.predict(0.5);
            let secs = f64::from(frames) / rate + 0.5;
            let expected = at(300.0 + vx * secs, 200.0 + vy * secs, 60.0, 90.0);
            prop_assert!(moving.pixel_box().iou(&expected) > 0.9);
        }

        #[test]
        fn two_short_steps_are_one_long_one(first in 0.0..2.0_f64, second in 0.0..2.0_f64) {
            let mut once = MovingBox::new(&at(100.0, 50.0, 20.0, 30.0));
            once.predict(0.1);
            once.update(&at(104.0, 49.0, 21.0, 30.0));
            // The noise grows with the size, which is held so that it is the same on both ways.
            once.hold_size();
            let mut twice = once;
            once.predict(first + second);
            twice.predict(first);
            twice.predict(second);
            for (one, two) in once.axes.iter().zip(&twice.axes).take(2) {
                prop_assert!((one.state - two.state).amax() < 1e-6);
                let scale = one.covariance.amax();
                prop_assert!((one.covariance - two.covariance).amax() < 1e-6 * scale);
            }
        }
    }
}
