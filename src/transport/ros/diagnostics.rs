//! The status of a node as `/diagnostics` has it: one entry for the node, one for each camera.

use crate::transport::live::{CameraStatus, Failure, SpaceStatus, State, Status};
use crate::types::Stamp;
use crate::wire::diagnostic_msgs::{DiagnosticArray, DiagnosticStatus, KeyValue, level};
use crate::wire::std_msgs::Header;

/// Of a larger set only the first prompts have their best score shown, so that a message stays one
/// that a person can read.
const MOST_SCORES: usize = 32;

/// `node` is the full name of the node, which every entry begins with.
pub(super) fn diagnostics<'a>(node: &str, status: &'a Status, now: Stamp) -> DiagnosticArray<'a> {
    let node = node.trim_start_matches('/');
    let mut all = vec![of_node(node, status)];
    all.extend(status.cameras.iter().map(|(name, camera)| of_camera(node, name, camera, status)));
    DiagnosticArray { header: Header { stamp: now.into(), frame_id: "" }, status: all }
}

fn of_node<'a>(node: &str, status: &'a Status) -> DiagnosticStatus<'a> {
    let mut values = vec![
        value("model", &status.model.name),
        value("dtype", &status.model.dtype),
        number("prompts_version", status.prompts.version),
        number("prompts", status.prompts.names.len()),
        number("requests_answered", status.requests.answered),
        number("requests_refused", status.requests.refused),
        number("uptime_secs", format_args!("{:.1}", status.uptime_secs)),
    ];
    values.extend(status.memory_bytes.map(|bytes| number("memory_mib", bytes >> 20)));
    values.extend(of_failure("refused_images", "newest_refused_image", &status.refused_images));
    for waits in &status.waits_for {
        let publishers = match (waits.publishers, waits.seen.join(", ")) {
            (None, _) => "?".to_owned(),
            (Some(count), seen) if seen.is_empty() => count.to_string(),
            (Some(count), seen) => format!("{count}: {seen}"),
        };
        values.push(KeyValue {
            key: format!("publishers on {}", waits.keys).into(),
            value: publishers.into(),
        });
    }
    DiagnosticStatus {
        level: level_of(status.state),
        name: format!("{node}: detection").into(),
        message: match status.why.is_empty() {
            true => in_words(status.state).into(),
            false => status.why.join("; ").into(),
        },
        hardware_id: status.model.device.as_str().into(),
        values,
    }
}

fn of_camera<'a>(
    node: &str,
    name: &'a str,
    camera: &'a CameraStatus,
    status: &'a Status,
) -> DiagnosticStatus<'a> {
    let about = format!("{name}: ");
    let why: Vec<_> = status.why.iter().filter_map(|why| why.strip_prefix(&about)).collect();
    let mut values = vec![
        value("topic", &camera.key),
        number("received", camera.received),
        number("bad", camera.bad),
        number("dropped", camera.dropped),
        number("skipped", camera.skipped),
        number("answered", camera.answered),
        number("failed", camera.failed),
        number("detections", camera.detections),
        number("newest_image_age_secs", format_args!("{:.3}", camera.newest_image_age_secs)),
    ];
    if let Some(age) = camera.newest_output_age_secs {
        values.push(number("newest_output_age_secs", format_args!("{age:.3}")));
    }
    if let Some([width, height]) = camera.size_px {
        values.push(number("size_px", format_args!("{width}x{height}")));
    }
    if let Some(encoding) = &camera.encoding {
        values.push(value("encoding", encoding));
    }
    for (key, failure) in
        [("newest_bad", &camera.newest_bad), ("newest_failure", &camera.newest_failure)]
    {
        values.extend(failure.iter().map(|failure| value(key, &failure.newest)));
    }
    for best in camera.best_scores.iter().take(MOST_SCORES) {
        values.push(KeyValue {
            key: format!("best score of {}", best.prompt).into(),
            value: format!("{:.3}, threshold {}", best.score, best.threshold).into(),
        });
    }
    values.extend(camera.space.iter().flat_map(of_places));
    if let Some(topic) = &camera.would_have_places_with {
        values.push(KeyValue {
            key: "places".into(),
            value: format!("not looked for: no depth picture has come on {topic}").into(),
        });
    }
    for (stage, milliseconds) in &camera.stages_ms {
        values.push(KeyValue {
            key: format!("{stage}_ms").into(),
            value: format!("{milliseconds:.2}").into(),
        });
    }
    DiagnosticStatus {
        // What a camera cannot do, the node cannot do; a bad picture now and then is a warning.
        level: match why.is_empty() {
            true => level::OK,
            false => level_of(status.state).max(level::WARN),
        },
        name: format!("{node}: camera {name}").into(),
        message: match why.is_empty() {
            true => "images come and are looked at".into(),
            false => why.join("; ").into(),
        },
        hardware_id: name.into(),
        values,
    }
}

fn of_places(space: &SpaceStatus) -> Vec<KeyValue<'_>> {
    let mut values = vec![
        number("depths", space.depths),
        number("calibrations", space.calibrations),
        number("places", space.located),
    ];
    let reasons = space.unlocated.iter();
    values.extend(reasons.map(|(reason, count)| number_of(format!("no place: {reason}"), count)));
    if let Some(keys) = &space.keys {
        values.extend([value("depth", &keys.depth), value("camera_info", &keys.calibration)]);
    }
    values.extend(space.newest_reason.iter().map(|reason| value("newest_no_place", reason)));
    values.extend(space.picked.map(|picked| number("picks", picked)));
    let reasons = space.unpicked.iter();
    values.extend(reasons.map(|(reason, count)| number_of(format!("no pick: {reason}"), count)));
    values.extend(space.newest_no_pick.iter().map(|reason| value("newest_no_pick", reason)));
    values
}

