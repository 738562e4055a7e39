//! Tracks over synthetic scenes with known truth, counted by CLEAR MOT.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::types::{PixelBox, Stamp};

const SEC: i64 = 1_000_000_000;

fn at(x: f32, y: f32, width: f32, height: f32) -> PixelBox {
    PixelBox::from_corners([x, y, x + width, y + height])
}

fn seen(prompt: &str, score: f32, box_in_source_px: PixelBox) -> Observation<'_> {
    Observation { prompt, score, threshold: 0.3, box_in_source_px }
}

fn stamp(secs: f64) -> Stamp {
    Stamp((secs * 1e9).round() as i64)
}

fn key_of(update: &Update, index: usize) -> TrackKey {
    match update.outcomes[index] {
        Outcome::Track { key, .. } => key,
        other => panic!("observation {index} has no track: {other:?}"),
    }
}

/// Numbers in `[0, 1)` by xorshift: the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }
}

/// One true object of a frame.
struct Truth {
    id: u64,
    prompt: &'static str,
    pixel_box: PixelBox,
    /// `None` where the detector does not see it.
    score: Option<f32>,
}

/// Runs a tracker over frames `(seconds, truths)` and counts its confirmed tracks. `noise` is the
/// largest error of an edge as a share of the side.
fn run(
    frames: impl Iterator<Item = (f64, Vec<Truth>)>,
    settings: TrackerSettings,
    noise: f32,
) -> (Tracker, MotScores) {
    let mut tracker = Tracker::new(settings);
    let mut clear_mot = ClearMot::new(0.5);
    let mut random = Random(42);
    for (secs, truths) in frames {
        let detected: Vec<_> = truths
            .iter()
            .filter_map(|truth| {
                let [x0, y0, x1, y1] = truth.pixel_box.corners();
                let mut off =
                    |edge: f32, side: f32| edge + (2.0 * random.next() - 1.0) * noise * side;
                let (width, height) = (x1 - x0, y1 - y0);
                let corners = [off(x0, width), off(y0, height), off(x1, width), off(y1, height)];
                Some(seen(truth.prompt, truth.score?, PixelBox::from_corners(corners)))
            })
            .collect();
        tracker.update(stamp(secs), &detected);
        let of = |id, class, pixel_box| MotObject { id, class, pixel_box };
        let truths: Vec<_> =
            truths.iter().map(|truth| of(truth.id, truth.prompt, truth.pixel_box)).collect();
        let tracked: Vec<_> = tracker
            .tracks()
            .iter()
            .filter(|track| track.state() == TrackState::Confirmed)
            .map(|track| of(track.id().unwrap().into(), track.prompt(), track.box_in_source_px()))
            .collect();
        clear_mot.add_frame(&truths, &tracked);
    }
    (tracker, clear_mot.scores())
}

#[test]
fn a_track_is_tentative_then_confirmed_then_lost_then_gone() {
    let mut tracker = Tracker::new(TrackerSettings::default());
    let mug = [seen("mug", 0.8, at(100.0, 100.0, 50.0, 60.0))];
    let first = tracker.update(stamp(1.0), &mug);
    let key = key_of(&first, 0);
    assert_eq!(first.outcomes, [Outcome::Track { key, id: None, state: TrackState::Tentative }]);
    let second = tracker.update(stamp(1.1), &mug);
    let confirmed = Outcome::Track { key, id: Some(1), state: TrackState::Confirmed };
    assert_eq!(second.outcomes, [confirmed]);
    tracker.update(stamp(1.2), &[]);
    assert_eq!(tracker.track(key).unwrap().state(), TrackState::Lost);
    // Seen again within two seconds: the same object.
    assert_eq!(key_of(&tracker.update(stamp(3.0), &mug), 0), key);
    let track = tracker.track(key).unwrap();
    assert_eq!((track.hits(), track.prompt(), track.score()), (3, "mug", 0.8));
    assert_eq!((track.first_seen(), track.last_seen()), (stamp(1.0), stamp(3.0)));
    tracker.update(stamp(3.1), &[]);
    // And not after two seconds.
    let later = tracker.update(stamp(5.1), &mug);
    assert!(key_of(&later, 0) > key && tracker.track(key).is_none());
    let counts = tracker.counts();
    assert_eq!((counts.started, counts.confirmed, counts.expired), (2, 1, 1));
    // A tentative one does not outlive a frame without it.
    tracker.update(stamp(5.2), &[]);
    assert!(tracker.tracks().is_empty());
    assert_eq!(tracker.counts().dropped, 1);
}

