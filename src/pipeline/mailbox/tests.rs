use std::thread;
use std::time::Duration;

use image::RgbImage;

use super::*;
use crate::types::{FrameHeader, Stage, Stamp, StampSource};

fn incoming(stamp: i64) -> Incoming {
    let header = FrameHeader { stamp: Stamp(stamp), frame_id: "camera".into() };
    let frame = Frame {
        camera: "/image".into(),
        header,
        stamp_from: StampSource::Camera,
        received: Stamp(stamp),
        image: Arc::new(RgbImage::new(1, 1)),
    };
    Incoming { frame, timings: StageTimings::default() }
}

type TestInbox = Inbox<(), &'static str>;

fn stamps(work: Work<(), &'static str>) -> Vec<i64> {
    match work {
        Work::Batch(batch) => batch.iter().map(|(_, i)| i.frame.header.stamp.0).collect(),
        Work::Command(()) => panic!("a command where frames were expected"),
        Work::Request(request) => panic!("the request {request} where frames were expected"),
        Work::End => Vec::new(),
    }
}

#[test]
fn latest_wins_keeps_one_frame_of_each_camera_and_counts_the_rest() {
    let inbox = TestInbox::new(2, Policy::LatestWins, 8);
    assert_eq!(inbox.post(CameraId(0), incoming(1)), Posted::Stored);
    assert_eq!(inbox.post(CameraId(1), incoming(2)), Posted::Stored);
    assert_eq!(inbox.post(CameraId(0), incoming(3)), Posted::ReplacedOlder);
    assert_eq!(stamps(inbox.take()), [2, 3]);
    assert_eq!(inbox.counts(CameraId(0)), CameraCounts { received: 2, dropped: 1, taken: 1 });
    assert_eq!(inbox.counts(CameraId(1)).dropped, 0);
}

#[test]
fn a_camera_that_floods_does_not_starve_the_others() {
    let inbox = TestInbox::new(2, Policy::LatestWins, 1);
    inbox.post(CameraId(0), incoming(1));
    inbox.post(CameraId(1), incoming(2));
    inbox.post(CameraId(0), incoming(3));
    assert_eq!(stamps(inbox.take()), [2], "camera 1 waited longest");
    inbox.post(CameraId(1), incoming(4));
    assert_eq!(stamps(inbox.take()), [3]);
}

#[test]
fn block_makes_the_same_batches_whatever_the_timing() {
    for pause_posts in [false, true] {
        let inbox = TestInbox::new(2, Policy::Block, 3);
        let poster = Arc::clone(&inbox);
        let thread = thread::spawn(move || {
            // Camera 0 gives far more frames than camera 1.
            for stamp in 0..20 {
                let camera = CameraId(usize::from(stamp % 7 == 6));
                assert_eq!(poster.post(camera, incoming(stamp)), Posted::Stored);
                if pause_posts {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            poster.close();
        });
        let mut batches = Vec::new();
        loop {
            let batch = stamps(inbox.take());
            if batch.is_empty() {
                break;
            }
            batches.push(batch);
            if !pause_posts {
                thread::sleep(Duration::from_millis(1));
            }
        }
        thread.join().unwrap();
        let expected: Vec<Vec<i64>> =
            (0..20).collect::<Vec<_>>().chunks(3).map(Vec::from).collect();
        assert_eq!(batches, expected);
        assert_eq!(inbox.counts(CameraId(0)).dropped, 0);
    }
}

#[test]
fn commands_go_first_and_a_closed_inbox_is_worked_off_then_ends() {
    let inbox = Inbox::<_, ()>::new(1, Policy::LatestWins, 1);
    inbox.post(CameraId(0), incoming(1));
    inbox.command("prompts").unwrap();
    inbox.close();
    assert_eq!(inbox.post(CameraId(0), incoming(2)), Posted::Closed);
    assert_eq!(inbox.command("late"), Err("late"));
    assert!(matches!(inbox.take(), Work::Command("prompts")));
    assert!(matches!(inbox.take(), Work::Batch(batch) if batch.len() == 1));
    assert!(matches!(inbox.take(), Work::End));
}

#[test]
fn cameras_in_step_take_turns() {
    let inbox = TestInbox::new(1, Policy::LatestWins, 1);
    let second = inbox.add_camera();
    let mut taken = Vec::new();
    for round in 0..6 {
        // The second camera always comes right behind the first one.
        inbox.post(CameraId(0), incoming(round));
        inbox.post(second, incoming(100 + round));
        taken.extend(stamps(inbox.take()));
    }
    assert_eq!(taken, [0, 101, 2, 103, 4, 105]);
}

#[test]
fn requests_take_turns_with_frames_and_are_bounded() {
    let inbox = TestInbox::new(1, Policy::LatestWins, 1);
    for _ in 0..MAX_REQUESTS {
        assert!(inbox.request("look").is_ok());
    }
    assert!(matches!(inbox.request("too many"), Err(NotTaken::Full("too many"))));
    inbox.post(CameraId(0), incoming(1));
    assert!(matches!(inbox.take(), Work::Request("look")));
    assert_eq!(stamps(inbox.take()), [1], "requests do not starve a camera");
    assert!(matches!(inbox.take(), Work::Request("look")));
    assert!(matches!(inbox.take(), Work::Request("look")), "no frame waits");
    inbox.close();
    assert!(matches!(inbox.request("late"), Err(NotTaken::Closed("late"))));
    for _ in 3..MAX_REQUESTS {
        assert!(matches!(inbox.take(), Work::Request("look")), "what waits is worked off");
    }
    assert!(matches!(inbox.take(), Work::End));
}

#[test]
fn the_wait_is_timed() {
    let inbox = TestInbox::new(1, Policy::LatestWins, 1);
    inbox.post(CameraId(0), incoming(1));
    thread::sleep(Duration::from_millis(2));
    let Work::Batch(batch) = inbox.take() else { panic!("no frame") };
    assert!(batch[0].1.timings.get(Stage::Wait).unwrap() >= Duration::from_millis(2));
}
