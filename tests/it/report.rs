//! The report of a run: what it says and how it is written.

mod safety;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use owlet::report::{
    FromAbove, LossSummary, RecordingInfo, ReportBuilder, ReportOptions, TopicInfo,
};
use owlet::tasks::ModelInfo;
use owlet::types::{
    Detection, Evidence, Explanation, FrameDetections, FrameHeader, PairEvidence, PairId, PixelBox,
    Prompt, PromptSet, Stage, StageTimings, Stamp,
};

const START: i64 = 1_716_400_000_000_000_000;
const JPEG: [u8; 4] = [0xff, 0xd8, 0xff, 0xd9];
const TOPIC: &str = "/camera/image_raw";

fn prompt_set(version: u64, names: &[&str]) -> Arc<PromptSet> {
    let prompts = names.iter().map(|name| Prompt::from_text(name)).collect();
    Arc::new(PromptSet { version, prompts, default_threshold: 0.1 })
}

fn options(prompts: &Arc<PromptSet>) -> ReportOptions {
    ReportOptions {
        title: "Replay of a table".to_owned(),
        model: ModelInfo {
            name: "owlvit-base-patch32".to_owned(),
            architecture: "owlvit".to_owned(),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            input_size: (768, 768),
            parameters: 153_000_000,
            useful_batch: 1,
        },
        notes: vec!["Weights are random: boxes mean nothing.".to_owned()],
        prompts: Arc::clone(prompts),
        recording: RecordingInfo {
            path: "bags/table".to_owned(),
            storage: "mcap".to_owned(),
            span: Some((Stamp(START), Stamp(START + 90_000_000_000))),
            topics: vec![TopicInfo {
                name: TOPIC.to_owned(),
                message_type: "sensor_msgs/msg/Image".to_owned(),
                messages: 1234,
            }],
        },
        command_line: ["owlet", "replay", "--prompt", "a cat"].map(str::to_owned).to_vec(),
        version: "0.1.0".to_owned(),
        max_pictures: 8,
    }
}

/// The frame `number` of a 10 Hz camera with `(prompt, score)` detections, best first.
fn frame(prompts: &Arc<PromptSet>, number: u32, found: &[(usize, f32)]) -> FrameDetections {
    let mut timings = StageTimings::default();
    timings.add(Stage::ImageTower, Duration::from_millis(u64::from(number) + 100));
    FrameDetections {
        camera: TOPIC.into(),
        header: FrameHeader {
            stamp: Stamp(START + i64::from(number) * 100_000_000),
            frame_id: "camera".into(),
        },
        width: 640,
        height: 480,
        prompts: Arc::clone(prompts),
        detections: found
            .iter()
            .map(|(prompt, score)| Detection {
                prompt: *prompt,
                score: *score,
                objectness: None,
                box_in_source_px: PixelBox::from_corners([1.0, 2.0, 3.0, 4.0]),
                mask: None,
                finer: Vec::new(),
                explanation: None,
            })
            .collect(),
        weak: Vec::new(),
        has_masks: false,
        track_ids: None,
        timings,
    }
}

/// A run of 100 frames in which two of three prompts are seen.
fn run(options: ReportOptions) -> ReportBuilder {
    let prompts = Arc::clone(&options.prompts);
    let mut report = ReportBuilder::new(options);
    for number in 0..100 {
        let score = 0.2 + 0.005 * number as f32;
        let found = match number % 4 {
            0 => vec![(0, score), (0, 0.15)],
            1 => vec![(1, 0.5)],
            _ => vec![],
        };
        report.add_frame(&frame(&prompts, number, &found), || Some(JPEG.to_vec()));
    }
    report
}

fn page(report: &ReportBuilder) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    report.write(&path).unwrap();
    fs::read_to_string(path).unwrap()
}