#[test]
fn weak_observations_prolong_tracks_and_start_none() {
    let mut tracker = Tracker::new(TrackerSettings::default());
    let place = at(100.0, 100.0, 50.0, 60.0);
    let weak = tracker.update(stamp(0.0), &[seen("mug", 0.2, place)]);
    assert_eq!(weak.outcomes, [Outcome::Unused]);
    let key = key_of(&tracker.update(stamp(0.1), &[seen("mug", 0.8, place)]), 0);
    tracker.update(stamp(0.2), &[seen("mug", 0.8, place)]);
    let weak = tracker.update(stamp(0.3), &[seen("mug", 0.2, place)]);
    let confirmed = Outcome::Track { key, id: Some(1), state: TrackState::Confirmed };
    assert_eq!(weak.outcomes, [confirmed]);
    // Half of the threshold is the end.
    let weaker = tracker.update(stamp(0.4), &[seen("mug", 0.14, place)]);
    assert_eq!(weaker.outcomes, [Outcome::Unused]);
    assert_eq!(tracker.track(key).unwrap().state(), TrackState::Lost);
}

#[test]
fn two_objects_that_cross_keep_their_ids() {
    // Towards each other at 120 px/s, in rows that overlap by half.
    let frames = (0..120).map(|frame| {
        let secs = f64::from(frame) / 30.0;
        let moved = 120.0 * secs as f32;
        let truth = |id, pixel_box| Truth { id, prompt: "person", pixel_box, score: Some(0.9) };
        let truths = vec![
            truth(1, at(50.0 + moved, 100.0, 40.0, 80.0)),
            truth(2, at(530.0 - moved, 140.0, 40.0, 80.0)),
        ];
        (secs, truths)
    });
    let (tracker, scores) = run(frames, TrackerSettings::default(), 0.03);
    assert_eq!((scores.id_switches, scores.false_positives), (0, 0));
    // Both are tentative in their first frame.
    assert_eq!(scores.misses, 2);
    assert_eq!(tracker.tracks().len(), 2);
    let [one, other] = [0, 1].map(|index| tracker.tracks()[index].speed_px_per_s());
    assert!((one[0] - 120.0).abs() < 25.0 && (other[0] + 120.0).abs() < 25.0, "{one:?} {other:?}");
}

#[test]
fn an_object_behind_another_comes_out_with_its_id() {
    // Unseen for 0.8 s while it passes behind something, at frame intervals that vary.
    let mut random = Random(7);
    let mut secs = 10.0;
    let frames = (0..90).map(move |_| {
        secs += 0.02 + 0.06 * f64::from(random.next());
        let x = 40.0 + 90.0 * (secs as f32 - 10.0);
        let hidden = (170.0..242.0).contains(&x);
        let score = if hidden { None } else { Some(0.9) };
        (secs, vec![Truth { id: 1, prompt: "cart", pixel_box: at(x, 200.0, 70.0, 50.0), score }])
    });
    let (tracker, scores) = run(frames, TrackerSettings::default(), 0.02);
    assert_eq!((scores.id_switches, scores.fragmentations), (0, 1));
    assert_eq!(tracker.counts().started, 1);
}

