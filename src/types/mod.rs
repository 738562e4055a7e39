//! Floor 0: the words that every other floor uses. No torch, no ROS, no zenoh, no async.
//!
//! Conventions that hold in the whole crate:
//! - a pixel box is given by its corners in continuous pixel coordinates: the left edge of the
//!   leftmost pixel is 0, the right edge of the rightmost one is the image's width;
//! - `_in_source_px` is the image as the camera gave it, `_in_norm` is `[0, 1]` over the network's
//!   canvas;
//! - stamps are integer nanoseconds since the epoch of the clock that wrote them.

mod boxes;
mod detection;
mod device;
mod exemplar;
mod explanation;
mod finer;
mod frame;
mod mask;
mod pick;
mod prompt;
mod refused;
mod rle;
mod space;
mod stamp;
mod templates;
mod timings;

pub use boxes::PixelBox;
pub use detection::{Detection, FrameDetections, WeakDetection};
pub use device::{DeviceChoice, DtypeChoice, ParseChoiceError};
pub use exemplar::{Exemplar, ExemplarPicture};
pub use explanation::{Evidence, Explanation, PairEvidence, PairId};
pub use finer::{FinerLabel, FinerScore, MAX_FINER_LABELS};
pub use frame::{DepthImage, Frame, FrameHeader, Picture, StampSource};
pub use mask::{InstanceMask, Mask};
pub use pick::{Heightmap, MOST_PROMPT_SCORES, Pick};
pub use prompt::{MAX_EXEMPLAR_PIXELS, MAX_EXEMPLARS, MAX_TEXT_BYTES, Prompt, PromptSet};
pub use refused::{PromptProblem, PromptSetRefused, numbered, shortened};
pub use rle::{CocoRle, RleError};
pub use space::{
    Calibration, Cloud, CloudPoint, FramePlaces, FrameTransform, LocateMode, NoPlace, NoPlaceKind,
    Place, UnknownLocateMode,
};
pub use stamp::Stamp;
pub use templates::{MAX_FILLED_TEXTS, MAX_TEMPLATES};
pub use timings::{Stage, StageTimings};
