//! The tree of frames over time, as `/tf` and `/tf_static` build it.

mod error;
mod history;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use nalgebra::Isometry3;

use super::transform::rigid;
use crate::types::Stamp;

pub use error::{Direction, InsertError, LookupError, Tree};

use history::{History, Missing, put};

/// Longest frame name, in bytes.
const MOST_NAME_BYTES: usize = 255;

/// Bounds of a [`Buffer`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BufferSettings {
    /// How long transforms are kept behind the newest one of their pair of frames, in seconds.
    pub kept_secs: f64,
    /// A transform that lies this far behind the newest one of its pair means that the clock was
    /// set back, as when a recording starts again; anything less is one that came late. In seconds.
    pub jump_back_secs: f64,
    /// Most transforms of one pair of frames.
    pub most_samples: usize,
    /// Most frames.
    pub most_frames: usize,
}

impl Default for BufferSettings {
    fn default() -> Self {
        Self { kept_secs: 10.0, jump_back_secs: 2.0, most_samples: 10_000, most_frames: 10_000 }
    }
}

/// One transform, as `geometry_msgs/TransformStamped` carries it: the pose of `child` in `parent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StampedTransform<'a> {
    /// When it holds. Without meaning for a static one.
    pub stamp: Stamp,
    /// `header.frame_id`.
    pub parent: &'a str,
    /// `child_frame_id`.
    pub child: &'a str,
    /// `x, y, z` in metres.
    pub translation: [f64; 3],
    /// `x, y, z, w`.
    pub rotation: [f64; 4],
}

/// What else happened when a transform was taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inserted {
    /// The clock was set back, so that all moving transforms were forgotten before this one was
    /// taken; by how many seconds.
    pub jumped_back_secs: Option<f64>,
    /// The child had this parent until now; what was known of it is forgotten.
    pub parent_before: Option<String>,
}

/// What a [`Buffer`] has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferCounts {
    /// Transforms that were taken.
    pub taken: u64,
    /// Transforms that were refused.
    pub refused: u64,
    /// Transforms that were dropped because there were too many of a pair within the time that is
    /// kept.
    pub evicted: u64,
    /// How often the clock was set back.
    pub jumps_back: u64,
    /// How often a frame got another parent.
    pub parents_changed: u64,
}

#[derive(Clone, Debug)]
struct Link {
    parent: usize,
    history: History,
}

#[derive(Clone, Debug)]
struct FrameEntry {
    name: Arc<str>,
    up: Option<Link>,
}

/// Remembers how frames stand to each other, for some seconds and within fixed memory, and answers
/// where one frame was in another at a stamp.
///
/// A frame has one parent, and the frames form trees. Static transforms hold at every stamp, and
/// outlive a clock that is set back. Names are taken without a leading slash.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    settings: BufferSettings,
    frames: Vec<FrameEntry>,
    by_name: HashMap<Arc<str>, usize>,
    counts: BufferCounts,
}

/// From `start` to `end` in seconds; exact to a nanosecond over what a buffer keeps.
fn seconds_between(start: Stamp, end: Stamp) -> f64 {
    (i128::from(end.0) - i128::from(start.0)) as f64 * 1e-9
}

