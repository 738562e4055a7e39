//! One id in every output, also once all of them have been given.

use std::collections::BTreeSet;
use std::sync::Arc;

use owlet::track::{FrameTracker, TrackerSettings};
use owlet::transport::records::FrameRecord;
use owlet::types::{
    Detection, FrameDetections, FrameHeader, InstanceMask, Mask, PixelBox, Prompt, PromptSet,
    StageTimings, Stamp, WeakDetection,
};
use owlet::vision::mask::instances;
use owlet::wire::vision_msgs::detection_2d_array;

const WIDTH: u32 = 808;
const HEIGHT: u32 = 8;
const THINGS: usize = 200;

fn detection(score: f32, x: u32, y: u32) -> Detection {
    let corners = [x, y, x + 4, y + 4].map(|edge| edge as f32);
    Detection {
        prompt: 0,
        score,
        objectness: None,
        box_in_source_px: PixelBox::from_corners(corners),
        mask: None,
        finer: Vec::new(),
        explanation: None,
    }
}

/// A thing that stays, and `things` others in one of two rows.
fn frame(camera: &str, number: u32, things: usize) -> FrameDetections {
    let stays = detection(0.9, WIDTH - 4, 0);
    let row = 4 * (number % 2);
    let others = (0..things as u32).map(|thing| detection(0.5, 4 * thing, row));
    FrameDetections {
        camera: camera.into(),
        header: FrameHeader {
            stamp: Stamp(100_000_000 * i64::from(number)),
            frame_id: "optical".into(),
        },
        width: WIDTH,
        height: HEIGHT,
        prompts: Arc::new(PromptSet {
            version: 1,
            prompts: vec![Prompt::from_text("a bolt")],
            default_threshold: 0.1,
        }),
        detections: [stays].into_iter().chain(others).collect(),
        weak: Vec::new(),
        has_masks: false,
        track_ids: None,
        timings: StageTimings::default(),
    }
}

/// Every detection gets its box as mask; then all outputs have to say the same of each.
fn assert_outputs_agree(mut found: FrameDetections) {
    found.has_masks = true;
    for detection in &mut found.detections {
        let [x0, y0, x1, y1] = detection.box_in_source_px.corners().map(|edge| edge as u32);
        let is_inside = |at: u32| {
            let (x, y) = (at % WIDTH, at / WIDTH);
            (x0..x1).contains(&x) && (y0..y1).contains(&y)
        };
        let mask = Mask::new(WIDTH, HEIGHT, (0..WIDTH * HEIGHT).map(is_inside).collect());
        detection.mask = Some(InstanceMask { mask, predicted_iou: None });
    }
    let picture = instances(&found);
    let message = detection_2d_array(&found);
    let record = FrameRecord::new(&found);
    for (index, detection) in found.detections.iter().enumerate() {
        let [x0, y0, ..] = detection.box_in_source_px.corners().map(|edge| edge as u32);
        let pixel = picture.get_pixel(x0, y0).0[0];
        assert_eq!(message.detections[index].id, pixel.to_string());
        assert_eq!(record.detections[index].id, Some(pixel));
    }
}

#[test]
fn text_pixel_and_json_agree_also_where_ids_start_over() {
    // Confirmed at once and forgotten after a frame without it, so that ids go fast.
    let settings =
        TrackerSettings { confirm_hits: 1, most_lost_secs: 0.15, ..TrackerSettings::default() };
    let mut tracker = FrameTracker::new(settings);
    let mut expected = 1;
    let frames = u32::from(u16::MAX) / THINGS as u32 + 3;
    for number in 0..frames {
        let mut front = frame("front", number, THINGS);
        tracker.assign(&mut front);
        // A camera that finds little has ids of its own.
        let mut back = frame("back", number, 1);
        tracker.assign(&mut back);
        assert_eq!((front.track_id(0), back.track_id(0)), (Some(1), Some(1)));
        assert_eq!(back.track_id(1).map(u32::from), Some(number + 2));
        for index in 1..=THINGS {
            // After 65535 comes 2: the thing with the id 1 is still there.
            expected = if expected == u16::MAX { 2 } else { expected + 1 };
            assert_eq!(front.track_id(index), Some(expected), "frame {number}");
        }
        if number + 4 >= frames {
            let ids: BTreeSet<_> = front.track_ids.iter().flatten().collect();
            assert_eq!(ids.len(), THINGS + 1);
            assert_outputs_agree(front);
            assert_outputs_agree(back);
        }
    }
    assert!(expected < 3 * THINGS as u16, "ids have started over: {expected}");
}

#[test]
fn a_thing_that_scores_too_low_for_a_while_keeps_its_id() {
    let ids = |tells_weak: bool| {
        let mut tracker = FrameTracker::default();
        // Strong for half a second, weak for three, which is longer than a lost thing is kept in
        // mind, and strong again.
        let frames = (0..40).map(|number| {
            let mut found = frame("front", number, 0);
            if (5..35).contains(&number) {
                let weak = found.detections.remove(0);
                found.weak = vec![WeakDetection {
                    prompt: weak.prompt,
                    score: 0.06,
                    box_in_source_px: weak.box_in_source_px,
                }];
                found.weak.retain(|_| tells_weak);
            }
            tracker.assign(&mut found);
            assert!(found.weak.is_empty());
            assert_eq!(found.track_ids.as_ref().unwrap().len(), found.detections.len());
            found.track_ids.unwrap()
        });
        frames.flatten().collect::<Vec<_>>()
    };
    assert_eq!(ids(true), [&[None][..], &[Some(1); 9]].concat());
    let apart = [&[None][..], &[Some(1); 4], &[None], &[Some(2); 4]].concat();
    assert_eq!(ids(false), apart);
}