/// What stands in a page of a frame that a bank of pairs explains.
#[test]
fn pairs_that_spoke_for_a_detection_are_shown_with_their_pictures() {
    let prompts = prompt_set(1, &["a mug"]);
    let mut report = ReportBuilder::new(options(&prompts));
    let mut shown = frame(&prompts, 0, &[(0, 0.5), (0, 0.4)]);
    let evidence = |pair: u64, share: f32, caption: &str, thumbnail: Option<&[u8]>| PairEvidence {
        weights: Evidence {
            pair: PairId(pair),
            image_weight: 0.5,
            text_weight: 0.5,
            product: 0.25,
            share,
        },
        caption: caption.into(),
        source: "kitchen/7.jpg".into(),
        thumbnail: thumbnail.map(Arc::from),
    };
    shown.detections[0].explanation = Some(Arc::new(Explanation {
        text: "a mug".into(),
        pairs: 12,
        evidence: vec![
            evidence(41, 0.3, "a <blue> mug", Some(b"small")),
            evidence(42, 0.004, "a cup", None),
        ],
    }));
    report.add_frame(&shown, || Some(JPEG.to_vec()));
    let page = page(&report);
    tags(&page);
    let why = between(&page, "<div class=\"why\">", "</div>");
    for part in [
        "a mug",
        "0.500",
        "title=\"pair 41, kitchen/7.jpg\"",
        "data:image/jpeg;base64,c21hbGw=",
        "a &lt;blue&gt; mug",
        "30 %",
        "&lt;1 %",
        "and 10 more pairs",
    ] {
        assert!(why.contains(part), "{part:?} is not in {why}");
    }
    assert_eq!(why.matches("<img").count(), 1, "a pair without picture has none");
}

/// The text between the first `start` and the next `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = &text[text.find(start).unwrap_or_else(|| panic!("no {start}")) + start.len()..];
    &rest[..rest.find(end).unwrap_or_else(|| panic!("no {end}"))]
}

/// Every tag of the page as `(name, attribute names)`, with style and script bodies skipped. Panics
/// where tags are not balanced, as a value that breaks out of its place would make them.
fn tags(page: &str) -> Vec<(String, Vec<String>)> {
    const VOID: [&str; 2] = ["meta", "img"];
    let mut open: Vec<String> = Vec::new();
    let mut tags = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("every tag ends");
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "tags are balanced");
            continue;
        }
        let name_end = tag.find(char::is_whitespace).unwrap_or(tag.len());
        let (name, mut attributes) = tag.split_at(name_end);
        let mut names = Vec::new();
        while let Some((attribute, value)) = attributes.split_once("=\"") {
            names.push(attribute.trim().to_owned());
            attributes = value.split_once('"').expect("every value ends").1;
        }
        assert_eq!(attributes.trim(), "", "a bare attribute in <{tag}>");
        if name == "style" || name == "script" {
            rest = &rest[rest.find("</").expect("it ends")..];
        }
        if !VOID.contains(&name) {
            open.push(name.to_owned());
        }
        tags.push((name.to_owned(), names));
    }
    assert!(open.is_empty(), "{open:?} stay open");
    tags
}

fn count_of(page: &str, name: &str) -> usize {
    tags(page).iter().filter(|(tag, _)| tag == name).count()
}

