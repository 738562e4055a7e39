//! What a live transport and the node say to each other, whatever the transport.
//!
//! A transport calls [`NodeInput`] for what arrives and implements [`NodeOutput`] for what goes
//! out. It knows keys and payloads; the node knows cameras, prompts and the pipeline.

mod clock;
mod prompts;
mod status;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use image::RgbImage;

pub use clock::{Moment, NodeClock};
pub use prompts::{
    ExemplarRecord, FinerLabelRecord, PromptRecord, PromptsAnswer, PromptsRecord, PromptsRefused,
};
pub use status::{
    BestScore, CameraStatus, Connections, Failure, ModelStatus, PromptsStatus, RequestCounts,
    SpaceKeys, SpaceStatus, State, Status, TransformsStatus, WaitsFor,
};

use super::records::LiveRecord;
use crate::tasks::PairsToRemove;
use crate::types::{
    Calibration, Cloud, DepthImage, ExemplarPicture, FrameDetections, FrameHeader, FramePlaces,
    FrameTransform, Heightmap, PixelBox, PromptSet, Stamp, StampSource,
};

/// Why a message is not a picture, in words.
pub type ImageError = Box<dyn std::error::Error + Send + Sync>;

/// A message that should hold an image. It is decoded on a thread of the node.
pub trait ImageMessage: Send {
    /// Decodes it.
    ///
    /// # Errors
    /// What was expected and what was found.
    fn decode(&self) -> Result<LiveImage, ImageError>;
}

/// A message that should hold a depth picture. Most of them are never decoded: only those that
/// belong to an image in which something was found.
pub trait DepthMessage: Send {
    /// Its stamp and frame, without decoding pixels.
    ///
    /// # Errors
    /// What was expected and what was found.
    fn header(&self) -> Result<FrameHeader, ImageError>;

    /// Decodes it, on a thread of the node.
    ///
    /// # Errors
    /// What was expected and what was found.
    fn decode(&self) -> Result<DepthImage, ImageError>;
}

/// Which of the two cameras of an RGB-D camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraPart {
    /// The one whose images are looked at.
    Colour,
    /// The one that measures depth, where its pictures are not registered to the images.
    Depth,
}

/// What goes out beside places, where those are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceOutputs {
    /// Whether picks are looked for.
    pub picks: bool,
    /// Whether heightmaps are made.
    pub heightmap: bool,
}

/// How long transforms hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformKind {
    /// At their stamps (`/tf`).
    Moving,
    /// Always (`/tf_static`).
    Static,
}

/// A message with an image, decoded.
#[derive(Clone, Debug)]
pub struct LiveImage {
    /// Stamp and coordinate frame.
    pub header: FrameHeader,
    /// Whose clock gave the stamp.
    pub stamp_from: StampSource,
    /// When the message arrived.
    pub received: Stamp,
    /// How the message names its layout.
    pub encoding: String,
    /// The pixels.
    pub image: RgbImage,
}

/// One image to look at beside those of the cameras.
pub struct SingleImage {
    /// The image.
    pub message: Box<dyn ImageMessage>,
    /// What is looked for in it, in the form of a prompts file; `None` for the set in use.
    pub prompts: Option<Vec<u8>>,
}

/// Takes what was found in one image, or why nothing was. Called once, on any thread.
pub type DetectAnswer = Box<dyn FnOnce(Result<LiveRecord, String>) + Send>;

/// Takes the answer to a prompt set. Called once, on any thread.
pub type PromptsReply = Box<dyn FnOnce(&PromptsAnswer) + Send>;

/// What a node is to learn while it runs.
pub enum Lesson {
    /// The thing becomes an exemplar of the prompt of its name.
    Exemplar(ShownThing),
    /// The bank of pairs is to be another.
    Bank(BankLesson),
}

/// Why a lesson is refused that forgets pairs and shows a thing.
pub(in crate::transport) const FORGET_ALONE: &str =
    "expected `forget` alone, found it beside a thing that is shown";

/// What is to be other in the bank of pairs.
pub enum BankLesson {
    /// The thing becomes a pair.
    Pair {
        /// The thing: the prompt of its name, which is made where there is none, is looked up in
        /// the bank.
        shown: ShownThing,
        /// Its text in the bank.
        caption: String,
    },
    /// Pairs go.
    Forget(PairsToRemove),
}

/// A thing that is shown while the node runs.
pub struct ShownThing {
    /// What it is called: a prompt of the set in use, or a new one.
    pub name: String,
    /// Where in the picture it is; `None` where the whole picture shows it.
    pub box_in_source_px: Option<PixelBox>,
    /// Decodes the picture, on a thread of the node.
    pub picture: Box<dyn FnOnce() -> Result<ExemplarPicture, ImageError> + Send>,
}

/// What a node takes. None of it waits for work to be done: a transport may call it from the
/// thread that reads its socket.
pub trait NodeInput: Send + Sync {
    /// An image of a camera's stream, which came on `topic`. `camera` is empty where the topic
    /// names none.
    fn image(&self, camera: &str, topic: &str, message: Box<dyn ImageMessage>);

