//! Things that are shown while the node runs.

use std::sync::Arc;

use serde::Deserialize;
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::query::Queryable;

use super::super::live::{
    BankLesson, FORGET_ALONE, Lesson, NodeInput, PromptsAnswer, PromptsRecord, ShownThing,
};
use super::answers::QueryAnswer;
use super::{ZenohError, ZenohTransport};
use crate::config::prompts::MAX_BYTES;
use crate::tasks::PairsToRemove;
use crate::types::{PairId, PixelBox};
use crate::vision::exemplar::picture_of_data_url;

/// The payload of a query on `teach`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TeachRecord {
    name: Option<String>,
    image: Option<String>,
    #[serde(default, rename = "box")]
    box_px: Option<[f32; 4]>,
    /// Makes it a pair of the bank, with this text.
    caption: Option<String>,
    /// Pairs of the bank to be forgotten; stands alone.
    forget: Option<Forgotten>,
}

/// By their text, or one by its id.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the caption of pairs or the id of one as `forget`")]
enum Forgotten {
    Caption(String),
    Pair(u64),
}

impl From<Forgotten> for PairsToRemove {
    fn from(forgotten: Forgotten) -> Self {
        match forgotten {
            Forgotten::Caption(caption) => Self::Caption(caption),
            Forgotten::Pair(pair) => Self::Pair(PairId(pair)),
        }
    }
}

impl ZenohTransport {
    /// The payload is an object with `name`, `image` (a data URL) and, where not the whole picture
    /// shows the thing, `box`; with `caption`, too, for a pair of the bank. Or `forget` with the
    /// caption of pairs or the id of one.
    pub(super) fn teach(&self, input: Arc<dyn NodeInput>) -> Result<Queryable<()>, ZenohError> {
        let key = self.keys.teach();
        self.session
            .declare_queryable(key.clone())
            .callback(move |query| {
                let lesson = lesson(query.payload());
                let answer = QueryAnswer::new(query);
                match lesson {
                    Ok(lesson) => {
                        let reply = move |prompts: &PromptsAnswer| answer_prompts(answer, prompts);
                        input.teach(lesson, Box::new(reply));
                    }
                    Err(reason) => answer.refuse(&reason),
                }
            })
            .wait()
            .map_err(|error| ZenohError::declare(&key, &*error))
    }
}

/// The set that is in use now, or why it was refused.
pub(super) fn answer_prompts(answer: QueryAnswer, prompts: &PromptsAnswer) {
    let record = prompts.as_ref().map(|set| PromptsRecord::from(&**set));
    answer.send(record.as_ref().map_err(|refused| *refused));
}

/// Reads a lesson; its picture is decoded later.
fn lesson(payload: Option<&ZBytes>) -> Result<Lesson, String> {
    let found = payload.map_or(0, ZBytes::len);
    if found as u64 > MAX_BYTES {
        return Err(format!("expected at most {MAX_BYTES} bytes, found {found}"));
    }
    let payload = payload.map(ZBytes::to_bytes).unwrap_or_default();
    let record = serde_json::from_slice(&payload).map_err(|error| {
        format!(
            "expected an object with `name`, `image` (a data URL), `box` and `caption`, or with \
             `forget`: {error}"
        )
    })?;
    let (name, image, box_px, caption) = match record {
        TeachRecord {
            name: None,
            image: None,
            box_px: None,
            caption: None,
            forget: Some(pairs),
        } => {
            return Ok(Lesson::Bank(BankLesson::Forget(pairs.into())));
        }
        TeachRecord { forget: Some(_), .. } => return Err(FORGET_ALONE.to_owned()),
        TeachRecord { name, image, box_px, caption, forget: None } => {
            (name, image, box_px, caption)
        }
    };
    let name = name.ok_or("missing field `name`")?;
    let image = image.ok_or("missing field `image`")?;
    let shown = ShownThing {
        name,
        box_in_source_px: box_px.map(PixelBox::from_corners),
        picture: Box::new(move || Ok(picture_of_data_url(&image)?)),
    };
    Ok(match caption {
        None => Lesson::Exemplar(shown),
        Some(caption) => Lesson::Bank(BankLesson::Pair { shown, caption }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lesson_longer_than_a_prompts_file_is_refused_unread() {
        let mut bytes = b"{\"forget\": \"a mug\"}".to_vec();
        bytes.resize(MAX_BYTES as usize, b' ');
        assert!(lesson(Some(&ZBytes::from(bytes.clone()))).is_ok());
        bytes.push(b' ');
        let refused = lesson(Some(&ZBytes::from(bytes))).err();
        let expected = "expected at most 33554432 bytes, found 33554433";
        assert_eq!(refused.as_deref(), Some(expected));
        assert!(lesson(None).is_err());
    }
}
