//! A recording as pictures with captions: what a detector finds of the prompts.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use owlet::tasks::Detector;
use owlet::transport::frames::{MessagePicture, frame_from_message};
use owlet::transport::inspect::inspect;
use owlet::transport::rosbag2::BagReader;
use owlet::types::{Picture, Prompt, PromptSet};

use super::args::HowArgs;
use super::gather::{Gatherer, PictureOrigin, Shown};
use super::skipped::Kind;
use crate::app::Refused;
use crate::app::console::visible;
use crate::app::interrupt::Interrupt;
use crate::app::replay::choose_topics;
use crate::app::settings::Settings;

/// The detector that finds the things whose pictures become pairs.
pub(super) struct Finder {
    detector: Box<dyn Detector>,
    prompts: Arc<PromptSet>,
}

impl Finder {
    pub(super) fn load(how: &HowArgs) -> anyhow::Result<Self> {
        let settings = Settings::from_args(&how.run)?;
        let mut detector = settings.detector_source().load()?;
        detector
            .set_prompts(Arc::clone(&settings.prompts))
            .map_err(|error| Refused(error.to_string()))?;
        Ok(Self { detector, prompts: settings.prompts })
    }

    /// What is found in one image, with the first text of its prompt, or else its name.
    fn find(&mut self, image: &Arc<image::RgbImage>) -> anyhow::Result<Vec<Shown>> {
        let found = self.detector.detect(&[Arc::clone(image)])?.pop();
        let found = found.context("the detector gave no result for the picture")?;
        let shown = found.detections.iter().map(|detection| {
            let Prompt { name, texts, .. } = &self.prompts.prompts[detection.prompt];
            Shown {
                caption: texts.first().unwrap_or(name).clone(),
                box_in_source_px: Some(detection.box_in_source_px),
            }
        });
        Ok(shown.collect())
    }
}

/// Reads a recording through, or up to an interrupt.
pub(super) fn read(
    path: &Path,
    how: &HowArgs,
    finder: &mut Finder,
    gatherer: &mut Gatherer<'_>,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let recording = inspect(path)?;
    let topics = choose_topics(&recording, &how.topics)?;
    let mut bag = BagReader::open(path)?;
    let source: Arc<str> = path.display().to_string().into();
    let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
    let mut seen = vec![0u32; topics.len()];
    for message in bag.messages(Some(&names))? {
        if interrupt.requested() {
            break;
        }
        let message = message?;
        let at = topics.iter().position(|topic| {
            topic.name == message.topic && topic.message_type == message.message_type
        });
        let Some(at) = at else { continue };
        seen[at] += 1;
        if !(seen[at] - 1).is_multiple_of(how.every) {
            continue;
        }
        let name = |reason: String| {
            let place = format!("{} at {}: {reason}", message.topic, message.log_time);
            visible(&place)
        };
        let (header, image) =
            match frame_from_message(&message.topic, &message.message_type, &message.data) {
                Ok(MessagePicture { header, picture: Picture::Color(image), .. }) => {
                    (header, Arc::new(image))
                }
                Ok(MessagePicture { picture: Picture::Depth(_), .. }) => {
                    gatherer.skipped.add(Kind::Frame, || name("a depth image".to_owned()));
                    continue;
                }
                Err(error) => {
                    gatherer.skipped.add(Kind::Frame, || name(error.to_string()));
                    continue;
                }
            };
        let shown = match finder.find(&image) {
            Ok(shown) => shown,
            Err(error) => {
                gatherer.skipped.add(Kind::Frame, || name(error.to_string()));
                continue;
            }
        };
        let from = PictureOrigin {
            source: Arc::clone(&source),
            topic: Some(Arc::clone(&topics[at].name)),
            stamp: Some(header.stamp),
        };
        gatherer.offer(&image, &from, shown)?;
    }
    for loss in &bag.losses().losses {
        gatherer.skipped.add_many(Kind::Frame, loss.messages.unwrap_or(1), || loss.to_string());
    }
    Ok(())
}