#[test]
fn missed_and_weak_detections_at_random_break_no_track() {
    let mut random = Random(99);
    let frames = (0..300).map(move |frame| {
        let secs = f64::from(frame) / 15.0;
        let truths = (0..12)
            .map(|id| {
                let phase = f64::from(id);
                let x = 60.0 + 90.0 * (id % 6) as f32 + 30.0 * (secs + phase).sin() as f32;
                let y = 60.0 + 200.0 * (id / 6) as f32 + 20.0 * (secs * 0.7 + phase).cos() as f32;
                // A tenth is missed, a fifth is weak.
                let score = match random.next() {
                    share if share < 0.1 => None,
                    share if share < 0.3 => Some(0.2),
                    _ => Some(0.7),
                };
                Truth { id: id as u64, prompt: "screw", pixel_box: at(x, y, 50.0, 60.0), score }
            })
            .collect();
        (secs, truths)
    });
    let (tracker, scores) = run(frames, TrackerSettings::default(), 0.05);
    assert_eq!((scores.id_switches, tracker.counts().expired), (0, 0));
    // What is missed is missed in the count too: a lost track is no answer.
    let mota = scores.mota().unwrap();
    assert!(mota > 0.85, "{mota} {scores:?}");
    assert_eq!(scores.false_positives, 0);
}

#[test]
fn two_hundred_objects_keep_their_ids() {
    let frames = (0..60).map(|frame| {
        let secs = f64::from(frame) / 20.0;
        let truths = (0..200_u64)
            .map(|id| {
                let (column, row) = ((id % 20) as f32, (id / 20) as f32);
                let speed = 10.0 * ((id % 7) as f32 - 3.0);
                let pixel_box = at(60.0 * column + speed * secs as f32, 60.0 * row, 45.0, 45.0);
                Truth { id, prompt: "bolt", pixel_box, score: Some(0.6) }
            })
            .collect();
        (secs, truths)
    });
    let (tracker, scores) = run(frames, TrackerSettings::default(), 0.04);
    assert_eq!((tracker.tracks().len(), tracker.counts().started), (200, 200));
    assert_eq!((scores.id_switches, scores.misses), (0, 200));
}

#[test]
fn prompts_are_kept_apart_and_a_track_outlives_a_change_of_prompt() {
    let mut tracker = Tracker::new(TrackerSettings::default());
    let place = at(100.0, 100.0, 50.0, 60.0);
    let both = [seen("mug", 0.8, place), seen("red thing", 0.6, place)];
    let first = tracker.update(stamp(0.0), &both);
    let (mug, red) = (key_of(&first, 0), key_of(&first, 1));
    assert_ne!(mug, red);
    for frame in 1..5 {
        // In the other order: what counts is the prompt.
        let update = tracker.update(stamp(f64::from(frame)), &[both[1], both[0]]);
        assert_eq!((key_of(&update, 0), key_of(&update, 1)), (red, mug));
    }
    // "cup" wins the object for two frames: it is the same object, and still a mug.
    for frame in 5..7 {
        let update = tracker.update(stamp(f64::from(frame)), &[seen("cup", 0.5, place), both[1]]);
        assert_eq!((key_of(&update, 0), key_of(&update, 1)), (mug, red));
        assert_eq!(tracker.track(mug).unwrap().prompt(), "mug");
    }
    // After some more it is a cup.
    for frame in 7..20 {
        tracker.update(stamp(f64::from(frame)), &[seen("cup", 0.5, place), both[1]]);
    }
    assert_eq!(tracker.track(mug).unwrap().prompt(), "cup");

    let apart = TrackerSettings { other_prompt_iou: 2.0, ..Default::default() };
    let mut tracker = Tracker::new(apart);
    for secs in [0.0, 0.1] {
        tracker.update(stamp(secs), &both[..1]);
    }
    let update = tracker.update(stamp(0.2), &[seen("cup", 0.5, place)]);
    assert_eq!(key_of(&update, 0), TrackKey(2));
}