#[test]
fn the_page_says_what_ran_on_what_and_what_was_found() {
    let mut report = run(options(&prompt_set(3, &["a cat", "a remote", "a <unicorn>"])));
    report.add_skipped(TOPIC, Some(Stamp(START)), "step 100 is less than 640 pixels of 3 bytes");
    report.add_loss(LossSummary {
        source: "table_1.mcap".to_owned(),
        reason: "ends inside chunk 7".to_owned(),
        messages: Some(1),
    });
    report.add_note("Stopped after 100 of 1,234 frames.");
    report.set_wall_time(Duration::from_secs(20));
    let page = page(&report);
    for expected in [
        "<title>Replay of a table</title>",
        "Weights are random: boxes mean nothing.",
        "Stopped after 100 of 1,234 frames.",
        "owlvit, 153,000,000 parameters",
        "768 × 768 px",
        "cpu, f32",
        "<bdi>bags/table</bdi> (mcap)",
        "2024-05-22 17:46:40 UTC, 1 min 30 s",
        "1,234 messages",
        "<dt>Prompts seen</dt><dd>2 of 3</dd>",
        "<bdi>a &lt;unicorn&gt;</bdi>",
        "step 100 is less than 640 pixels of 3 bytes",
        "<bdi>table_1.mcap</bdi>: ends inside chunk 7 (1 message lost)",
        "owlet replay --prompt 'a cat'",
        "5.00 frames per second",
        "image_tower",
        "Seen in 25 of 100 frames",
    ] {
        assert!(page.contains(expected), "{expected:?} is missing");
    }
    tags(&page);
}

#[test]
fn the_summary_counts_what_happened() {
    let mut report = run(options(&prompt_set(3, &["a cat", "a remote", "a unicorn"])));
    report.add_skipped(TOPIC, Some(Stamp(7)), "bad");
    report.add_skipped(TOPIC, Some(Stamp(5)), "bad");
    report.set_wall_time(Duration::from_secs(20));
    let summary = report.summary();
    assert_eq!((summary.frames, summary.detections, summary.skipped), (100, 75, 2));
    assert_eq!(summary.prompt_set_versions, [3]);
    let [cat, remote, unicorn] = summary.prompts.as_slice() else { panic!("three prompts") };
    assert_eq!((cat.frames, cat.detections), (25, 50));
    assert_eq!(cat.best_score, Some(0.2 + 0.005 * 96.0));
    // Half of the scores are 0.15, and the rank of a median is the lower middle.
    assert!((cat.median_score.unwrap() - 0.15).abs() <= 0.0005);
    assert_eq!((remote.frames, remote.best_score), (25, Some(0.5)));
    assert_eq!((unicorn.frames, unicorn.best_score, unicorn.median_score), (0, None, None));
    assert_eq!(summary.skips[0].first_stamp_ns, Some(5));
    assert_eq!(summary.cameras[0].last_stamp_ns, START + 99 * 100_000_000);
    assert_eq!(summary.timings.frames_per_sec, Some(5.0));
    let stage = &summary.timings.stages[0];
    assert_eq!((stage.stage, stage.frames), ("image_tower", 100));
    assert!((stage.p50_ms / 149.0 - 1.0).abs() < 0.006, "{stage:?}");
    assert!((stage.p90_ms / 189.0 - 1.0).abs() < 0.006, "{stage:?}");
    assert_eq!(stage.max_ms, 199.0);

    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["prompts"][2]["best_score"], serde_json::Value::Null);
    assert_eq!(json["prompts"][0]["prompt"], "a cat");
    assert_eq!(json["skips"][0]["frames"], 2);

    let text = summary.to_string();
    assert!(text.starts_with("100 frames, 75 detections; 5.00 frames/s over 20.0 s\n"), "{text}");
    assert!(
        text.lines().any(|line| line.split_whitespace().eq(["a", "unicorn", "0", "0", "-", "-"]))
    );
    assert!(text.ends_with("2 frames skipped:\n  2 on /camera/image_raw: bad"), "{text}");
}

#[test]
fn links_lead_to_anchors_that_are_there() {
    let page = page(&run(options(&prompt_set(1, &["a cat", "a remote"]))));
    let anchors: BTreeSet<_> =
        page.split(" id=\"").skip(1).map(|rest| &rest[..rest.find('"').unwrap()]).collect();
    let links: Vec<_> =
        page.split("href=\"#").skip(1).map(|rest| &rest[..rest.find('"').unwrap()]).collect();
    assert!(links.len() > 10);
    for link in links {
        assert!(anchors.contains(link), "#{link} leads nowhere");
    }
}

