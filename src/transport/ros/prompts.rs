//! Prompt sets: the topic on which they come and are told, and the services that set and get them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::services::{Answer, serve};
use super::topics::{Out, ros_type};
use super::{Held, LinkError, Qos, RosEndpoint, RosLink};
use crate::transport::live::{NodeInput, PromptRecord, PromptsAnswer, PromptsRecord};
use crate::types::Prompt;
use crate::wire::Message;
use crate::wire::owlet_msgs::{
    self as msgs, GetPrompts, GetPromptsResponse, PromptSet, SetPrompts, SetPromptsResponse,
};

/// Where sets come and are told.
pub(super) const TOPIC: &str = "~/prompts";

/// Messages of our own that may still come back.
const MAX_SENT: usize = 16;

/// The topic `~/prompts`, read and written.
///
/// Who writes to a topic and reads it hears itself. A set that came back would be put into use
/// again, over one that came after it, for ever: so messages of our own are known by their bytes,
/// and a set that says what is in use already changes nothing.
pub(super) struct PromptsTopic {
    out: Out,
    sent: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl PromptsTopic {
    pub(super) fn open(link: &dyn RosLink) -> Result<Self, LinkError> {
        let out = Out::open::<PromptSet<'_>>(link, TOPIC, Qos::LATCHED)?;
        Ok(Self { out, sent: Arc::default() })
    }

    /// Says which set is in use, for who comes later, too.
    pub(super) fn tell(&self, prompts: &PromptsRecord) {
        let cdr = prompt_set(prompts).encode();
        {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            if sent.len() == MAX_SENT {
                sent.pop_front();
            }
            sent.push_back(cdr.clone());
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
                let is_own = |sent: &VecDeque<Vec<u8>>| sent.iter().any(|own| **own == *bytes);
                if is_own(&sent.lock().unwrap_or_else(PoisonError::into_inner)) {
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
        answer.send(&GetPromptsResponse { prompt_set: prompt_set(&prompts) });
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
fn as_file(
    prompts: &[msgs::Prompt<'_>],
    default_threshold: Option<f32>,
    replaces: Option<u64>,
) -> Vec<u8> {
    let prompts = prompts.iter().map(|prompt| PromptRecord::from(&Prompt::from(prompt)));
    let mut file = json!({ "prompts": prompts.collect::<Vec<_>>() });
    if let Some(threshold) = default_threshold {
        file["default_threshold"] = json!(threshold);
    }
    if let Some(version) = replaces {
        file["version"] = json!(version);
    }
    file.to_string().into_bytes()
}

fn prompt_set(record: &PromptsRecord) -> PromptSet<'_> {
    let prompts = record.prompts.iter().map(|prompt| msgs::Prompt {
        name: prompt.name.as_str().into(),
        texts: prompt.texts.iter().map(|text| text.as_str().into()).collect(),
        threshold: prompt.threshold,
        negative: prompt.negative,
    });
    PromptSet {
        version: record.version,
        default_threshold: Some(record.default_threshold),
        prompts: prompts.collect(),
    }
}

/// Whether a set would change nothing.
fn says_the_same(set: &PromptSet<'_>, in_use: &PromptsRecord) -> bool {
    let default = set.default_threshold.unwrap_or(in_use.default_threshold);
    let same = |prompt: &msgs::Prompt<'_>, known: &PromptRecord| {
        let prompt = PromptRecord::from(&Prompt::from(prompt));
        let threshold = prompt.threshold.unwrap_or(default);
        threshold == known.threshold.unwrap_or(in_use.default_threshold)
            && (prompt.name, prompt.texts, prompt.negative)
                == (known.name.clone(), known.texts.clone(), known.negative)
    };
    set.prompts.len() == in_use.prompts.len()
        && set.prompts.iter().zip(&in_use.prompts).all(|(prompt, known)| same(prompt, known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::prompts::parse_message;

    fn mug() -> msgs::Prompt<'static> {
        msgs::Prompt {
            name: "mug".into(),
            texts: vec!["a mug".into(), "a \"cup\"\n".into()],
            threshold: Some(0.1 + 0.2),
            negative: false,
        }
    }

    #[test]
    fn a_set_of_ros_becomes_a_prompts_file_word_for_word() {
        let cat = msgs::Prompt { name: "cat".into(), negative: true, ..msgs::Prompt::default() };
        let read = parse_message(&as_file(&[mug(), cat], Some(0.25), Some(7))).unwrap();
        assert_eq!(read.replaces, Some(7));
        assert_eq!(read.prompts[0], Prompt::from(&mug()));
        let cat = &read.prompts[1];
        assert_eq!((cat.texts.as_slice(), cat.threshold), (&["cat".to_owned()][..], Some(0.25)));
        assert!(cat.negative);
        let nan = msgs::Prompt { threshold: Some(f32::NAN), ..mug() };
        let error = parse_message(&as_file(&[nan], None, None)).unwrap_err().to_string();
        assert!(error.contains("prompts[0].threshold"), "{error}");
        assert!(parse_message(&as_file(&[], None, None)).is_err());
    }

    #[test]
    fn a_set_that_says_what_is_in_use_is_known_however_it_says_it() {
        let record = |prompt: &msgs::Prompt<'_>| PromptRecord::from(&Prompt::from(prompt));
        let plain = msgs::Prompt { threshold: None, ..mug() };
        let in_use = PromptsRecord {
            version: 3,
            default_threshold: 0.25,
            prompts: vec![record(&mug()), record(&plain)],
        };
        let told = prompt_set(&in_use);
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
