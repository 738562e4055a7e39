//! Why there is nothing, in words.

use crate::transport::live::{
    BestScore, CameraStatus, Connections, Failure, SpaceStatus, State, Status,
};

/// A camera that has sent nothing for so long is said to have stopped.
const STOPPED_AFTER_SECS: f64 = 2.0;
/// So long a first answer may take, and any other beside what its stages say.
const FIRST_ANSWER_SECS: f64 = 60.0;
const ANSWER_SECS: f64 = 10.0;
/// So many times its own time an answer may take: cameras and single images take turns.
const ANSWER_TURNS: f64 = 20.0;

/// The state of a node with these cameras: that of the best of them.
pub(super) fn state<'a>(
    prompts_version: u64,
    cameras: impl Iterator<Item = &'a CameraStatus>,
) -> State {
    match prompts_version {
        0 => State::NoPrompts,
        _ => cameras.map(of_camera).max().unwrap_or(State::NoImages),
    }
}

fn of_camera(camera: &CameraStatus) -> State {
    let good = camera.newest_good_image_age_secs;
    let failed = camera.newest_failure.as_ref().map(|failure| failure.age_secs);
    let bad = camera.newest_bad.as_ref().map(|bad| bad.age_secs);
    match (good, camera.newest_output_age_secs) {
        // One has come and is being read.
        (None, _) if camera.bad == 0 => State::Starting,
        (None, _) => State::BadImages,
        _ if camera.newest_image_age_secs > STOPPED_AFTER_SECS => State::ImagesStopped,
        // A rate that was asked for leaves images out, which are not bad.
        (Some(age), _) if age > STOPPED_AFTER_SECS && bad.is_some_and(|bad| bad < age) => {
            State::BadImages
        }
        _ if camera.unanswered_secs.is_some_and(|secs| secs > patience_secs(camera)) => {
            State::Stalled
        }
        (_, None) if failed.is_some() => State::Failing,
        (_, Some(output)) if failed.is_some_and(|failed| failed < output) => State::Failing,
        (_, None) => State::Starting,
        (_, Some(_)) if camera.detections == 0 => State::NothingFound,
        (_, Some(_)) => State::Finding,
    }
}

/// How long the model may take before something is wrong with it.
fn patience_secs(camera: &CameraStatus) -> f64 {
    match camera.stages_ms.values().sum::<f64>() {
        0.0 => FIRST_ANSWER_SECS,
        answer_ms => ANSWER_SECS + ANSWER_TURNS * 1e-3 * answer_ms,
    }
}

/// Sentences for all that keeps the node from finding things. `prompts_key` is where prompts are
/// set.
pub(super) fn why(status: &Status, prompts_key: &str) -> Vec<String> {
    let mut why = Vec::new();
    if status.prompts.version == 0 {
        why.push(format!(
            "no prompts are set, so there is nothing to look for: put a set on {prompts_key}"
        ));
    }
    if status.cameras.is_empty() {
        why.push(no_images(status));
    }
    for (name, camera) in &status.cameras {
        // Without prompts the model refuses every image, and the reason is said already.
        let is_said = status.prompts.version == 0 && of_camera(camera) == State::Failing;
        why.extend(about_camera(name, camera).filter(|_| !is_said));
        why.extend(camera.space.iter().flat_map(|space| about_places(name, space)));
    }
    if let Some(refused) = status.transforms.as_ref().and_then(|known| known.refused.as_ref()) {
        why.push(format!(
            "transforms were refused {}, the newest {:.1} s ago: {}",
            times(refused.count),
            refused.age_secs,
            refused.newest
        ));
    }
    if let Some(refused) = &status.refused_images {
        why.push(format!(
            "images that belong to no camera ({}): {}",
            refused.count, refused.newest
        ));
    }
    why
}

