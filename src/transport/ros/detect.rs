//! `~/detect`: one answer for an image that is given, or for a camera's newest frame.

use std::sync::Arc;

use super::images::{ImageFeed, live_image};
use super::prompts::as_file;
use super::services::{Answer, serve};
use super::{Held, LinkError, RosLink};
use crate::transport::frames::{MessagePicture, picture_of_compressed, picture_of_image};
use crate::transport::live::{ImageError, ImageMessage, LiveImage, NodeInput, SingleImage, now};
use crate::transport::records::{FrameRecord, LiveRecord};
use crate::types::{FrameHeader, PixelBox, Stamp};
use crate::wire::Message;
use crate::wire::owlet_msgs::{Detect, DetectRequest, DetectResponse};
use crate::wire::std_msgs::Header;
use crate::wire::vision_msgs::{Detection2D, Detection2DArray};

const SERVICE: &str = "~/detect";

/// Serves it for these cameras.
pub(super) fn serve_detect(
    link: &dyn RosLink,
    input: &Arc<dyn NodeInput>,
    cameras: Vec<Arc<ImageFeed>>,
) -> Result<Held, LinkError> {
    let (name, input) = (link.resolve(SERVICE), Arc::clone(input));
    serve::<Detect>(link, SERVICE, move |request, answer| {
        match image_of(&name, request, &cameras) {
            Ok(image) => {
                let reply = move |found: Result<LiveRecord, String>| match found {
                    Ok(record) => found_in(&record.frame, answer),
                    Err(reason) => refuse(answer, &reason),
                };
                input.detect(&name, image, Box::new(reply));
            }
            Err(reason) => refuse(answer, &reason),
        }
    })
}

fn refuse(answer: Answer<Detect>, reason: &str) {
    answer.send(&DetectResponse { message: reason.into(), ..DetectResponse::default() });
}

fn found_in(frame: &FrameRecord, answer: Answer<Detect>) {
    let header =
        FrameHeader { stamp: Stamp(frame.stamp_ns), frame_id: frame.frame_id.as_str().into() };
    let header = Header::from(&header);
    let detections = frame.detections.iter().zip(1_u32..).map(|(found, instance)| {
        let in_source_px = PixelBox::from_corners(found.box_px);
        let finer = found.finer.iter().map(|finer| (finer.name.as_str(), finer.score));
        Detection2D::of(header, &found.prompt, found.score, in_source_px, instance.to_string())
            .with_finer(finer)
    });
    answer.send(&DetectResponse {
        success: true,
        message: "".into(),
        prompts_version: frame.prompts_version,
        detections: Detection2DArray { header, detections: detections.collect() },
    });
}

/// The image that is meant, and what is looked for in it.
fn image_of(
    service: &str,
    request: Vec<u8>,
    cameras: &[Arc<ImageFeed>],
) -> Result<SingleImage, String> {
    let asked = DetectRequest::decode(&request).map_err(|error| error.to_string())?;
    let prompts = match asked.prompts.as_slice() {
        // Whose threshold would it be?
        [] if asked.default_threshold.is_some() => {
            return Err("expected prompts beside default_threshold, found none".to_owned());
        }
        [] => None,
        prompts => Some(as_file(prompts, asked.default_threshold, None)),
    };
    let message = match (asked.image.is_some(), asked.compressed_image.is_some()) {
        (true, true) => return Err("expected one image, found one of each kind".to_owned()),
        (false, false) => newest_of(&asked.camera, cameras)?,
        _ => Box::new(ImageInRequest { service: service.to_owned(), request }),
    };
    Ok(SingleImage { message, prompts })
}

