//! The tree of frames over time, as `/tf` and `/tf_static` build it.

mod error;
mod history;
mod lookup;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::transform::rigid;
use crate::types::{FrameTransform, Stamp};

pub use error::{Direction, InsertError, LookupError, Tree};

use history::{History, put};

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

impl<'a> From<&'a FrameTransform> for StampedTransform<'a> {
    fn from(transform: &'a FrameTransform) -> Self {
        Self {
            stamp: transform.stamp,
            parent: &transform.parent,
            child: &transform.child,
            translation: transform.translation_m,
            rotation: transform.rotation_xyzw,
        }
    }
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
                let behind_secs = newest.secs_since(stamp);
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

    fn name(&self, frame: usize) -> String {
        self.frames[frame].name.to_string()
    }

    fn names(&self, frames: impl Iterator<Item = usize>) -> Vec<String> {
        let mut names: Vec<_> = frames.map(|frame| self.name(frame)).collect();
        names.sort_unstable();
        names
    }
}