#[test]
fn a_clock_that_is_set_back_ends_all_tracks_and_a_late_frame_none() {
    let mut tracker = Tracker::new(TrackerSettings::default());
    let mug = [seen("mug", 0.8, at(100.0, 100.0, 50.0, 60.0))];
    let key = key_of(&tracker.update(stamp(100.0), &mug), 0);
    tracker.update(stamp(100.1), &mug);

    let late = tracker.update(stamp(99.8), &mug);
    assert_eq!(late, Update { late_secs: Some(0.3), ..Default::default() });
    assert_eq!(tracker.track(key).unwrap().hits(), 2);

    let again = tracker.update(stamp(5.0), &mug);
    assert_eq!(again.set_back_secs, Some(95.1));
    assert_eq!(key_of(&again, 0), TrackKey(key.0 + 1));
    assert_eq!((tracker.counts().resets, tracker.counts().late_frames), (1, 1));
    // A frame of the same stamp is one more look.
    let same = tracker.update(stamp(5.0), &mug);
    assert_eq!(key_of(&same, 0), TrackKey(key.0 + 1));
    // Ids go on: nothing is mistaken for what it was before.
    assert_eq!(tracker.tracks()[0].id(), Some(2));
    // The ends of time are no trouble.
    for end in [i64::MAX, i64::MIN, 0] {
        tracker.update(Stamp(end), &mug);
    }
    assert_eq!(tracker.counts().resets, 2);
}

#[test]
fn what_flickers_uses_up_no_ids() {
    let mut tracker = Tracker::new(TrackerSettings::default());
    let mug = seen("mug", 0.9, at(0.0, 0.0, 50.0, 50.0));
    for frame in 0..300_u16 {
        // Five glints, each somewhere else in the next frame.
        let y = 200.0 + 100.0 * f32::from(frame % 2);
        let glints = (0..5).map(|n| seen("glint", 0.4, at(100.0 * n as f32, y, 50.0, 50.0)));
        let all: Vec<_> = [mug].into_iter().chain(glints).collect();
        tracker.update(stamp(f64::from(frame) / 10.0), &all);
    }
    assert_eq!((tracker.counts().started, tracker.counts().confirmed), (1501, 1));
    let both = [mug, seen("bowl", 0.8, at(100.0, 0.0, 50.0, 50.0))];
    tracker.update(stamp(30.0), &both);
    tracker.update(stamp(30.1), &both);
    let ids: Vec<_> = tracker.tracks().iter().map(Track::id).collect();
    assert_eq!(ids, [Some(1), Some(2)]);
}

#[test]
fn memory_is_bounded_and_what_makes_room_is_counted() {
    let settings = TrackerSettings {
        most_tracks: 3,
        most_observations: 5,
        confirm_hits: 1,
        ..Default::default()
    };
    let mut tracker = Tracker::new(settings);
    let row = |y: f32| (0..3).map(move |n| at(100.0 * n as f32, y, 50.0, 50.0));
    let all = |y: f32| row(y).map(|place| seen("mug", 0.8, place)).collect::<Vec<_>>();
    tracker.update(stamp(0.0), &all(0.0));
    // Two are seen again, one is lost, and four new ones want its room.
    let mut next = all(0.0)[1..].to_vec();
    next.extend(all(300.0));
    next.push(seen("mug", 0.9, at(0.0, 500.0, 50.0, 50.0)));
    let update = tracker.update(stamp(0.1), &next);
    assert_eq!(tracker.tracks().len(), 3);
    // The weakest of six is not looked at: of equal ones the last.
    assert_eq!(update.outcomes[4], Outcome::Skipped(ObservationProblem::TooMany));
    assert_eq!(key_of(&update, 5), TrackKey(4));
    assert_eq!((update.outcomes[2], update.outcomes[3]), (Outcome::NoRoom, Outcome::NoRoom));
    let counts = tracker.counts();
    assert_eq!((counts.evicted, counts.no_room, counts.skipped), (1, 2, 1));
}

