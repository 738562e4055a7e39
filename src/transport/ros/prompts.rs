//! Prompt sets: the topic on which they come and are told, and the services that set and get them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::services::{Answer, serve};
use super::topics::{Out, ros_type};
use super::{Held, LinkError, Qos, RosEndpoint, RosLink};
use crate::transport::live::{
    ExemplarRecord, FinerLabelRecord, NodeInput, PromptRecord, PromptsAnswer,
};
use crate::types::{self, PixelBox};
use crate::vision::exemplar::data_url;
use crate::wire::Message;
use crate::wire::owlet_msgs::{
    self as msgs, GetPrompts, GetPromptsResponse, PromptSet, SetPrompts, SetPromptsResponse,
};

/// Where sets come and are told.
pub(super) const TOPIC: &str = "~/prompts";

/// SHA-256: sets may hold pictures, so they are not kept themselves.
type MessageDigest = [u8; 32];

/// Messages of our own that may still come back.
const MAX_SENT: usize = 16;

/// The topic `~/prompts`, read and written.
///
/// Who writes to a topic and reads it hears itself. A set that came back would be put into use
/// again, over one that came after it, for ever: so messages of our own are known by their digest,
/// and a set that says what is in use already changes nothing.
pub(super) struct PromptsTopic {
    out: Out,
    sent: Arc<Mutex<VecDeque<MessageDigest>>>,
}

impl PromptsTopic {
    pub(super) fn open(link: &dyn RosLink) -> Result<Self, LinkError> {
        let out = Out::open::<PromptSet<'_>>(link, TOPIC, Qos::LATCHED)?;
        Ok(Self { out, sent: Arc::default() })
    }

    /// Says which set is in use, for who comes later, too.
    pub(super) fn tell(&self, prompts: &types::PromptSet) {
        let cdr = PromptSet::from(prompts).encode();
        {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            if sent.len() == MAX_SENT {
                sent.pop_front();
            }
            sent.push_back(Sha256::digest(&cdr).into());
        }
        self.out.send_encoded(&cdr);
    }

    /// Puts sets into use that others send. The log tells what became of them.
    pub(super) fn listen(
        &self,
        link: &dyn RosLink,
        input: &Arc<dyn NodeInput>,
    ) -> Result<Held, LinkError> {
        let (sent, input) = (Arc::clone(&self.sent), Arc::clone(input));
        let topic = self.out.topic().to_owned();
        link.subscribe(
            RosEndpoint { topic: TOPIC, ros_type: ros_type::<PromptSet<'_>>(), qos: Qos::LATCHED },
            Box::new(move |message| {
                let bytes = message.bytes();
                let digest: MessageDigest = Sha256::digest(&*bytes).into();
                if sent.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
                    return;
                }
                match PromptSet::decode(&bytes) {
                    Ok(set) if says_the_same(&set, &input.prompts()) => {}
                    Ok(set) => {
                        let text = as_file(&set.prompts, set.default_threshold, None);
                        input.set_prompts(text, Box::new(|_answer| {}));
                    }
                    Err(error) => tracing::warn!("{topic}: {error}"),
                }
            }),
        )
    }
}

/// `~/set_prompts` and `~/get_prompts`.
pub(super) fn serve_prompts(
    link: &dyn RosLink,
    input: &Arc<dyn NodeInput>,
) -> Result<[Held; 2], LinkError> {
    let for_set = Arc::clone(input);
    let set = serve::<SetPrompts>(link, "~/set_prompts", move |request, answer| {
        set_prompts(&*for_set, &request, answer);
    })?;
    let for_get = Arc::clone(input);
    let get = serve::<GetPrompts>(link, "~/get_prompts", move |_nothing, answer| {
        let prompts = for_get.prompts();
        answer.send(&GetPromptsResponse { prompt_set: PromptSet::from(&*prompts) });
    })?;
    Ok([set, get])
}

fn set_prompts(input: &dyn NodeInput, request: &[u8], answer: Answer<SetPrompts>) {
    let request = match msgs::SetPromptsRequest::decode(request) {
        Ok(request) => request,
        Err(error) => {
            let (version, reasons) = (input.prompts().version, vec![error.to_string().into()]);
            return answer.send(&SetPromptsResponse { success: false, version, reasons });
        }
    };
    let text = as_file(&request.prompts, request.default_threshold, request.replaces);
    let reply = move |became: &PromptsAnswer| match became {
        Ok(prompts) => answer.send(&SetPromptsResponse {
            success: true,
            version: prompts.version,
            reasons: Vec::new(),
        }),
        Err(refused) => answer.send(&SetPromptsResponse {
            success: false,
            version: refused.version,
            reasons: refused.reasons.iter().map(|reason| reason.as_str().into()).collect(),
        }),
    };
    input.set_prompts(text, Box::new(reply));
}