#[test]
fn the_same_frames_make_the_same_page_but_for_its_timings() {
    let without_timings = |wall: u64, slower: u64| {
        let options = options(&prompt_set(1, &["a cat", "a remote"]));
        let prompts = Arc::clone(&options.prompts);
        let mut report = ReportBuilder::new(options);
        for number in 0..50 {
            let mut frame = frame(&prompts, number, &[(number as usize % 2, 0.3)]);
            frame.timings.add(Stage::Decode, Duration::from_millis(slower));
            report.add_frame(&frame, || Some(vec![0xff, 0xd8, number as u8]));
        }
        report.set_wall_time(Duration::from_secs(wall));
        let page = page(&report);
        let timings = between(&page, "<section id=\"timings\"", "</section>").to_owned();
        (page.replace(&timings, ""), timings)
    };
    let (first, first_timings) = without_timings(10, 1);
    let (second, second_timings) = without_timings(20, 5);
    assert_ne!(first_timings, second_timings);
    assert_eq!(first, second);
}

#[test]
fn pictures_are_few_and_drawn_only_where_they_are_kept() {
    let prompts = prompt_set(1, &["a cat", "a remote"]);
    let mut report = ReportBuilder::new(options(&prompts));
    let mut drawn = 0;
    for number in 0..5000 {
        let found: &[_] = if number == 3333 { &[(1, 0.9)] } else { &[] };
        report.add_frame(&frame(&prompts, number, found), || {
            drawn += 1;
            Some(JPEG.to_vec())
        });
    }
    let page = page(&report);
    let pictures = count_of(&page, "img");
    assert!((5..=9).contains(&pictures), "{pictures}");
    assert!(drawn < 100, "{drawn} were drawn");
    assert!(page.contains("id=\"picture-3333\""));
    assert!(page.contains("best frame of <bdi>a remote</bdi>"));
    assert!(page.contains("<a href=\"#picture-3333\">0.900</a>"));
}

#[test]
fn the_scene_from_above_stands_below_its_picture_and_is_drawn_where_that_is_kept() {
    let prompts = prompt_set(1, &["a cat"]);
    let mut report = ReportBuilder::new(options(&prompts));
    let mut drawn = 0;
    for number in 0..1000 {
        let from_above = || {
            drawn += 1;
            Some(FromAbove { width: 40, height: 20, jpeg: JPEG.to_vec() })
        };
        let frame = frame(&prompts, number, &[]);
        report.add_frame_from_above(&frame, || Some(JPEG.to_vec()), from_above);
    }
    let page = page(&report);
    let maps = page.matches("alt=\"The scene from above").count();
    assert_eq!(2 * maps, count_of(&page, "img"), "one for each picture");
    assert!((4..=9).contains(&maps) && drawn < 100, "{maps} of {drawn}");
    assert!(page.contains("width=\"40\" height=\"20\""));
}

#[test]
fn an_overlay_that_cannot_be_drawn_is_told() {
    let prompts = prompt_set(1, &["a cat"]);
    let mut report = ReportBuilder::new(options(&prompts));
    report.add_frame(&frame(&prompts, 0, &[(0, 0.5)]), || None);
    let page = page(&report);
    assert_eq!(count_of(&page, "img"), 0);
    assert!(page.contains("1 picture could not be drawn."));
}

#[test]
fn runs_with_no_frame_no_prompt_or_no_detection_have_a_page() {
    let none = prompt_set(1, &[]);
    let empty = page(&ReportBuilder::new(options(&none)));
    assert!(empty.contains("No prompt was in use."));
    let one = prompt_set(1, &["a cat"]);
    let no_frame = page(&ReportBuilder::new(options(&one)));
    assert!(no_frame.contains("No frame went through the model."));
    assert!(!no_frame.contains("id=\"pictures\""));
    let mut report = ReportBuilder::new(options(&one));
    report.add_frame(&frame(&one, 0, &[]), || Some(JPEG.to_vec()));
    let nothing = page(&report);
    assert!(nothing.contains("Nothing reached its threshold."));
    assert!(nothing.contains("No frame was skipped"));
    for page in [empty, no_frame, nothing] {
        tags(&page);
    }
}

