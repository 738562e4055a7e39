//! Ids over time against the simulator's truth, with the camera in motion.

use std::path::Path;

use owlet::track::{ClearMot, MotObject, MotScores};
use owlet::transport::rosbag2::RawMessage;
use owlet::types::{PixelBox, Stamp};
use owlet::wire::Message;
use owlet::wire::vision_msgs::{Detection2D, Detection2DArray};
use tempfile::TempDir;

use super::places::is_named;
use super::{on, replay_for, repository};
use crate::cli::words;
use crate::recordings::read_whole;

fn pixels(detection: &Detection2D<'_>) -> PixelBox {
    let bbox = detection.bbox;
    let (x, y) = (0.5 * bbox.size_x, 0.5 * bbox.size_y);
    let corners = [bbox.center_x - x, bbox.center_y - y, bbox.center_x + x, bbox.center_y + y];
    PixelBox::from_corners(corners.map(|corner| corner as f32))
}

/// How well the ids of detections stay with true objects, frame by frame; both are
/// `Detection2DArray` as CDR.
pub(crate) fn scores<'a>(
    truths: impl Iterator<Item = &'a [u8]>,
    found: impl Iterator<Item = &'a [u8]>,
) -> MotScores {
    let mut clear_mot = ClearMot::new(0.5);
    for (truths, found) in truths.zip(found) {
        let truths = Detection2DArray::decode(truths).unwrap();
        let found = Detection2DArray::decode(found).unwrap();
        assert_eq!(Stamp::from(truths.header.stamp), Stamp::from(found.header.stamp));
        let true_objects: Vec<_> = truths
            .detections
            .iter()
            .map(|truth| MotObject {
                id: truth.id.parse().unwrap(),
                class: truth.results[0].class_id,
                pixel_box: pixels(truth),
            })
            .collect();
        let tracked: Vec<_> = found
            .detections
            .iter()
            .filter(|detection| !detection.id.is_empty())
            .map(|detection| {
                let named = detection.results[0].class_id;
                let class = true_objects.iter().map(|truth| truth.class);
                MotObject {
                    id: detection.id.parse().unwrap(),
                    class: class.into_iter().find(|class| is_named(named, class)).unwrap_or(named),
                    pixel_box: pixels(detection),
                }
            })
            .collect();
        clear_mot.add_frame(&true_objects, &tracked);
    }
    clear_mot.scores()
}

/// The sample recording with its truth, and what a replay finds in it.
pub(crate) fn tabletop_replayed(prompts: &Path) -> [Vec<RawMessage>; 2] {
    let bag = repository("samples/tabletop");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    replay_for(&bag, prompts, &out, words!["--param", "nms_iou=0.6"]);
    [read_whole(&bag), read_whole(&out.join("detections.mcap"))]
}

#[test]
fn ids_stay_with_their_things_while_the_camera_moves() {
    let [source, results] = tabletop_replayed(&repository("samples/prompts.yaml"));
    let truths = on(&source, "/ground_truth/detections");
    let found = on(&results, "/owlet/detections");
    assert_eq!((truths.len(), found.len()), (60, 60));
    let scores = scores(
        truths.iter().map(|message| &message.data[..]),
        found.iter().map(|message| &message.data[..]),
    );
    let mota = scores.mota().unwrap();
    println!(
        "tabletop: MOTA {mota:.3}, MOTP {:.3}; {} true boxes, {} matched, {} missed, {} false, \
         {} id switches, {} fragmentations",
        scores.motp().unwrap(),
        scores.truths,
        scores.matches,
        scores.misses,
        scores.false_positives,
        scores.id_switches,
        scores.fragmentations
    );
    assert!(mota > 0.6, "{scores:?}");
    assert!(scores.id_switches * 20 < scores.matches, "{scores:?}");
}
