//! The calibrations of one camera over time.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::geometry::{CameraFields, CameraModel, PictureKind};
use crate::types::{Calibration, NoPlace, NoPlaceKind, Stamp};

/// Calibrations that are remembered: a camera that zooms has many, and the newest count.
const MOST_CALIBRATIONS: usize = 8;

/// A calibration holds from its stamp until another one comes: most drivers send one with each
/// image, some one for ever.
pub(super) struct Calibrations {
    kind: PictureKind,
    /// Since when each holds, in the order in which they came.
    known: VecDeque<(Stamp, Calibration, Result<Arc<CameraModel>, NoPlace>)>,
}

impl Calibrations {
    /// Those of a camera that sends pictures of this kind.
    pub(super) fn new(kind: PictureKind) -> Self {
        Self { kind, known: VecDeque::new() }
    }

    /// Says which pictures the camera sends.
    pub(super) fn set_kind(&mut self, kind: PictureKind) {
        if kind != self.kind {
            self.kind = kind;
            for (_, calibration, model) in &mut self.known {
                *model = model_of(calibration, kind);
            }
        }
    }

    /// Takes one. What is wrong with it is told once for each calibration that is new.
    pub(super) fn take(&mut self, calibration: Calibration) -> Result<(), NoPlace> {
        let stamp = calibration.header.stamp;
        if let Some((_, last, _)) = self.known.back()
            && is_same(last, &calibration)
        {
            return Ok(());
        }
        // A clock that was set back: what was said of later times is of another run.
        self.known.retain(|(since, ..)| *since <= stamp);
        if self.known.len() >= MOST_CALIBRATIONS {
            self.known.pop_front();
        }
        let model = model_of(&calibration, self.kind);
        let told = model.as_ref().map(|_| ()).map_err(Clone::clone);
        self.known.push_back((stamp, calibration, model));
        told
    }

    /// The one that holds at a stamp: the last that began before it, or else the first.
    pub(super) fn at(&self, stamp: Stamp) -> Option<&Result<Arc<CameraModel>, NoPlace>> {
        let holds = self.known.iter().rev().find(|(since, ..)| *since <= stamp);
        holds.or(self.known.front()).map(|(_, _, model)| model)
    }
}

fn model_of(calibration: &Calibration, kind: PictureKind) -> Result<Arc<CameraModel>, NoPlace> {
    let model = CameraFields::from(calibration).model(kind);
    model.map(Arc::new).map_err(|error| NoPlace::new(NoPlaceKind::BadCalibration, error))
}

/// Whether two calibrations describe the same camera, whenever they were sent.
fn is_same(one: &Calibration, other: &Calibration) -> bool {
    let header = &one.header;
    header.frame_id == other.header.frame_id
        && *one == Calibration { header: header.clone(), ..other.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::FrameHeader;

    pub(in crate::spatial) fn pinhole(stamp: i64, focal_px: f64) -> Calibration {
        Calibration {
            header: FrameHeader { stamp: Stamp(stamp), frame_id: "optical".into() },
            width: 64,
            height: 48,
            distortion_model: "plumb_bob".to_owned(),
            d: vec![0.0; 5],
            k: [focal_px, 0.0, 31.5, 0.0, focal_px, 23.5, 0.0, 0.0, 1.0],
            r: [0.0; 9],
            p: [0.0; 12],
            binning: [0; 2],
            region: [0; 4],
        }
    }

    #[test]
    fn the_calibration_of_a_stamp_is_the_last_before_it() {
        let mut calibrations = Calibrations::new(PictureKind::Raw);
        assert!(calibrations.at(Stamp(0)).is_none());
        for (stamp, focal_px) in [(10, 50.0), (20, 50.0), (30, 60.0), (40, 60.0)] {
            calibrations.take(pinhole(stamp, focal_px)).unwrap();
        }
        assert_eq!(calibrations.known.len(), 2, "the same one again is not kept again");
        let focal = |stamp| calibrations.at(Stamp(stamp)).unwrap().as_ref().unwrap().focal_px()[0];
        assert_eq!([5, 10, 29, 30, 99].map(focal), [50.0, 50.0, 50.0, 60.0, 60.0]);
        // Zooming for ever costs no memory.
        for step in 0..100 {
            let next = pinhole(100 + step, 50.0 + step as f64);
            calibrations.take(next).unwrap();
        }
        assert_eq!(calibrations.known.len(), MOST_CALIBRATIONS);
    }

    #[test]
    fn which_pictures_are_meant_may_be_said_later() {
        let mut calibrations = Calibrations::new(PictureKind::Raw);
        calibrations.take(pinhole(1, 50.0)).unwrap();
        assert!(calibrations.at(Stamp(1)).unwrap().is_ok());
        // There is no projection matrix in it.
        calibrations.set_kind(PictureKind::Rectified);
        let error = calibrations.at(Stamp(1)).unwrap().clone().unwrap_err();
        assert!(error.reason.contains("`p` holds no focal length"), "{error}");
    }

    #[test]
    fn a_calibration_that_is_none_is_refused_with_its_reason() {
        for (focal_px, expected) in
            [(0.0, "not calibrated"), (f64::NAN, "finite"), (-5.0, "focal lengths")]
        {
            let mut calibrations = Calibrations::new(PictureKind::Raw);
            let error = calibrations.take(pinhole(1, focal_px)).unwrap_err();
            assert_eq!(error.kind, NoPlaceKind::BadCalibration);
            assert!(error.reason.contains(expected), "{error}");
            assert!(calibrations.at(Stamp(1)).unwrap().is_err());
        }
    }
}