#[test]
fn many_prompts_are_folded_away_where_they_found_nothing() {
    let names: Vec<String> = (0..1203).map(|number| format!("thing {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let prompts = prompt_set(1, &names);
    let mut report = ReportBuilder::new(options(&prompts));
    report.add_frame(&frame(&prompts, 0, &[(7, 0.4)]), || None);
    let page = page(&report);
    assert!(page.contains("<summary>1,202 prompts found nothing</summary>"));
    assert!(page.contains("<bdi>thing 1202</bdi>"));
    let text = report.summary().to_string();
    assert!(text.contains("1,202 prompts found nothing: thing 0, thing 1,"), "{text}");
    assert!(text.contains("and 1182 more"), "{text}");
}

#[test]
fn a_prompt_set_that_changes_keeps_what_was_found_by_name() {
    let (first, second) = (prompt_set(1, &["a cat", "a dog"]), prompt_set(2, &["a mug", "a cat"]));
    let mut report = ReportBuilder::new(options(&first));
    report.add_frame(&frame(&first, 0, &[(0, 0.5)]), || None);
    report.add_frame(&frame(&second, 1, &[(1, 0.6), (0, 0.2)]), || None);
    // A detection of a prompt that its set does not have is not counted for another one.
    report.add_frame(&frame(&second, 2, &[(9, 0.9)]), || None);
    let summary = report.summary();
    let counts: Vec<_> =
        summary.prompts.iter().map(|row| (row.prompt.as_str(), row.detections)).collect();
    assert_eq!(counts, [("a cat", 2), ("a dog", 0), ("a mug", 1)]);
    assert_eq!((summary.detections, summary.prompt_set_versions), (3, vec![1, 2]));
}

#[test]
fn reasons_that_differ_every_time_do_not_pile_up() {
    let mut report = ReportBuilder::new(options(&prompt_set(1, &["a cat"])));
    for number in 0..10_000 {
        report.add_skipped(TOPIC, Some(Stamp(number)), &format!("bad byte at {number}"));
    }
    let summary = report.summary();
    assert_eq!(summary.skipped, 10_000);
    assert_eq!(summary.skips.iter().map(|skip| skip.frames).sum::<u64>(), 10_000);
    assert!(summary.skips.len() <= 201, "{}", summary.skips.len());
    assert!(summary.skips.iter().any(|skip| skip.reason == "other reasons"));

    for number in 0..1000 {
        let source = format!("chunk {number}");
        report.add_loss(LossSummary { source, reason: "bad".to_owned(), messages: Some(2) });
    }
    let losses = report.summary().losses;
    assert!(losses.len() <= 201, "{}", losses.len());
    assert_eq!(losses.iter().filter_map(|loss| loss.messages).sum::<u64>(), 2000);
}

#[test]
fn a_report_is_replaced_whole_and_refused_where_it_cannot_be_written() {
    let report = run(options(&prompt_set(1, &["a cat", "a remote"])));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    fs::write(&path, "old").unwrap();
    let mode_of = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    let usual_mode = mode_of(&path);
    report.write(&path).unwrap();
    assert!(fs::read_to_string(&path).unwrap().ends_with("</html>\n"));
    assert_eq!(mode_of(&path), usual_mode, "it can be read by whom any new file can be read");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");

    let nowhere = folder.path().join("missing/report.html");
    let error = report.write(&nowhere).unwrap_err().to_string();
    assert!(error.contains("missing/report.html"), "{error}");
    let a_folder = folder.path().join("folder");
    fs::create_dir(&a_folder).unwrap();
    assert!(report.write(&a_folder).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
