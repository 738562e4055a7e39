//! Every picture through the pipeline, on the way that the frames of a recording take.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use indicatif::ProgressBar;
use owlet::eval::{CocoBox, Found, RemarkKind, Remarks, StoredMask, decimal};
use owlet::pipeline::{FrameFailure, Incoming, Outcome, Pipeline, Posted};
use owlet::tasks::ModelInfo;
use owlet::types::{Frame, FrameDetections, FrameHeader, Stage, StageTimings, Stamp, StampSource};
use owlet::vision::decode::{DecodeFileError, decode_file};

use super::super::Chatter;
use super::super::running::{CloseOnDrop, frames_bar, start_lossless};
use super::super::settings::Settings;
use super::source::Source;

/// The one mailbox that all pictures go through.
const CAMERA: &str = "pictures";

/// What was found in one dataset.
#[derive(Default)]
pub(super) struct LookedAt {
    /// By image, and within it by falling score.
    pub(super) found: Vec<Found>,
    /// Images that could not be looked at.
    pub(super) left_out: Vec<usize>,
}

/// What was found in all datasets.
pub(super) struct Looked {
    pub(super) model: ModelInfo,
    pub(super) sources: Vec<LookedAt>,
    pub(super) took: Duration,
}

/// An image, by its dataset and its position there.
type Place = (usize, usize);

/// A picture that has no place among the results.
struct LeftOut {
    place: Place,
    kind: RemarkKind,
    reason: String,
}

/// Looks at every picture of every dataset; what cannot be looked at is counted in `remarks`.
pub(super) fn look_at_all(
    settings: &Settings,
    sources: &[&Source],
    chatter: &Chatter,
    remarks: &mut Remarks,
) -> anyhow::Result<Looked> {
    for source in sources {
        some_are_there(source)?;
    }
    let (pipeline, mut results) = start_lossless(settings, vec![CAMERA.into()])?;
    let places: Vec<Place> = sources
        .iter()
        .enumerate()
        .flat_map(|(at, source)| (0..source.dataset.images.len()).map(move |image| (at, image)))
        .collect();
    let started = Instant::now();
    let progress = frames_bar(places.len() as u64, chatter);
    let mut looked: Vec<LookedAt> = sources.iter().map(|_| LookedAt::default()).collect();
    let mut came_back = 0;
    let (sent, mut left_out) = thread::scope(|scope| {
        let _close = CloseOnDrop(&pipeline);
        let (pipeline, places, progress) = (&pipeline, &places, &progress);
        let reader = thread::Builder::new()
            .name("reader".to_owned())
            .spawn_scoped(scope, move || {
                let _close = CloseOnDrop(pipeline);
                post_all(sources, places, pipeline, progress)
            })
            .context("no thread for the reader")?;
        let mut failed = Vec::new();
        while let Some(outcome) = results.blocking_recv() {
            came_back += 1;
            progress.inc(1);
            match outcome {
                Outcome::Found { detections, .. } => {
                    let (at, image) = place_of(places, detections.header.stamp)?;
                    take(&mut looked[at].found, image, &detections);
                }
                Outcome::Failed(FrameFailure { frame, reason }) => {
                    let place = place_of(places, frame.header.stamp)?;
                    failed.push(LeftOut { place, kind: RemarkKind::PictureFailed, reason });
                }
            }
        }
        let (sent, mut left_out) =
            reader.join().map_err(|_| anyhow!("the reader thread panicked"))??;
        left_out.append(&mut failed);
        anyhow::Ok((sent, left_out))
    })?;
    progress.finish_and_clear();
    if came_back != sent {
        bail!("the inference thread ended early: {came_back} of {sent} pictures came back");
    }
    left_out.sort_by_key(|one| one.place);
    for LeftOut { place: (at, image), kind, reason } in left_out {
        remarks.add(kind, || reason);
        looked[at].left_out.push(image);
    }
    Ok(Looked { model: pipeline.info().clone(), sources: looked, took: started.elapsed() })
}

/// Known before gigabytes are read.
///
/// # Errors
/// There is none of the pictures.
pub(super) fn some_are_there(source: &Source) -> anyhow::Result<()> {
    if let Some(folder) = source.folder_without_pictures() {
        let first = &source.dataset.images[0].file_name;
        bail!("there is none of the pictures in {} (the first is {first:?})", folder.display());
    }
    Ok(())
}

/// The reader thread: pictures to frames in the mailbox. How many were posted, and which were not.
fn post_all(
    sources: &[&Source],
    places: &[Place],
    pipeline: &Pipeline,
    progress: &ProgressBar,
) -> anyhow::Result<(usize, Vec<LeftOut>)> {
    let camera = pipeline.camera(CAMERA).context("no mailbox for pictures")?;
    let mut left_out = Vec::new();
    for (number, &place) in places.iter().enumerate() {
        let started = Instant::now();
        let image = match read(sources[place.0], place.1) {
            Ok(image) => Arc::new(image),
            Err((kind, reason)) => {
                left_out.push(LeftOut { place, kind, reason });
                progress.inc(1);
                continue;
            }
        };
        let mut timings = StageTimings::default();
        timings.add(Stage::Decode, started.elapsed());
        // The stamp is the number of the picture, by which its result is known.
        let stamp = Stamp(number as i64);
        let header = FrameHeader { stamp, frame_id: "".into() };
        let (stamp_from, received) = (StampSource::Camera, stamp);
        let frame = Frame { camera: CAMERA.into(), header, stamp_from, received, image };
        if pipeline.post(camera, Incoming { frame, timings }) == Posted::Closed {
            bail!("the inference thread ended early, after {number} pictures");
        }
    }
    Ok((places.len() - left_out.len(), left_out))
}

/// The picture of an image, or why it is left out.
pub(super) fn read(source: &Source, image: usize) -> Result<image::RgbImage, (RemarkKind, String)> {
    let about = &source.dataset.images[image];
    let picture = decode_file(&source.picture(image)).map_err(|error| {
        let kind = match &error {
            DecodeFileError::Read { source, .. } if source.kind() == ErrorKind::NotFound => {
                RemarkKind::PictureMissing
            }
            _ => RemarkKind::PictureUnreadable,
        };
        (kind, format!("image {}: {error}", about.id))
    })?;
    match about.size_px {
        Some((width, height)) if picture.dimensions() != (width, height) => {
            let (found_width, found_height) = picture.dimensions();
            let reason = format!(
                "image {}: expected {width}x{height}, found {found_width}x{found_height} in {:?}",
                about.id, about.file_name
            );
            Err((RemarkKind::PictureOfAnotherSize, reason))
        }
        _ => Ok(picture),
    }
}

fn place_of(places: &[Place], stamp: Stamp) -> anyhow::Result<Place> {
    let place = usize::try_from(stamp.0).ok().and_then(|number| places.get(number));
    place.copied().context("a result for no picture")
}

/// Categories are the first prompts, in their order; distractors are never reported.
fn take(all: &mut Vec<Found>, image: usize, detections: &FrameDetections) {
    all.extend(detections.detections.iter().map(|detection| Found {
        image,
        category: detection.prompt,
        box_in_source_px: CocoBox::from(detection.box_in_source_px),
        score: decimal(detection.score),
        mask: detection.mask.as_ref().map(|one| StoredMask::from(&one.mask)),
    }));
}
