//! Ids of a live node while the camera moves, against the simulator's truth.

use std::fs;

use tempfile::NamedTempFile;

use super::{Node, next_sample};
use crate::spatial::tracks::{scores, tabletop_replayed};
use crate::spatial::{on, repository};

#[test]
fn a_thing_that_scores_too_low_for_a_while_keeps_its_id() {
    // High enough that the scores of many things fall below it for a frame or two.
    let text = fs::read_to_string(repository("samples/prompts.yaml")).unwrap();
    let prompts = NamedTempFile::with_suffix(".yaml").unwrap();
    fs::write(prompts.path(), text.replace("default_threshold: 0.3", "default_threshold: 0.4"))
        .unwrap();
    let [source, replayed] = tabletop_replayed(prompts.path());
    let more = ["--param", "nms_iou=0.6", "--param", "zenoh_cdr=true", "--prompts"];
    let more = [&more[..], &[prompts.path().to_str().unwrap()]].concat();
    let node = Node::start_with_model(&repository("models/owlet-nano"), "ids", &more);
    let found = node.subscribe("detections_cdr/*");
    // One after the other, so that none is dropped.
    let live: Vec<Vec<u8>> = on(&source, "/camera/color/image_raw/compressed")
        .into_iter()
        .map(|image| {
            node.put(&node.key("camera/front/image"), "application/cdr", &image.data, None);
            next_sample(&found).payload().to_bytes().into_owned()
        })
        .collect();
    let truths = on(&source, "/ground_truth/detections");
    let truths = || truths.iter().map(|message| &message.data[..]);
    let live = scores(truths(), live.iter().map(Vec::as_slice));
    let replayed = on(&replayed, "/owlet/detections");
    let replayed = scores(truths(), replayed.iter().map(|message| &message.data[..]));
    println!("live: {live:?}\nreplayed, without boxes below their thresholds: {replayed:?}");
    // The same boxes are reported.
    assert_eq!((live.truths, live.misses.abs_diff(replayed.misses) < 10), (replayed.truths, true));
    assert!(live.id_switches < replayed.id_switches, "{live:?}\n{replayed:?}");
}