fn level_of(state: State) -> u8 {
    match state {
        State::Finding | State::NothingFound | State::Starting => level::OK,
        State::Ended | State::Unconfigured | State::Changing | State::Inactive => level::WARN,
        State::NoPrompts | State::NoImages | State::ImagesStopped => level::WARN,
        State::CannotLoad | State::BadImages | State::Stalled | State::Failing => level::ERROR,
    }
}

fn in_words(state: State) -> &'static str {
    match state {
        State::Ended => "the node has ended",
        State::Unconfigured => "no model is loaded",
        State::CannotLoad => "the model could not be loaded",
        State::Changing => "the node is on its way to another state",
        State::Inactive => "the node is inactive",
        State::NoPrompts => "no prompts are set",
        State::NoImages => "no image has come yet",
        State::BadImages => "images cannot be read",
        State::ImagesStopped => "no images come any more",
        State::Stalled => "the model does not answer",
        State::Failing => "the model fails",
        State::Starting => "the first image is being looked at",
        State::NothingFound => "nothing was found in the newest images",
        State::Finding => "things are being found",
    }
}

fn value<'a>(key: &'a str, value: &'a str) -> KeyValue<'a> {
    KeyValue { key: key.into(), value: value.into() }
}

fn number(key: &str, value: impl ToString) -> KeyValue<'_> {
    KeyValue { key: key.into(), value: value.to_string().into() }
}

fn number_of(key: String, value: impl ToString) -> KeyValue<'static> {
    KeyValue { key: key.into(), value: value.to_string().into() }
}

fn of_failure<'a>(
    count: &'a str,
    newest: &'a str,
    failure: &'a Option<Failure>,
) -> impl Iterator<Item = KeyValue<'a>> {
    failure
        .iter()
        .flat_map(move |failure| [number(count, failure.count), value(newest, &failure.newest)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(state: State, why: &[&str]) -> Status {
        let camera = json!({
            "key": "/image", "received": 5, "bad": 2, "dropped": 1, "answered": 2, "failed": 0,
            "newest_bad": { "count": 2, "newest": "cut off", "age_secs": 0.5 },
            "newest_image_age_secs": 0.1, "newest_output_age_secs": 0.25, "detections": 0,
            "best_scores": [{ "prompt": "a mug", "score": 0.21, "threshold": 0.5 }],
            "stages_ms": {}, "would_have_places_with": "/depth",
        });
        serde_json::from_value(json!({
            "node": "owlet", "owlet": "0", "state": state, "why": why, "uptime_secs": 1.0,
            "model": { "name": "m", "device": "cpu", "dtype": "f32" },
            "prompts": { "version": 3, "names": ["a mug"] },
            "waits_for": [
                { "keys": "/image", "publishers": 1, "seen": ["/driver (best effort, volatile)"] },
                { "keys": "/image/compressed", "publishers": 0 },
            ],
            "cameras": { "front": camera, "rear": camera },
            "requests": { "answered": 0, "refused": 0 },
        }))
        .unwrap()
    }

    #[test]
    fn each_camera_has_its_own_reasons_and_the_node_has_all() {
        let why = ["front: 2 of 5 images could not be read: cut off"];
        let status = status(State::NothingFound, &why);
        let array = diagnostics("/cell/owlet", &status, Stamp(5));
        let [node, front, rear] = array.status.as_slice() else { panic!("{array:?}") };
        assert_eq!((&*node.name, node.level), ("cell/owlet: detection", level::OK));
        assert!(node.message.contains("cut off"), "{node:?}");
        assert_eq!((&*front.name, front.level), ("cell/owlet: camera front", level::WARN));
        assert_eq!(front.message, "2 of 5 images could not be read: cut off");
        let bad = front.values.iter().find(|value| value.key == "newest_bad");
        assert_eq!(bad.map(|bad| &*bad.value), Some("cut off"));
        assert_eq!(rear.level, level::OK);
        for (entry, key, expected) in [
            (node, "publishers on /image", "1: /driver (best effort, volatile)"),
            (node, "publishers on /image/compressed", "0"),
            (front, "newest_output_age_secs", "0.250"),
            (front, "best score of a mug", "0.210, threshold 0.5"),
            (front, "places", "not looked for: no depth picture has come on /depth"),
        ] {
            let found = entry.values.iter().find(|value| value.key == key);
            assert_eq!(found.map(|value| &*value.value), Some(expected), "{key}");
        }
        assert_eq!(array.header.stamp.nanosec, 5);
    }

    #[test]
    fn what_keeps_the_node_from_working_is_an_error() {
        for (state, expected) in [
            (State::Finding, level::OK),
            (State::NoImages, level::WARN),
            (State::Stalled, level::ERROR),
            (State::Failing, level::ERROR),
        ] {
            let status = status(state, &[]);
            let array = diagnostics("/owlet", &status, Stamp(0));
            assert_eq!(array.status[0].level, expected);
            assert!(!array.status[0].message.is_empty());
        }
    }
}