/// Prompts in the form in which a node takes them: that of a prompts file.
pub(super) fn as_file(
    prompts: &[msgs::Prompt<'_>],
    default_threshold: Option<f32>,
    replaces: Option<u64>,
) -> Vec<u8> {
    let prompts = prompts.iter().map(record_of);
    let mut file = json!({ "prompts": prompts.collect::<Vec<_>>() });
    if let Some(threshold) = default_threshold {
        file["default_threshold"] = json!(threshold);
    }
    if let Some(version) = replaces {
        file["version"] = json!(version);
    }
    file.to_string().into_bytes()
}

/// A prompt with what the message may leave out filled in. Nothing is checked here.
fn record_of(prompt: &msgs::Prompt<'_>) -> PromptRecord {
    let (name, mut texts) = name_and_texts(&prompt.name, &prompt.texts);
    if texts.is_empty() && prompt.exemplars.is_empty() {
        texts.push(name.clone());
    }
    let exemplars = prompt.exemplars.iter().map(|exemplar| ExemplarRecord {
        image: data_url(exemplar.image.data),
        box_px: exemplar.r#box.map(|area| PixelBox::from(area).corners()),
    });
    PromptRecord {
        name,
        texts,
        exemplars: exemplars.collect(),
        threshold: prompt.threshold,
        negative: prompt.negative,
        asif: prompt.asif,
        average: prompt.average,
        templates: prompt.templates.iter().map(|template| template.to_string()).collect(),
        finer: prompt.finer.iter().map(finer_record_of).collect(),
    }
}

/// The same for a finer label.
fn finer_record_of(label: &msgs::FinerLabel<'_>) -> FinerLabelRecord {
    let (name, texts) = name_and_texts(&label.name, &label.texts);
    FinerLabelRecord {
        name,
        texts: if texts.is_empty() { vec![label.name.to_string()] } else { texts },
    }
}

/// A name that is empty is that of the first text.
fn name_and_texts(name: &str, texts: &[Cow<'_, str>]) -> (String, Vec<String>) {
    let texts: Vec<_> = texts.iter().map(|text| text.to_string()).collect();
    let name = if name.is_empty() { texts.first().map_or("", String::as_str) } else { name };
    (name.to_owned(), texts)
}

/// Whether a set would change nothing.
fn says_the_same(set: &PromptSet<'_>, in_use: &types::PromptSet) -> bool {
    let default = set.default_threshold.unwrap_or(in_use.default_threshold);
    let same = |prompt: &msgs::Prompt<'_>, known: &types::Prompt| {
        let threshold = prompt.threshold.unwrap_or(default);
        let record = PromptRecord { threshold: None, ..record_of(prompt) };
        threshold == known.threshold.unwrap_or(in_use.default_threshold)
            && record == PromptRecord { threshold: None, ..PromptRecord::from(known) }
    };
    set.prompts.len() == in_use.prompts.len()
        && set.prompts.iter().zip(&in_use.prompts).all(|(prompt, known)| same(prompt, known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::prompts::parse_message;
    use crate::vision::exemplar::picture_of_image;
    use crate::wire::sensor_msgs::CompressedImage;

    fn mug() -> msgs::Prompt<'static> {
        msgs::Prompt {
            name: "mug".into(),
            texts: vec!["a mug".into(), "a \"cup\"\n".into()],
            threshold: Some(0.1 + 0.2),
            average: true,
            templates: vec!["a photo of {}".into(), "{} on a table".into()],
            finer: ["clean", "dirty"]
                .map(|name| msgs::FinerLabel {
                    name: name.into(),
                    texts: vec![format!("a {name} mug").into()],
                })
                .to_vec(),
            ..msgs::Prompt::default()
        }
    }

    fn read(prompts: &[msgs::Prompt<'_>], threshold: Option<f32>) -> types::PromptSet {
        let read = parse_message(&as_file(prompts, threshold, Some(7))).unwrap();
        assert_eq!(read.replaces, Some(7));
        types::PromptSet { version: 3, prompts: read.prompts, default_threshold: 0.25 }
    }

    #[test]
    fn a_set_of_ros_becomes_a_prompts_file_word_for_word() {
        let cat = msgs::Prompt { name: "cat".into(), negative: true, ..msgs::Prompt::default() };
        let set = read(&[mug(), cat], Some(0.25));
        let [mug, cat] = set.prompts.as_slice() else { panic!("two prompts") };
        assert_eq!(msgs::Prompt::from(mug), self::mug());
        assert_eq!((cat.texts.as_slice(), cat.threshold), (&["cat".to_owned()][..], Some(0.25)));
        assert!(cat.negative);
        let nan = msgs::Prompt { threshold: Some(f32::NAN), ..self::mug() };
        let plain = msgs::Prompt { name: "cup".into(), ..Default::default() };
        let refused = parse_message(&as_file(&[plain, nan], None, None)).unwrap_err();
        assert_eq!(
            refused.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["prompt 2 (\"mug\").threshold: expected a number from 0 to 1, found nothing"]
        );
        assert!(parse_message(&as_file(&[], None, None)).is_err());
        // A blank prompt is one fault, however it is blank.
        let blank = |name: &'static str, texts: &[&'static str]| msgs::Prompt {
            name: name.into(),
            texts: texts.iter().map(|text| (*text).into()).collect(),
            ..Default::default()
        };
        let labels =
            ["clean", " "].map(|name| msgs::FinerLabel { name: name.into(), texts: vec![] });
        let finer = msgs::Prompt { finer: labels.to_vec(), ..blank("cup", &[]) };
        let all = [blank("", &[]), blank(" ", &[]), blank("", &[" "]), blank("a", &[" "]), finer];
        let refused = parse_message(&as_file(&all, None, None)).unwrap_err();
        let blank = "expected a text that is not blank, found the text";
        assert_eq!(
            refused.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                format!("prompt 1.name: {blank} \"\""),
                format!("prompt 2.name: {blank} \" \""),
                format!("prompt 3.name: {blank} \" \""),
                format!("prompt 4 (\"a\").texts[0]: {blank} \" \""),
                format!("prompt 5 (\"cup\").finer[1].name: {blank} \" \""),
            ]
        );
    }

    #[test]
    fn what_a_prompt_leaves_out_is_filled_in() {
        let read = |name: &'static str, texts: &[&'static str]| {
            let texts = texts.iter().map(|text| (*text).into()).collect();
            let record =
                record_of(&msgs::Prompt { name: name.into(), texts, ..Default::default() });
            assert_eq!((record.threshold, record.negative), (None, false));
            (record.name, record.texts.join("|"))
        };
        let expect = |name: &str, texts: &str| (name.to_owned(), texts.to_owned());
        assert_eq!(read("a cat", &[]), expect("a cat", "a cat"));
        assert_eq!(read("", &["a cat", "a tom"]), expect("a cat", "a cat|a tom"));
        assert_eq!(read("pet", &["a cat"]), expect("pet", "a cat"));
        assert_eq!(read("", &[]), expect("", ""), "what the check of a set refuses");
        let finer = |name: &'static str, texts: &[&'static str]| {
            let texts = texts.iter().map(|text| (*text).into()).collect();
            let record = finer_record_of(&msgs::FinerLabel { name: name.into(), texts });
            (record.name, record.texts.join("|"))
        };
        assert_eq!(finer("clean", &[]), expect("clean", "clean"));
        assert_eq!(finer("", &["a clean mug", "b"]), expect("a clean mug", "a clean mug|b"));
    }

    #[test]
    fn pictures_go_through_byte_by_byte_and_a_broken_one_is_named() {
        let image = Arc::new(image::RgbImage::from_pixel(8, 6, image::Rgb([9, 8, 7])));
        let picture = picture_of_image(image).unwrap();
        let area = PixelBox::from_corners([1.0, 2.0, 7.0, 5.5]);
        let shown = |data, area: Option<PixelBox>| msgs::Exemplar {
            image: CompressedImage { format: "whatever", data, ..Default::default() },
            r#box: area.map(Into::into),
        };
        let exemplars = vec![shown(&picture.encoded, Some(area)), shown(&picture.encoded, None)];
        let gadget = msgs::Prompt { name: "gadget".into(), exemplars, ..Default::default() };
        let set = read(std::slice::from_ref(&gadget), None);
        let [first, second] = set.prompts[0].exemplars.as_slice() else { panic!("two") };
        assert_eq!((&*first.picture, first.box_in_source_px), (&picture, Some(area)));
        assert_eq!(second.box_in_source_px, None);
        assert!(set.prompts[0].texts.is_empty());
        assert!(says_the_same(&PromptSet::from(&set), &set));
        let told = PromptSet { prompts: vec![gadget], ..PromptSet::from(&set) };
        assert!(says_the_same(&told, &set));

        let cut = vec![shown(&picture.encoded[..20], None)];
        let cut = msgs::Prompt { name: "gadget".into(), exemplars: cut, ..Default::default() };
        let error = parse_message(&as_file(&[cut], None, None)).unwrap_err().to_string();
        let expected = "\n  prompt 1 (\"gadget\").exemplars[0].image: expected a picture";
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_set_that_says_what_is_in_use_is_known_however_it_says_it() {
        let plain = msgs::Prompt { name: "cup".into(), threshold: None, ..mug() };
        let in_use = read(&[mug(), plain.clone()], None);
        let told = PromptSet::from(&in_use);
        assert!(says_the_same(&told, &in_use));
        let other_default = PromptSet { default_threshold: Some(0.5), ..told.clone() };
        assert!(!says_the_same(&other_default, &in_use));
        let explicit = msgs::Prompt { threshold: Some(0.25), ..plain };
        let explicit = PromptSet { prompts: vec![mug(), explicit], ..other_default };
        assert!(says_the_same(&explicit, &in_use));
        let turned = PromptSet { prompts: told.prompts.iter().rev().cloned().collect(), ..told };
        assert!(!says_the_same(&turned, &in_use));
    }
}