fn no_images(status: &Status) -> String {
    let keys: Vec<_> = status.waits_for.iter().map(|waits| waits.keys.as_str()).collect();
    let known: Vec<_> = status.waits_for.iter().filter_map(|waits| waits.publishers).collect();
    let reason = match (known.iter().sum::<usize>(), status.connected) {
        (_, Some(Connections { routers: 0, peers: 0 })) => {
            "this node is connected to no router and no peer".to_owned()
        }
        (0, Some(Connections { routers, peers })) if known.is_empty() => {
            format!("connected to {} and {}", count(routers, "router"), count(peers, "peer"))
        }
        (0, _) => "no publisher is declared there".to_owned(),
        (1, _) => {
            format!("a publisher is declared there, and nothing of it has come yet{}", seen(status))
        }
        (many, _) => {
            format!(
                "{many} publishers are declared there, and nothing of them has come yet{}",
                seen(status)
            )
        }
    };
    let remarks = status
        .waits_for
        .iter()
        .flat_map(|waits| waits.remarks.iter().map(|remark| format!("; {}: {remark}", waits.keys)));
    let remarks: String = remarks.collect();
    format!("no image has come yet on {}: {reason}{remarks}", keys.join(", "))
}

/// Who publishes where images are waited for, and how.
fn seen(status: &Status) -> String {
    let seen: Vec<_> = status.waits_for.iter().flat_map(|waits| &waits.seen).collect();
    match seen.as_slice() {
        [] => String::new(),
        [first, rest @ ..] => rest.iter().fold(format!(": {first}"), |text, one| text + ", " + one),
    }
}

fn about_camera(name: &str, camera: &CameraStatus) -> Option<String> {
    let newest = |failure: &Option<Failure>| {
        failure.as_ref().map_or(String::new(), |failure| failure.newest.clone())
    };
    let text = match of_camera(camera) {
        State::BadImages if camera.newest_good_image_age_secs.is_none() => format!(
            "none of the {} could be read; the newest: {}",
            count(camera.bad as usize, "image"),
            newest(&camera.newest_bad)
        ),
        State::BadImages => {
            format!("the newest images cannot be read: {}", newest(&camera.newest_bad))
        }
        State::ImagesStopped => {
            format!("no image for {:.1} s", camera.newest_image_age_secs)
        }
        State::Stalled => format!(
            "the model has not answered for {:.0} s; its last answer took {:.1} s",
            camera.unanswered_secs.unwrap_or_default(),
            1e-3 * camera.stages_ms.values().sum::<f64>()
        ),
        State::Failing => format!("the model fails: {}", newest(&camera.newest_failure)),
        State::Starting => "its first image is being looked at".to_owned(),
        State::NothingFound => nothing_found(camera),
        State::Finding => return bad_ones(name, camera),
        // States of a node, not of a camera.
        State::Ended
        | State::Unconfigured
        | State::CannotLoad
        | State::Changing
        | State::Inactive
        | State::NoPrompts
        | State::NoImages => return None,
    };
    Some(format!("{name}: {text}"))
}

/// Images that could not be read among others that can.
fn bad_ones(name: &str, camera: &CameraStatus) -> Option<String> {
    let bad = camera.newest_bad.as_ref()?;
    let age = bad.age_secs;
    Some(format!(
        "{name}: {} of {} could not be read, the newest {age:.1} s ago: {}",
        bad.count,
        count(camera.received as usize, "image"),
        bad.newest
    ))
}

fn nothing_found(camera: &CameraStatus) -> String {
    let margin = |best: &BestScore| best.score - best.threshold;
    let nearest = camera.best_scores.iter().max_by(|a, b| margin(a).total_cmp(&margin(b)));
    match nearest {
        Some(best) => format!(
            "nothing is above its threshold in the newest image; nearest was {:?} with {:.3}, \
             below {}",
            best.prompt, best.score, best.threshold
        ),
        None => "nothing was found in the newest image".to_owned(),
    }
}