    /// A calibration of a camera, or why the message on `topic` is none. `camera` is named as for
    /// its images.
    fn calibration(
        &self,
        camera: &str,
        part: CameraPart,
        topic: &str,
        calibration: Result<Calibration, String>,
    );

    /// A depth picture of a camera, which came on `topic`.
    fn depth(&self, camera: &str, topic: &str, message: Box<dyn DepthMessage>);

    /// Transforms between frames, or why the message on `topic` holds none.
    fn transforms(
        &self,
        topic: &str,
        kind: TransformKind,
        transforms: Result<Vec<FrameTransform>, String>,
    );

    /// One image to look at. `topic` is where it was asked for.
    fn detect(&self, topic: &str, image: SingleImage, answer: DetectAnswer);

    /// A prompt set as text, in the form of a prompts file, that is to replace the one in use.
    fn set_prompts(&self, text: Vec<u8>, reply: PromptsReply);

    /// A thing is shown, or to be forgotten. The answer is the set in use: with an exemplar or a
    /// prompt more, or the same where only the bank is another.
    fn teach(&self, lesson: Lesson, reply: PromptsReply);

    /// The prompt set in use.
    fn prompts(&self) -> Arc<PromptSet>;

    /// How the node is doing.
    fn status(&self) -> Status;
}

/// Why a transport cannot do what it was asked for, in words.
pub type TransportError = Box<dyn std::error::Error + Send + Sync>;

/// A transport as a managed node drives it: it is there from the node's start to its end, and takes
/// images only in between.
pub trait LiveTransport: NodeOutput {
    /// Serves what is there in every state: prompts, status, single images.
    ///
    /// # Errors
    /// A key or topic that is refused.
    fn serve(&self, input: Arc<dyn NodeInput>) -> Result<(), TransportError>;

    /// Takes the cameras' images from now on.
    ///
    /// # Errors
    /// A key or topic that is refused; then none is taken.
    fn activate(&self) -> Result<(), TransportError>;

    /// Takes none any more, and sends none of the results that are still under way.
    fn deactivate(&self);

    /// Whether it hears nothing any more, for ever: something of it broke, and the log says what.
    fn has_ended(&self) -> bool {
        false
    }

    /// Leaves the network, so that everybody knows at once; waits no longer than `patience`.
    fn close(&self, patience: Duration);
}

/// Makes the record of a frame, for outputs that need it: run lengths and outlines of masks take
/// their time.
pub type MakeRecord<'a> = &'a dyn Fn() -> LiveRecord;

/// What a node gives out. What cannot be sent is logged: the node goes on.
pub trait NodeOutput: Send + Sync {
    /// What was found in a frame; `found` is `None` where the model failed on it.
    fn detections(&self, camera: &str, record: MakeRecord<'_>, found: Option<&FrameDetections>);

    /// The prompt set that is in use from now on: every frame that is looked at after this was
    /// looked at with it. `model` is what looks for them.
    fn prompts_in_use(&self, prompts: &PromptSet, model: &str);

    /// Where the things are that were found in a frame: after [`detections`](Self::detections) of
    /// the same frame, and only where places are looked for. `record` holds the places, too, and
    /// both hold picks where those are looked for.
    fn places(
        &self,
        camera: &str,
        record: MakeRecord<'_>,
        found: &FrameDetections,
        places: &FramePlaces,
    );

    /// Whether somebody takes this camera's clouds.
    fn wants_cloud(&self, camera: &str) -> bool;

    /// The visible surfaces of what was found in a frame.
    fn cloud(&self, camera: &str, cloud: &Cloud);

    /// Whether somebody takes this camera's heightmaps.
    fn wants_heightmap(&self, camera: &str) -> bool;

    /// The scene of a frame from above.
    fn heightmap(&self, camera: &str, map: &Heightmap);

    /// Where this camera's depth and calibration are waited for; `None` where they cannot come.
    fn space_keys(&self, camera: &str) -> Option<SpaceKeys>;

    /// Whether somebody takes this camera's overlays.
    fn wants_overlay(&self, camera: &str) -> bool;

    /// The frame with its boxes drawn in, as JPEG.
    fn overlay(&self, camera: &str, header: &FrameHeader, jpeg: Vec<u8>);

    /// The node's status.
    fn status(&self, status: &Status);

    /// Who the transport is connected to; `None` where it cannot tell.
    fn connections(&self) -> Option<Connections>;

    /// Finds out what others do, which may take some hundred milliseconds: never called from the
    /// thread that reads the socket.
    fn look_around(&self);

    /// Where the transport waits for images, and who was there when it last looked around.
    fn waits_for(&self) -> Vec<WaitsFor>;

    /// Where prompts are set, in words for the status.
    fn prompts_key(&self) -> String;
}

/// The time of this machine.
pub(super) fn now() -> Stamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}