#[test]
fn what_is_no_box_is_skipped_with_its_reason() {
    let mut tracker = Tracker::new(TrackerSettings::default());
    let good = at(10.0, 10.0, 20.0, 20.0);
    let bad = [
        seen("mug", 0.8, at(f32::NAN, 0.0, 5.0, 5.0)),
        seen("mug", 0.8, at(0.0, 0.0, f32::INFINITY, 5.0)),
        seen("mug", 0.8, at(2e6, 0.0, 5.0, 5.0)),
        seen("mug", 0.8, at(5.0, 5.0, 0.0, 5.0)),
        seen("mug", 0.8, at(5.0, 5.0, -3.0, 5.0)),
        seen("mug", f32::NAN, good),
        seen("mug", 1.5, good),
        Observation { threshold: f32::NAN, ..seen("mug", 0.8, good) },
    ];
    let update = tracker.update(stamp(0.0), &bad);
    use ObservationProblem::{Corner, NoArea, Score};
    let problems = [Corner, Corner, Corner, NoArea, NoArea, Score, Score, Score];
    assert_eq!(update.outcomes, problems.map(Outcome::Skipped));
    assert_eq!(tracker.counts().skipped, 8);
    assert!(tracker.tracks().is_empty());
}

fn any_observation() -> impl Strategy<Value = (usize, f32, [f32; 4])> {
    let edge = prop_oneof![8 => -50.0..700.0_f32, 1 => any::<f32>()];
    let score = prop_oneof![8 => 0.0..1.0_f32, 1 => any::<f32>()];
    (0..3_usize, score, prop::array::uniform4(edge))
}

proptest! {
    #[test]
    fn tracks_are_told_apart_for_good_and_the_same_each_time(
        frames in prop::collection::vec(
            (
                prop_oneof![20 => 0..SEC / 5, 1 => -3 * SEC..3 * SEC, 1 => any::<i64>()],
                prop::collection::vec(any_observation(), 0..12),
            ),
            1..25,
        ),
    ) {
        let settings = TrackerSettings { most_tracks: 8, most_observations: 10, ..Default::default() };
        let (mut one, mut other) = (Tracker::new(settings), Tracker::new(settings));
        let names = ["mug", "cup", "bowl"];
        let mut now = 0_i64;
        let mut ended = BTreeSet::new();
        let mut alive = BTreeMap::new();
        for (step, observations) in frames {
            now = now.saturating_add(step);
            let observations: Vec<_> = observations
                .iter()
                .map(|(name, score, corners)| {
                    // Corners in order, so that most boxes are boxes.
                    let [a, b, c, d] = *corners;
                    let corners = [a.min(c), b.min(d), a.max(c), b.max(d)];
                    seen(names[*name], *score, PixelBox::from_corners(corners))
                })
                .collect();
            let update = one.update(Stamp(now), &observations);
            prop_assert_eq!(&update, &other.update(Stamp(now), &observations));
            prop_assert_eq!(one.tracks(), other.tracks());
            prop_assert_eq!(one.counts(), other.counts());

            let mut used = BTreeSet::new();
            for outcome in &update.outcomes {
                if let Outcome::Track { key, id, state } = outcome {
                    prop_assert!(used.insert(*key), "{key} stands twice in a frame");
                    prop_assert_eq!(one.track(*key).unwrap().id(), *id);
                    prop_assert_eq!(id.is_some(), *state == TrackState::Confirmed);
                }
            }
            prop_assert!(one.tracks().len() <= settings.most_tracks);
            let now_alive: BTreeMap<_, _> =
                one.tracks().iter().map(|track| (track.key(), track.first_seen())).collect();
            ended.extend(alive.keys().filter(|key| !now_alive.contains_key(key)).copied());
            prop_assert!(now_alive.keys().all(|key| !ended.contains(key)), "a track came back");
            let ids: Vec<_> = one.tracks().iter().filter_map(Track::id).collect();
            prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
            prop_assert!(ids.iter().all(|id| (1..=one.counts().confirmed).contains(&(*id).into())));
            for track in one.tracks() {
                let finite = track.box_in_source_px().corners().iter().all(|edge| edge.is_finite());
                prop_assert!(finite && track.speed_px_per_s().iter().all(|speed| speed.is_finite()));
            }
            alive = now_alive;
        }
    }
}