/// Why things that were found have no place in space.
fn about_places(name: &str, space: &SpaceStatus) -> Vec<String> {
    let mut why = Vec::new();
    if let Some([0, found]) = space.newest_located
        && found > 0
    {
        let reason = space.newest_reason.as_deref().unwrap_or("no reason is known");
        let at = match (&space.keys, space.depths, space.calibrations) {
            (Some(keys), 0, _) => format!(" (depth is waited for on {})", keys.depth),
            (Some(keys), _, 0) => format!(" (it is waited for on {})", keys.calibration),
            _ => String::new(),
        };
        why.push(format!("{name}: nothing that was found has a place in space: {reason}{at}"));
    }
    // Where nothing has a place, the reason is said already.
    let is_nowhere = matches!(space.newest_located, Some([0, _]));
    if let Some([0, found]) = space.newest_picked
        && found > 0
        && !is_nowhere
    {
        let reason = space.newest_no_pick.as_deref().unwrap_or("no reason is known");
        why.push(format!("{name}: nothing that was found has a pick point: {reason}"));
    } else if let Some(reason) = &space.no_pick_of_prompt {
        why.push(format!("{name}: there is no pick: {reason}"));
    }
    if let Some(bad) = &space.bad {
        why.push(format!(
            "{name}: depth or calibration could not be used {}, the newest {:.1} s ago: {}",
            times(bad.count),
            bad.age_secs,
            bad.newest
        ));
    }
    why
}