fn without_slash(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

impl Buffer {
    /// An empty buffer.
    #[must_use]
    pub fn new(settings: BufferSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// What has been done so far.
    #[must_use]
    pub fn counts(&self) -> BufferCounts {
        self.counts
    }

    /// All known frames, in alphabetical order.
    #[must_use]
    pub fn frames(&self) -> Vec<String> {
        self.names(0..self.frames.len())
    }

    /// Forgets all moving transforms, as after a clock that was set back. Static ones stay: whoever
    /// sent them will not send them again.
    pub fn clear_moving(&mut self) {
        for link in self.frames.iter_mut().filter_map(|frame| frame.up.as_mut()) {
            if let History::Moving(samples) = &mut link.history {
                samples.clear();
            }
        }
    }

    /// Takes a transform of `/tf`.
    ///
    /// # Errors
    /// Where it is refused, with the reason; the buffer is as it was before.
    pub fn insert(&mut self, transform: &StampedTransform<'_>) -> Result<Inserted, InsertError> {
        self.take(transform, false)
    }

    /// Takes a transform of `/tf_static`.
    ///
    /// # Errors
    /// Where it is refused, with the reason; the buffer is as it was before.
    pub fn insert_static(
        &mut self,
        transform: &StampedTransform<'_>,
    ) -> Result<Inserted, InsertError> {
        self.take(transform, true)
    }

    fn take(
        &mut self,
        transform: &StampedTransform<'_>,
        is_static: bool,
    ) -> Result<Inserted, InsertError> {
        let result = self.checked(transform, is_static);
        match &result {
            Ok(_) => self.counts.taken += 1,
            Err(_) => self.counts.refused += 1,
        }
        result
    }

    fn checked(
        &mut self,
        transform: &StampedTransform<'_>,
        is_static: bool,
    ) -> Result<Inserted, InsertError> {
        let (parent, child) = (without_slash(transform.parent), without_slash(transform.child));
        let owned = || (parent.to_owned(), child.to_owned());
        for name in [parent, child] {
            if name.is_empty() || name.len() > MOST_NAME_BYTES {
                return Err(InsertError::FrameName { found: name.len(), max: MOST_NAME_BYTES });
            }
        }
        if parent == child {
            return Err(InsertError::SelfTransform { frame: parent.to_owned() });
        }
        let parent_from_child =
            rigid(transform.translation, transform.rotation).map_err(|reason| {
                let (parent, child) = owned();
                InsertError::Numbers { parent, child, reason }
            })?;
        self.check_loop(parent, child)?;
        self.check_room(parent, child)?;

        let stamp = transform.stamp;
        let mut inserted = Inserted::default();
        let link = self.by_name.get(child).and_then(|index| self.frames[*index].up.as_ref());
        if let Some(Link { parent: before, history }) = link {
            let same_parent = &*self.frames[*before].name == parent;
            if !same_parent {
                inserted.parent_before = Some(self.frames[*before].name.to_string());
            }
            if let (Some(Ok((_, newest))), false) = (history.span(), is_static) {
                let behind_secs = seconds_between(stamp, newest);
                if behind_secs >= self.settings.jump_back_secs {
                    inserted.jumped_back_secs = Some(behind_secs);
                } else if same_parent && behind_secs > self.settings.kept_secs {
                    let (parent, child) = owned();
                    let kept_secs = self.settings.kept_secs;
                    return Err(InsertError::TooOld {
                        parent,
                        child,
                        stamp,
                        behind_secs,
                        kept_secs,
                    });
                }
            }
        }
        if inserted.jumped_back_secs.is_some() {
            self.counts.jumps_back += 1;
            self.clear_moving();
        }
        self.counts.parents_changed += u64::from(inserted.parent_before.is_some());

        let parent = self.entry(parent);
        let child = self.entry(child);
        let (kept_secs, most) = (self.settings.kept_secs, self.settings.most_samples);
        let up = &mut self.frames[child].up;
        if is_static {
            *up = Some(Link { parent, history: History::Static(parent_from_child) });
            return Ok(inserted);
        }
        // What was known of another parent, or of a frame that did not move, is forgotten.
        let mut samples = match up.take() {
            Some(Link { parent: before, history: History::Moving(samples) })
                if before == parent =>
            {
                samples
            }
            _ => VecDeque::new(),
        };
        self.counts.evicted += put(&mut samples, stamp, parent_from_child, kept_secs, most);
        *up = Some(Link { parent, history: History::Moving(samples) });
        Ok(inserted)
    }

    fn check_loop(&self, parent: &str, child: &str) -> Result<(), InsertError> {
        let (Some(&start), Some(&end)) = (self.by_name.get(parent), self.by_name.get(child)) else {
            return Ok(());
        };
        let way = self.way_up(start);
        match way.iter().position(|frame| *frame == end) {
            None => Ok(()),
            Some(last) => Err(InsertError::Loop {
                parent: parent.to_owned(),
                child: child.to_owned(),
                path: way[..=last].iter().map(|frame| self.name(*frame)).collect(),
            }),
        }
    }

    fn check_room(&self, parent: &str, child: &str) -> Result<(), InsertError> {
        let most = self.settings.most_frames;
        let new: Vec<_> =
            [parent, child].into_iter().filter(|name| !self.by_name.contains_key(*name)).collect();
        match new.last() {
            Some(name) if self.frames.len() + new.len() > most => {
                Err(InsertError::TooManyFrames { most, frame: (*name).to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn entry(&mut self, name: &str) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let name: Arc<str> = Arc::from(name);
        self.frames.push(FrameEntry { name: Arc::clone(&name), up: None });
        self.by_name.insert(name, self.frames.len() - 1);
        self.frames.len() - 1
    }

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
    fn way_up(&self, start: usize) -> Vec<usize> {
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

    fn name(&self, frame: usize) -> String {
        self.frames[frame].name.to_string()
    }

    fn names(&self, frames: impl Iterator<Item = usize>) -> Vec<String> {
        let mut names: Vec<_> = frames.map(|frame| self.name(frame)).collect();
        names.sort_unstable();
        names
    }
}

/// From the source up to the frame where both ways meet, and down from there to the target. The
/// meeting point stands in neither.
struct Way {
    up: Vec<usize>,
    down: Vec<usize>,
}
