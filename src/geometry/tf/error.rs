//! Why a transform is not taken, and why there is none to be had.

use std::fmt;

use crate::geometry::transform::TransformError;
use crate::types::Stamp;

/// Names that are listed at most in one message.
const MOST_NAMES: usize = 8;

/// A transform that is not taken. The buffer is as it was before.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InsertError {
    /// A frame without a name, or with one that is too long to be meant.
    #[error("expected frame names of 1 to {max} bytes, found one of {found}")]
    FrameName {
        /// Bytes of the name.
        found: usize,
        /// Most bytes that are taken.
        max: usize,
    },
    /// A frame that is its own parent.
    #[error("frame {frame:?} is said to be its own parent")]
    SelfTransform {
        /// The frame.
        frame: String,
    },
    /// The parent hangs below the child already.
    #[error(
        "frame {child:?} cannot hang below {parent:?}: that would close the loop {}",
        chain(path)
    )]
    Loop {
        /// The parent that was to be.
        parent: String,
        /// The child that was to be.
        child: String,
        /// From the parent up to the child.
        path: Vec<String>,
    },
    /// The numbers are no rigid transform.
    #[error("transform from {child:?} to {parent:?}: {reason}")]
    Numbers {
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
        /// What is wrong with them.
        reason: TransformError,
    },
    /// Older than what is kept for its pair of frames; every lookup that it could serve is answered
    /// by newer ones.
    #[error(
        "transform from {child:?} to {parent:?} at {stamp} is {behind_secs:.3} s behind the newest \
         one, more than the {kept_secs:.3} s that are kept"
    )]
    TooOld {
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
        /// Its stamp.
        stamp: Stamp,
        /// How far it lies behind the newest, in seconds.
        behind_secs: f64,
        /// How much is kept, in seconds.
        kept_secs: f64,
    },
    /// There are as many frames as the buffer holds.
    #[error("expected at most {most} frames, found a further one: {frame:?}")]
    TooManyFrames {
        /// How many the buffer holds.
        most: usize,
        /// The one that is too many.
        frame: String,
    },
}

/// One of the trees that the known frames form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The frame at its root.
    pub root: String,
    /// All its frames in alphabetical order, the root among them.
    pub frames: Vec<String>,
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tree of {:?} ({})", self.root, listed(&self.frames))
    }
}

/// Which end of what is known was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Before the oldest.
    Past,
    /// After the newest.
    Future,
}

/// A transform that is not to be had.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LookupError {
    /// A frame that no transform has named.
    #[error("frame {frame:?} is not known; {}", suggestion(did_you_mean, known))]
    UnknownFrame {
        /// The frame that was asked for.
        frame: String,
        /// The known frame whose name is closest, where one is close.
        did_you_mean: Option<String>,
        /// All known frames, in alphabetical order.
        known: Vec<String>,
    },
    /// Both frames are known, and nothing joins them.
    #[error(
        "frames {target:?} and {source_frame:?} are not connected: {target:?} is in \
         {target_tree}, {source_frame:?} in {source_tree}"
    )]
    NotConnected {
        /// The frame to which points were to be taken.
        target: String,
        /// The frame in which they are given.
        source_frame: String,
        /// The tree of the target.
        target_tree: Box<Tree>,
        /// The tree of the source.
        source_tree: Box<Tree>,
    },
    /// One transform on the way is not known at the stamp that was asked for.
    #[error(
        "the transform from {child:?} to {parent:?} is needed at {stamp}, {gap_secs:.6} s {} at \
         {nearest}",
        match direction { Direction::Past => "before the oldest one", Direction::Future => "after the newest one" }
    )]
    Extrapolation {
        /// The parent frame of the transform.
        parent: String,
        /// Its child frame.
        child: String,
        /// The stamp that was asked for.
        stamp: Stamp,
        /// Which end was passed.
        direction: Direction,
        /// The oldest or newest stamp that is known.
        nearest: Stamp,
        /// How far it lies off, in seconds; above 0.
        gap_secs: f64,
    },
    /// The frames are joined, but nothing has come since the buffer was cleared.
    #[error("no transform from {child:?} to {parent:?} has come since the clock jumped back")]
    Cleared {
        /// The parent frame.
        parent: String,
        /// The child frame.
        child: String,
    },
    /// No stamp is known for all transforms on the way.
    #[error(
        "no stamp is common to all transforms: {late_child:?} is known from {oldest}, \
         {early_child:?} up to {newest}"
    )]
    NoCommonStamp {
        /// The child of the transform that starts last.
        late_child: String,
        /// Its oldest stamp.
        oldest: Stamp,
        /// The child of the transform that ends first.
        early_child: String,
        /// Its newest stamp.
        newest: Stamp,
    },
}

fn chain(path: &[String]) -> String {
    match path {
        [first, .., last] if path.len() > MOST_NAMES => {
            format!("{first} -> ({} more) -> {last}", path.len() - 2)
        }
        _ => path.join(" -> "),
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn suggestion(did_you_mean: &Option<String>, known: &[String]) -> String {
    match (did_you_mean, known) {
        (Some(name), _) => format!("did you mean {name:?}?"),
        (None, []) => "no transform has come yet".to_owned(),
        (None, known) => format!("known are {}", listed(known)),
    }
}