fn times(number: u64) -> String {
    match number {
        1 => "once".to_owned(),
        _ => format!("{number} times"),
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::live::SpaceKeys;

    /// Looked at a moment ago, with nothing found.
    fn camera() -> CameraStatus {
        CameraStatus {
            key: "front".to_owned(),
            received: 5,
            bad: 0,
            dropped: 1,
            skipped: 0,
            answered: 3,
            failed: 0,
            newest_bad: None,
            newest_failure: None,
            size_px: Some([64, 48]),
            encoding: Some("image/jpeg".to_owned()),
            newest_image_age_secs: 0.1,
            newest_good_image_age_secs: Some(0.1),
            unanswered_secs: Some(0.1),
            newest_output_age_secs: Some(0.2),
            detections: 0,
            best_scores: Vec::new(),
            stages_ms: std::collections::BTreeMap::new(),
            space: None,
            would_have_places_with: None,
        }
    }

    #[test]
    fn what_has_no_place_has_a_reason() {
        let space = SpaceStatus {
            newest_located: Some([0, 2]),
            newest_reason: Some("no depth picture has come".to_owned()),
            keys: Some(SpaceKeys {
                depth: "cell/front/depth".to_owned(),
                calibration: "cell/front/camera_info".to_owned(),
            }),
            ..SpaceStatus::default()
        };
        let all = "front: nothing that was found has a place in space: no depth picture has come";
        let at = " (depth is waited for on cell/front/depth)";
        assert_eq!(about_places("front", &space), [format!("{all}{at}")]);
        let uncalibrated = SpaceStatus { depths: 9, ..space.clone() };
        let at = " (it is waited for on cell/front/camera_info)";
        assert_eq!(about_places("front", &uncalibrated), [format!("{all}{at}")]);
        let has_come = SpaceStatus { depths: 9, calibrations: 1, ..space.clone() };
        assert_eq!(about_places("front", &has_come), [all]);
        let unpicked = SpaceStatus {
            newest_located: Some([2, 2]),
            newest_picked: Some([0, 2]),
            newest_no_pick: Some("a pick needs the mask of its thing".to_owned()),
            ..SpaceStatus::default()
        };
        let expected = "front: nothing that was found has a pick point: a pick needs the mask of \
                        its thing";
        assert_eq!(about_places("front", &unpicked), [expected]);
        let picked = SpaceStatus { newest_picked: Some([1, 2]), ..unpicked.clone() };
        assert!(about_places("front", &picked).is_empty());
        let other = SpaceStatus {
            no_pick_of_prompt: Some("no prompt of the set is called \"x\"".to_owned()),
            ..picked
        };
        let expected = "front: there is no pick: no prompt of the set is called \"x\"";
        assert_eq!(about_places("front", &other), [expected]);
        // Where nothing has a place, that is the reason.
        let nowhere = SpaceStatus { newest_located: Some([0, 2]), ..unpicked };
        assert_eq!(about_places("front", &nowhere).len(), 1);
        let bad = failure("front/depth: cut off", 0.5);
        let some = SpaceStatus { newest_located: Some([1, 2]), bad, ..space };
        assert_eq!(
            about_places("front", &some),
            ["front: depth or calibration could not be used 2 times, the newest 0.5 s ago: \
              front/depth: cut off"]
        );
        assert!(about_places("front", &SpaceStatus::default()).is_empty());
    }

    fn failure(newest: &str, age_secs: f64) -> Option<Failure> {
        Some(Failure { count: 2, newest: newest.to_owned(), age_secs })
    }

    #[track_caller]
    fn is(camera: &CameraStatus, expected: State, text: Option<&str>) {
        assert_eq!(of_camera(camera), expected);
        assert_eq!(about_camera("front", camera).as_deref(), text);
    }

    #[test]
    fn every_state_of_a_camera_has_its_words() {
        is(&camera(), State::NothingFound, Some("front: nothing was found in the newest image"));
        let score = |prompt: &str, score, threshold| BestScore {
            prompt: prompt.to_owned(),
            score,
            threshold,
        };
        let best_scores = vec![score("a", 0.4, 0.9), score("b", 0.2, 0.3)];
        let text = "front: nothing is above its threshold in the newest image; nearest was \"b\" \
                    with 0.200, below 0.3";
        is(&CameraStatus { best_scores, ..camera() }, State::NothingFound, Some(text));

        let found = CameraStatus { detections: 1, ..camera() };
        is(&found, State::Finding, None);
        let text = "front: 2 of 5 images could not be read, the newest 0.5 s ago: cut off";
        let newest_bad = failure("cut off", 0.5);
        is(&CameraStatus { newest_bad, ..found.clone() }, State::Finding, Some(text));

        let newest_failure = failure("out of memory", 0.1);
        let text = "front: the model fails: out of memory";
        is(&CameraStatus { newest_failure, ..found.clone() }, State::Failing, Some(text));
        let newest_failure = failure("out of memory", 0.3);
        is(&CameraStatus { newest_failure, ..found.clone() }, State::Finding, None);

        let first = CameraStatus { newest_output_age_secs: None, ..camera() };
        let text = "front: its first image is being looked at";
        is(&first, State::Starting, Some(text));
        let being_read = CameraStatus { newest_good_image_age_secs: None, ..first };
        is(&being_read, State::Starting, Some(text));
        let stopped = CameraStatus { newest_image_age_secs: 2.5, ..found.clone() };
        is(&stopped, State::ImagesStopped, Some("front: no image for 2.5 s"));

        let newest_bad = failure("cut off", 0.1);
        let turned_bad =
            CameraStatus { newest_good_image_age_secs: Some(9.0), newest_bad, ..found.clone() };
        let text = "front: the newest images cannot be read: cut off";
        is(&turned_bad, State::BadImages, Some(text));
        // Between two images that the rate lets through, the others are not bad.
        let rare = CameraStatus {
            newest_good_image_age_secs: Some(9.0),
            unanswered_secs: None,
            newest_output_age_secs: Some(8.9),
            ..found.clone()
        };
        is(&rare, State::Finding, None);
        let once_bad = CameraStatus { newest_bad: failure("cut off", 30.0), ..rare };
        assert_eq!(of_camera(&once_bad), State::Finding);

        let stages_ms = [("image_tower".to_owned(), 400.0), ("decode".to_owned(), 100.0)].into();
        let slow = CameraStatus { unanswered_secs: Some(19.0), stages_ms, ..found };
        is(&slow, State::Finding, None);
        let hangs = CameraStatus { unanswered_secs: Some(21.0), ..slow };
        let text = "front: the model has not answered for 21 s; its last answer took 0.5 s";
        is(&hangs, State::Stalled, Some(text));
        let never = CameraStatus {
            unanswered_secs: Some(50.0),
            newest_output_age_secs: None,
            stages_ms: std::collections::BTreeMap::new(),
            ..hangs
        };
        assert_eq!(of_camera(&never), State::Starting);
        let never = CameraStatus { unanswered_secs: Some(61.0), ..never };
        assert_eq!(of_camera(&never), State::Stalled);
    }

    #[test]
    fn of_several_cameras_the_best_one_counts() {
        let finding = CameraStatus { detections: 1, ..camera() };
        assert_eq!(state(1, [&camera(), &finding].into_iter()), State::Finding);
        assert_eq!(state(1, [&camera()].into_iter()), State::NothingFound);
        assert_eq!(state(1, [].into_iter()), State::NoImages);
        assert_eq!(state(0, [&finding].into_iter()), State::NoPrompts);
    }
}
