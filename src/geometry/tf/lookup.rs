//! Where one frame is in another.

use nalgebra::Isometry3;

use super::history::Missing;
use super::{Buffer, LookupError, Tree, without_slash};
use crate::types::Stamp;

/// From the source up to the frame where both ways meet, and down from there to the target. The
/// meeting point stands in neither.
struct Way {
    up: Vec<usize>,
    down: Vec<usize>,
}

impl Buffer {
    /// Where `source` was in `target` at a stamp: takes points in `source` to `target`.
    /// Interpolated between the transforms before and after it, and never extrapolated.
    ///
    /// # Errors
    /// Where a frame is not known, nothing joins the two, or the stamp lies outside of what is
    /// known for a transform on the way.
    pub fn lookup(
        &self,
        target: &str,
        source: &str,
        stamp: Stamp,
    ) -> Result<Isometry3<f64>, LookupError> {
        let way = self.way(target, source)?;
        self.along(&way, stamp)
    }

    /// [`lookup`](Self::lookup) at the newest stamp for which all transforms on the way are known,
    /// with that stamp. There is none where only static transforms are on the way.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup), and where no stamp is common to all of them.
    pub fn lookup_newest(
        &self,
        target: &str,
        source: &str,
    ) -> Result<(Isometry3<f64>, Option<Stamp>), LookupError> {
        let way = self.way(target, source)?;
        // The transform that starts last, and the one that ends first.
        let mut late: Option<(Stamp, usize)> = None;
        let mut early: Option<(Stamp, usize)> = None;
        for &frame in way.up.iter().chain(&way.down) {
            let Some(link) = &self.frames[frame].up else { continue };
            match link.history.span() {
                None => {}
                Some(Ok((oldest, newest))) => {
                    late = late.max(Some((oldest, frame)));
                    early = Some(early.map_or((newest, frame), |early| early.min((newest, frame))));
                }
                Some(Err(missing)) => return Err(self.missing(frame, Stamp(0), &missing)),
            }
        }
        let (Some((oldest, late)), Some((newest, early))) = (late, early) else {
            return Ok((self.along(&way, Stamp(0))?, None));
        };
        if oldest > newest {
            return Err(LookupError::NoCommonStamp {
                late_child: self.name(late),
                oldest,
                early_child: self.name(early),
                newest,
            });
        }
        Ok((self.along(&way, newest)?, Some(newest)))
    }

    fn along(&self, way: &Way, stamp: Stamp) -> Result<Isometry3<f64>, LookupError> {
        let climb = |frames: &[usize]| {
            let mut top_from_start = Isometry3::identity();
            for &frame in frames {
                let Some(link) = &self.frames[frame].up else { continue };
                let parent_from_frame = link
                    .history
                    .at(stamp)
                    .map_err(|missing| self.missing(frame, stamp, &missing))?;
                top_from_start = parent_from_frame * top_from_start;
            }
            Ok(top_from_start)
        };
        let top_from_source = climb(&way.up)?;
        let top_from_target = climb(&way.down)?;
        Ok(top_from_target.inverse() * top_from_source)
    }

    fn missing(&self, frame: usize, stamp: Stamp, missing: &Missing) -> LookupError {
        let child = self.name(frame);
        let parent = self.frames[frame].up.as_ref().map(|link| self.name(link.parent));
        let parent = parent.unwrap_or_default();
        match *missing {
            Missing::Empty => LookupError::Cleared { parent, child },
            Missing::Beyond { direction, nearest, gap_secs } => {
                LookupError::Extrapolation { parent, child, stamp, direction, nearest, gap_secs }
            }
        }
    }

    fn way(&self, target: &str, source: &str) -> Result<Way, LookupError> {
        let (target, source) = (self.known(target)?, self.known(source)?);
        let (mut down, mut up) = (self.way_up(target), self.way_up(source));
        if down.last() != up.last() {
            return Err(LookupError::NotConnected {
                target: self.name(target),
                source_frame: self.name(source),
                target_tree: Box::new(self.tree(&down)),
                source_tree: Box::new(self.tree(&up)),
            });
        }
        // Above the frame where the two meet both ways are the same.
        while let (Some(one), Some(other)) = (down.last(), up.last())
            && one == other
        {
            down.pop();
            up.pop();
        }
        Ok(Way { up, down })
    }

    /// A frame, its parent, and so on up to the root. Ends, since loops are refused.
    pub(super) fn way_up(&self, start: usize) -> Vec<usize> {
        let next = |frame: &usize| self.frames[*frame].up.as_ref().map(|link| link.parent);
        std::iter::successors(Some(start), next).collect()
    }

    fn known(&self, name: &str) -> Result<usize, LookupError> {
        let name = without_slash(name);
        self.by_name.get(name).copied().ok_or_else(|| {
            let known = self.frames();
            let closest = known
                .iter()
                .map(|other| (strsim::jaro_winkler(name, other), other))
                .filter(|(likeness, _)| *likeness > 0.85)
                .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
            LookupError::UnknownFrame {
                frame: name.to_owned(),
                did_you_mean: closest.map(|(_, other)| other.clone()),
                known,
            }
        })
    }

    fn tree(&self, way_up: &[usize]) -> Tree {
        let root = way_up.last().copied().unwrap_or_default();
        let mut belongs: Vec<Option<bool>> = vec![None; self.frames.len()];
        belongs[root] = Some(true);
        for frame in 0..self.frames.len() {
            // Up to the first frame whose answer is known, and that answer for all on the way.
            let (mut above, mut asked) = (frame, Vec::new());
            let answer = loop {
                if let Some(answer) = belongs[above] {
                    break answer;
                }
                asked.push(above);
                match &self.frames[above].up {
                    Some(link) => above = link.parent,
                    None => break false,
                }
            };
            asked.into_iter().for_each(|frame| belongs[frame] = Some(answer));
        }
        let frames = (0..self.frames.len()).filter(|frame| belongs[*frame] == Some(true));
        Tree { root: self.name(root), frames: self.names(frames) }
    }
}
