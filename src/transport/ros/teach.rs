//! `~/teach`: a thing is shown, and found by its name from then on.

use std::sync::Arc;

use super::detect::newest_of;
use super::images::{ImageFeed, live_image};
use super::services::{Answer, serve};
use super::{Held, LinkError, RosLink};
use crate::tasks::PairsToRemove;
use crate::transport::frames::{picture_of_compressed, picture_of_image};
use crate::transport::live::{
    BankLesson, FORGET_ALONE, ImageError, Lesson, NodeInput, PromptsAnswer, ShownThing, now,
};
use crate::types::{ExemplarPicture, PairId, PixelBox};
use crate::vision::exemplar::{picture_of_bytes, picture_of_image as picture_of_pixels};
use crate::wire::Message;
use crate::wire::owlet_msgs::{Teach, TeachRequest, TeachResponse};

const SERVICE: &str = "~/teach";

/// Serves it for these cameras.
pub(super) fn serve_teach(
    link: &dyn RosLink,
    input: &Arc<dyn NodeInput>,
    cameras: Vec<Arc<ImageFeed>>,
) -> Result<Held, LinkError> {
    let (name, input) = (link.resolve(SERVICE), Arc::clone(input));
    serve::<Teach>(link, SERVICE, move |request, answer| {
        match lesson_of(&name, request, &cameras) {
            Ok(lesson) => input.teach(lesson, Box::new(move |became| tell(answer, became))),
            Err(reason) => answer.send(&TeachResponse {
                success: false,
                version: input.prompts().version,
                reasons: vec![reason.into()],
            }),
        }
    })
}

fn tell(answer: Answer<Teach>, became: &PromptsAnswer) {
    answer.send(&match became {
        Ok(prompts) => {
            TeachResponse { success: true, version: prompts.version, reasons: Vec::new() }
        }
        Err(refused) => TeachResponse {
            success: false,
            version: refused.version,
            reasons: refused.reasons.iter().map(|reason| reason.as_str().into()).collect(),
        },
    });
}

fn lesson_of(
    service: &str,
    request: Vec<u8>,
    cameras: &[Arc<ImageFeed>],
) -> Result<Lesson, String> {
    let asked = TeachRequest::decode(&request).map_err(|error| error.to_string())?;
    if let Some(pairs) = forgotten(&asked)? {
        return Ok(Lesson::Bank(BankLesson::Forget(pairs)));
    }
    let (name, caption) = (asked.name.to_string(), asked.caption.to_string());
    let box_in_source_px = asked.r#box.map(PixelBox::from);
    let picture: Box<dyn FnOnce() -> Result<ExemplarPicture, ImageError> + Send> =
        match (asked.image.is_some(), asked.compressed_image.is_some()) {
            (true, true) => return Err("expected one image, found one of each kind".to_owned()),
            (false, false) => {
                let newest = newest_of(&asked.camera, cameras)?;
                Box::new(move || Ok(picture_of_pixels(Arc::new(newest.decode()?.image))?))
            }
            _ => {
                let service = service.to_owned();
                Box::new(move || picture_of_request(&service, &request))
            }
        };
    let shown = ShownThing { name, box_in_source_px, picture };
    Ok(match caption.is_empty() {
        true => Lesson::Exemplar(shown),
        false => Lesson::Bank(BankLesson::Pair { shown, caption }),
    })
}

/// The pairs that are to be forgotten, where any are.
fn forgotten(asked: &TeachRequest<'_>) -> Result<Option<PairsToRemove>, String> {
    let pairs = match (&*asked.forget, asked.forget_pair) {
        ("", 0) => return Ok(None),
        (caption, 0) => PairsToRemove::Caption(caption.to_owned()),
        ("", pair) => PairsToRemove::Pair(PairId(pair)),
        _ => return Err("expected `forget` or `forget_pair`, found both".to_owned()),
    };
    let shows = [asked.image.is_some(), asked.compressed_image.is_some(), asked.r#box.is_some()];
    if shows.contains(&true) || !(asked.name.is_empty() && asked.caption.is_empty()) {
        return Err(FORGET_ALONE.to_owned());
    }
    Ok(Some(pairs))
}

/// The image of a request, which is kept as it came.
fn picture_of_request(service: &str, request: &[u8]) -> Result<ExemplarPicture, ImageError> {
    let asked = TeachRequest::decode(request)?;
    let picture = match (&asked.image, &asked.compressed_image) {
        (Some(image), _) => picture_of_image(service, image)?,
        // As it stands where it can: what comes back is byte by byte what was shown.
        (None, Some(image)) if !image.format.contains(';') => {
            return Ok(picture_of_bytes(image.data.to_vec(), None)?);
        }
        (None, Some(image)) => picture_of_compressed(service, image)?,
        (None, None) => return Err("expected an image".into()),
    };
    Ok(picture_of_pixels(Arc::new(live_image(service, picture, now())?.image))?)
}
