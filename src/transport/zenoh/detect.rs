//! Single images that are asked about.

use std::sync::Arc;

use serde_json::{Map, Value};
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::query::{Query, Queryable};

use super::super::live::{NodeInput, PromptsRecord, SingleImage};
use super::super::records::LiveRecord;
use super::answers::QueryAnswer;
use super::payload::ImagePayload;
use super::{PayloadError, ZenohError, ZenohTransport};
use crate::config::prompts::MAX_BYTES;

/// What an attachment may hold of a prompts file.
const OF_PROMPTS: [&str; 3] = ["prompts", "default_threshold", "templates"];

impl ZenohTransport {
    /// The payload is an image. The attachment may hold, beside what is known of the image, prompts
    /// in the form of a prompts file, which are looked for in this image only.
    pub(super) fn detect(&self, input: Arc<dyn NodeInput>) -> Result<Queryable<()>, ZenohError> {
        let key = self.keys.detect();
        let topic = key.to_string();
        self.session
            .declare_queryable(key.clone())
            .callback(move |query| {
                let image = image_of(&query);
                let answer = QueryAnswer::new(query);
                match image {
                    Ok(image) => {
                        let reply = move |found: Result<LiveRecord, String>| match found {
                            Ok(record) => answer.send::<_, PromptsRecord>(Ok(&record)),
                            Err(reason) => answer.refuse(&reason),
                        };
                        input.detect(&topic, image, Box::new(reply));
                    }
                    Err(reason) => answer.refuse(&reason),
                }
            })
            .wait()
            .map_err(|error| ZenohError::declare(&key, &*error))
    }
}

/// The image that comes with a query, and what is to be looked for in it.
fn image_of(query: &Query) -> Result<SingleImage, String> {
    let message =
        ImagePayload::of_query(query).ok_or("expected an image as payload, found none")?;
    let Some(attachment) = query.attachment() else {
        return Ok(SingleImage { message: Box::new(message), prompts: None });
    };
    let (of_image, prompts) = taken_apart(attachment).map_err(|error| error.to_string())?;
    Ok(SingleImage { message: Box::new(message.with_attachment(of_image)), prompts })
}

/// What an attachment says of the image, and a prompts file where it holds something of one. What
/// is wrong with either is told when the image is decoded; what is longer than a prompts file may be
/// is not read at all.
fn taken_apart(attachment: &ZBytes) -> Result<(Vec<u8>, Option<Vec<u8>>), PayloadError> {
    if attachment.len() as u64 > MAX_BYTES {
        let found = attachment.len();
        return Err(PayloadError::LongAttachment { most: MAX_BYTES, found });
    }
    let mut of_image: Map<String, Value> = serde_json::from_slice(&attachment.to_bytes())
        .map_err(|error| PayloadError::Attachment { reason: error.to_string() })?;
    let take = |key: &str| Some((key.to_owned(), of_image.remove(key)?));
    let file: Map<String, Value> = OF_PROMPTS.into_iter().filter_map(take).collect();
    let file = (!file.is_empty()).then(|| Value::Object(file).to_string().into_bytes());
    Ok((Value::Object(of_image).to_string().into_bytes(), file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::prompts::parse_message;

    #[test]
    fn an_attachment_is_taken_apart_into_what_is_known_of_the_image_and_a_prompts_file() {
        let whole =
            br#"{"stamp_ns": 5, "prompts": ["a cat"], "default_threshold": 0.3, "mine": 1}"#;
        let taken_apart = |bytes: &[u8]| taken_apart(&ZBytes::from(bytes));
        let (of_image, file) = taken_apart(whole).unwrap();
        let of_image: Value = serde_json::from_slice(&of_image).unwrap();
        assert_eq!(of_image, serde_json::json!({ "stamp_ns": 5, "mine": 1 }));
        let read = parse_message(&file.unwrap()).unwrap();
        assert_eq!(
            (read.prompts[0].name.as_str(), read.prompts[0].threshold),
            ("a cat", Some(0.3))
        );
        assert_eq!(taken_apart(b"{\"stamp_ns\": 5}").unwrap().1, None);
        // A threshold of no prompt is no file, which reading it says.
        let file = taken_apart(b"{\"default_threshold\": 0.3}").unwrap().1.unwrap();
        let refused = parse_message(&file).unwrap_err().to_string();
        assert!(refused.contains("prompts: expected a list of at least one prompt"), "{refused}");
        for broken in [&b""[..], b"[1]", b"prompts: [a cat]"] {
            let error = taken_apart(broken).unwrap_err().to_string();
            assert!(error.starts_with("attachment: expected JSON"), "{error}");
        }
    }

    #[test]
    fn an_attachment_longer_than_a_prompts_file_is_refused_unread() {
        let mut bytes = b"{\"stamp_ns\": 5}".to_vec();
        bytes.resize(MAX_BYTES as usize, b' ');
        assert!(taken_apart(&ZBytes::from(bytes.clone())).is_ok());
        bytes.push(b' ');
        assert_eq!(
            taken_apart(&ZBytes::from(bytes)).unwrap_err().to_string(),
            "attachment: expected at most 33554432 bytes, found 33554433"
        );
    }
}
