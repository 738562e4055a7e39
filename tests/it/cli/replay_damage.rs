//! `owlet replay` of recordings and with checkpoints that lose frames: what is lost is counted,
//! with its reason, and the rest is done.

use std::fs;

use owlet::transport::rosbag2::WriterOptions;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize_to_file};
use tempfile::TempDir;

use super::replay::{records, results, run_json};
use super::{bags, checkpoint, replay_words, run, words};

#[test]
fn broken_frames_are_counted_and_the_others_are_done() {
    let folder = TempDir::new().unwrap();
    let shots: Vec<_> = (0..60)
        .map(|n| match n {
            0 | 7 => bags::color("/camera", n),
            5 => bags::shot("/camera", "rgb99", 3, n),
            6 => bags::shot("/camera", "16UC1", 2, n),
            _ if n < 50 => bags::broken("/camera", n),
            _ => bags::color("/camera", n),
        })
        .collect();
    let bag = bags::write(folder.path(), &shots);
    let out = folder.path().join("out");
    let ran = run(replay_words(&bag, &out, words!["-p", "cat"]), 3);
    assert_eq!(records(&out).len(), 12);
    let summary = run_json(&out)["summary"].clone();
    assert_eq!((&summary["frames"], &summary["skipped"]), (&12.into(), &48.into()));
    let skips = summary["skips"].as_array().unwrap();
    let frames: u64 = skips.iter().map(|skip| skip["frames"].as_u64().unwrap()).sum();
    assert_eq!((skips.len(), frames), (3, 48), "{summary}");
    for (reason, frames) in [("rgb99", 1), ("depth image", 1), ("100 bytes", 46)] {
        let is_it = |skip: &&serde_json::Value| skip["reason"].as_str().unwrap().contains(reason);
        let skip = skips.iter().find(is_it).unwrap_or_else(|| panic!("{reason}: {summary}"));
        assert_eq!(skip["frames"], frames);
    }
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("rgb99"));
    assert!(ran.stdout.contains("48 frames skipped"), "{ran}");
    // The first are told one by one; a broken recording must not flood the terminal.
    assert_eq!(ran.stderr.lines().count(), 21, "{ran}");
    ran.says(&["more frames are skipped"]);
}

#[test]
fn a_cut_recording_is_read_as_far_as_it_goes() {
    let folder = TempDir::new().unwrap();
    let shots: Vec<_> = (0..60).map(|n| bags::color("/camera", n)).collect();
    let bag = bags::write_with(folder.path(), &shots, WriterOptions { chunk_bytes: 20_000 });
    let whole = folder.path().join("whole");
    run(replay_words(&bag, &whole, words!["-p", "cat"]), 0);
    let file = bag.join("bag_0.mcap");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    for source in [&bag, &file] {
        let out = TempDir::new().unwrap();
        let ran = run(replay_words(source, out.path(), words!["-p", "cat"]), 3);
        ran.says(&["WARN", "bag_0.mcap"]);
        let found = fs::read_to_string(out.path().join("detections.jsonl")).unwrap();
        let frames = found.lines().count();
        assert!((10..50).contains(&frames), "{frames}");
        let all = fs::read_to_string(whole.join("detections.jsonl")).unwrap();
        assert!(all.starts_with(&found), "what is there is what it was");
        let summary = run_json(out.path())["summary"].clone();
        assert!(!summary["losses"].as_array().unwrap().is_empty(), "{summary}");
        let report = fs::read_to_string(out.path().join("report.html")).unwrap();
        assert!(report.contains("bag_0.mcap"));
    }
}

/// A checkpoint whose first layer overflows where a patch is black at its left edge and white at
/// its right one, and is nothing unusual for pictures of one colour.
fn overflowing() -> TempDir {
    let copy = checkpoint("owlvit_tiny");
    let path = copy.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let name = "owlvit.vision_model.embeddings.patch_embedding.weight";
    let old = tensors.tensor(name).unwrap();
    assert_eq!(old.shape(), [40, 3, 16, 16]);
    let mut weights: Vec<f32> = bytemuck::pod_collect_to_vec(old.data());
    // The first feature is the difference of two red pixels of the first row.
    weights[..3 * 16 * 16].fill(0.0);
    (weights[0], weights[15]) = (-2_f32.powi(127), 2_f32.powi(127));
    let weights = bytemuck::cast_slice(&weights);
    let weights = TensorView::new(Dtype::F32, old.shape().to_vec(), weights).unwrap();
    let views = tensors.tensors().into_iter().map(|(key, view)| match key == name {
        true => (key, weights.clone()),
        false => (key, view),
    });
    let spoilt = copy.path().join("spoilt");
    serialize_to_file(views, None, &spoilt).unwrap();
    fs::rename(spoilt, path).unwrap();
    copy
}

#[test]
fn a_frame_that_the_model_fails_on_has_its_line_and_resuming_keeps_its_place() {
    let model = overflowing();
    let folder = TempDir::new().unwrap();
    let shots: Vec<_> = (0..40)
        .map(|n| {
            let mut shot = bags::color("/camera", n);
            let (half, row) = (bags::WIDTH as usize * 3 / 2, bags::WIDTH as usize * 3);
            shot.data = match n % 4 {
                1 => [vec![0; half], vec![255; row - half]].concat().repeat(bags::HEIGHT as usize),
                _ => vec![5 * n as u8; shot.data.len()],
            };
            shot
        })
        .collect();
    let bag = bags::write(folder.path(), &shots);
    let out = folder.path().join("out");
    let with = |more| {
        let words =
            replay_words(&bag, &out, [words!["-p", "cat", "--threshold", "0"], more].concat());
        // The later one of two models would be refused.
        let words: Vec<_> = words
            .into_iter()
            .map(|word| match word == crate::golden_models::fixture("owlvit_tiny") {
                true => model.path().into(),
                false => word,
            })
            .collect();
        run(words, 3)
    };
    with(vec![]).says(&["predictions are not numbers"]);
    let lines = records(&out);
    assert_eq!(lines.len(), 40, "every frame has its line");
    for (number, line) in lines.iter().enumerate() {
        let failed = line.get("failed").and_then(|reason| reason.as_str());
        assert_eq!(failed.is_some_and(|reason| reason.contains("not numbers")), number % 4 == 1);
    }
    let summary = run_json(&out)["summary"].clone();
    assert_eq!((&summary["frames"], &summary["skipped"]), (&30.into(), &10.into()));

    // As if it had been ended in the middle: more failures than any queue holds lie behind.
    let whole = results(&out);
    let text = String::from_utf8(whole.0.clone()).unwrap();
    let kept: String = text.split_inclusive('\n').take(33).collect();
    fs::write(out.join("detections.jsonl"), kept + "{\"topic\":\"/cam").unwrap();
    with(words!["--resume"]);
    assert!(results(&out) == whole);
    let resumed = run_json(&out)["summary"].clone();
    assert_eq!(resumed["skips"], summary["skips"]);
}