/// The newest image of a camera, or why there is none.
pub(super) fn newest_of(
    name: &str,
    cameras: &[Arc<ImageFeed>],
) -> Result<Box<dyn ImageMessage>, String> {
    let known = || {
        let topics: Vec<_> = cameras.iter().map(|camera| camera.topic()).collect();
        topics.join(", ")
    };
    let camera = match (name, cameras) {
        ("", [only]) => only,
        ("", _) => return Err(format!("expected an image or one of the cameras {}", known())),
        (name, _) => cameras
            .iter()
            .find(|camera| camera.is_called(name))
            .ok_or_else(|| format!("expected one of the cameras {}, found {name:?}", known()))?,
    };
    let newest = camera.newest();
    newest.map(|newest| Box::new(newest) as _).ok_or_else(|| {
        format!("no image has come yet on {}, and none is in the request", camera.topic())
    })
}

/// An image in a request, which is kept as it came.
struct ImageInRequest {
    service: String,
    request: Vec<u8>,
}

impl ImageMessage for ImageInRequest {
    fn decode(&self) -> Result<LiveImage, ImageError> {
        let asked = DetectRequest::decode(&self.request)?;
        let picture: MessagePicture = match (&asked.image, &asked.compressed_image) {
            (Some(image), _) => picture_of_image(&self.service, image)?,
            (None, Some(image)) => picture_of_compressed(&self.service, image)?,
            (None, None) => return Err("expected an image".into()),
        };
        live_image(&self.service, picture, now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::prompts::parse_message;
    use crate::wire::owlet_msgs::Prompt;
    use crate::wire::sensor_msgs::{CompressedImage, Image};

    fn image() -> Image<'static> {
        let header = Header { frame_id: "optical", ..Header::default() };
        Image {
            header,
            height: 1,
            width: 1,
            encoding: "rgb8",
            step: 3,
            data: &[1, 2, 3],
            ..Image::default()
        }
    }

    #[test]
    fn an_image_in_a_request_is_read_from_the_request() {
        let request = DetectRequest { image: Some(image()), ..DetectRequest::default() };
        let asked = image_of("/owlet/detect", request.encode(), &[]).ok().unwrap();
        assert_eq!(asked.prompts, None);
        let live = asked.message.decode().unwrap();
        assert_eq!(live.image.as_raw(), &[1, 2, 3]);
        assert_eq!(&*live.header.frame_id, "optical");
        let compressed = CompressedImage { format: "jpeg", data: b"no", ..Default::default() };
        let request =
            DetectRequest { compressed_image: Some(compressed), ..DetectRequest::default() };
        let asked = image_of("/owlet/detect", request.encode(), &[]).ok().unwrap();
        let error = asked.message.decode().unwrap_err().to_string();
        assert!(error.starts_with("/owlet/detect: "), "{error}");
    }

    #[test]
    fn prompts_in_a_request_are_read_as_those_of_a_set() {
        let prompts = vec![Prompt { name: "mug".into(), ..Prompt::default() }];
        let image = Some(image());
        let request =
            DetectRequest { image, prompts, default_threshold: Some(0.5), ..Default::default() };
        let asked = image_of("/owlet/detect", request.encode(), &[]).ok().unwrap();
        let read = parse_message(&asked.prompts.unwrap()).unwrap();
        assert_eq!((read.prompts[0].name.as_str(), read.replaces), ("mug", None));
        assert_eq!(read.prompts[0].threshold, Some(0.5));
    }

    #[test]
    fn requests_that_cannot_be_answered_say_why() {
        let reason = |request: &DetectRequest<'_>| {
            image_of("/owlet/detect", request.encode(), &[]).err().unwrap()
        };
        let nothing = DetectRequest::default();
        assert!(reason(&nothing).starts_with("expected an image or one of the cameras"));
        let both = DetectRequest {
            image: Some(image()),
            compressed_image: Some(CompressedImage::default()),
            ..DetectRequest::default()
        };
        assert_eq!(reason(&both), "expected one image, found one of each kind");
        let threshold = DetectRequest { default_threshold: Some(0.5), ..DetectRequest::default() };
        assert!(reason(&threshold).contains("expected prompts beside default_threshold"));
        let cut = image_of("/owlet/detect", nothing.encode()[..9].to_vec(), &[]);
        assert!(cut.err().unwrap().contains("owlet_msgs/srv/Detect_Request"));
    }
}
