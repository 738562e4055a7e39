//! The transforms of one pair of frames over time.

use std::collections::VecDeque;

use nalgebra::Isometry3;

use super::Direction;
use crate::geometry::transform::between;
use crate::types::Stamp;

/// How a frame moves in its parent.
#[derive(Clone, Debug)]
pub(super) enum History {
    /// It does not (`/tf_static`).
    Static(Isometry3<f64>),
    /// As these transforms say (`/tf`), stamps rising.
    Moving(VecDeque<(Stamp, Isometry3<f64>)>),
}

/// Why there is no transform at a stamp.
pub(super) enum Missing {
    /// There is none at all.
    Empty,
    /// The stamp lies outside of what is known.
    Beyond { direction: Direction, nearest: Stamp, gap_secs: f64 },
}

impl History {
    /// Stamps of the oldest and the newest transform; `None` for one that never moves.
    pub(super) fn span(&self) -> Option<Result<(Stamp, Stamp), Missing>> {
        let Self::Moving(samples) = self else { return None };
        Some(match (samples.front(), samples.back()) {
            (Some((oldest, _)), Some((newest, _))) => Ok((*oldest, *newest)),
            _ => Err(Missing::Empty),
        })
    }

    pub(super) fn at(&self, stamp: Stamp) -> Result<Isometry3<f64>, Missing> {
        let samples = match self {
            Self::Static(parent_from_child) => return Ok(*parent_from_child),
            Self::Moving(samples) => samples,
        };
        let later = samples.partition_point(|(known, _)| *known < stamp);
        match (later.checked_sub(1).map(|before| &samples[before]), samples.get(later)) {
            (_, Some((known, exact))) if *known == stamp => Ok(*exact),
            (Some((start, from)), Some((end, to))) => {
                let share = stamp.secs_since(*start) / end.secs_since(*start);
                Ok(between(from, to, share))
            }
            (None, None) => Err(Missing::Empty),
            (None, Some((oldest, _))) => Err(Missing::Beyond {
                direction: Direction::Past,
                nearest: *oldest,
                gap_secs: oldest.secs_since(stamp),
            }),
            (Some((newest, _)), None) => Err(Missing::Beyond {
                direction: Direction::Future,
                nearest: *newest,
                gap_secs: stamp.secs_since(*newest),
            }),
        }
    }
}

/// Puts a transform where it belongs in time; one of the same stamp is replaced. What lies more
/// than `kept_secs` behind the newest is dropped, and the oldest of more than `most` as well.
/// Returns how many were dropped for the latter reason.
pub(super) fn put(
    samples: &mut VecDeque<(Stamp, Isometry3<f64>)>,
    stamp: Stamp,
    parent_from_child: Isometry3<f64>,
    kept_secs: f64,
    most: usize,
) -> u64 {
    let at = samples.partition_point(|(known, _)| *known < stamp);
    match samples.get_mut(at) {
        Some((known, sample)) if *known == stamp => *sample = parent_from_child,
        _ => samples.insert(at, (stamp, parent_from_child)),
    }
    let newest = samples.back().map_or(stamp, |(newest, _)| *newest);
    while samples.front().is_some_and(|(oldest, _)| newest.secs_since(*oldest) > kept_secs) {
        samples.pop_front();
    }
    let too_many = samples.len().saturating_sub(most.max(1));
    samples.drain(..too_many);
    too_many as u64
}
