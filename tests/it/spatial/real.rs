//! The whole way on a real RGB-D frame: a recording made of it is replayed, and the places are
//! compared with what is known there.

use std::path::Path;

use owlet::spatial::{
    CalibrationOf, Depth, Extras, LazyDepth, Resolution, Spatial, SpatialSettings,
};
use owlet::types::{
    Calibration, DepthImage, Detection, FrameDetections, FrameHeader, PixelBox, Prompt, PromptSet,
    StageTimings, Stamp,
};
use serde_json::Value;

use crate::peers;

fn numbers<const N: usize>(value: &Value) -> [f64; N] {
    let numbers: Vec<_> =
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn places_in_a_real_bin_are_where_people_drew_the_masks() {
    let Some(data) = std::env::var_os("OWLET_TEST_DATA") else {
        println!("skipped: OWLET_TEST_DATA is not set, so there is no real RGB-D frame");
        return;
    };
    let folder = Path::new(&data).join("arc2017");
    let names = std::fs::read_to_string(folder.join("class_names.txt")).unwrap();
    let names: Vec<_> = names.lines().collect();
    let scratch = tempfile::tempdir().unwrap();
    let printed = peers::run("read_rgbd.py", &[&folder.join("data.npz"), scratch.path()]);
    let about: Value = serde_json::from_str(&printed).unwrap();
    let bytes = std::fs::read(scratch.path().join("depth.f32")).unwrap();
    let metres = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    let picture = DepthImage::new(640, 480, metres.collect()).unwrap();

    let text = std::fs::read_to_string(folder.join("camera_info.json")).unwrap();
    let info: Value = serde_json::from_str(&text).unwrap();
    let frame_id = info["header"]["frame_id"].as_str().unwrap();
    let header = FrameHeader { stamp: Stamp(1), frame_id: frame_id.into() };
    let calibration = Calibration {
        header: header.clone(),
        width: 640,
        height: 480,
        distortion_model: info["distortion_model"].as_str().unwrap().to_owned(),
        d: numbers::<5>(&info["D"]).to_vec(),
        k: numbers(&info["K"]),
        r: numbers(&info["R"]),
        p: numbers(&info["P"]),
        binning: [0; 2],
        region: [0; 4],
    };
    let objects = about["objects"].as_array().unwrap();
    let detections = objects.iter().enumerate().map(|(prompt, object)| Detection {
        prompt,
        score: 0.9,
        objectness: None,
        box_in_source_px: PixelBox::from_corners(
            numbers::<4>(&object["box"]).map(|corner| corner as f32),
        ),
        mask: None,
        finer: Vec::new(),
        explanation: None,
    });
    let name = |object: &Value| names[usize::try_from(object["label"].as_u64().unwrap()).unwrap()];
    let prompts = objects.iter().map(|object| Prompt::from_text(name(object))).collect();
    let found = FrameDetections {
        camera: "bin".into(),
        header: header.clone(),
        width: 640,
        height: 480,
        prompts: PromptSet { version: 1, prompts, default_threshold: 0.1 }.into(),
        detections: detections.collect(),
        weak: Vec::new(),
        has_masks: false,
        track_ids: None,
        timings: StageTimings::default(),
    };

    let mut spatial = Spatial::new(SpatialSettings::default());
    spatial.calibration("bin", CalibrationOf::Colour, calibration).unwrap();
    let depth = LazyDepth::new(Box::new(move || Ok(picture)));
    spatial.depth("bin", Depth { header: header.clone(), picture: depth });
    spatial.image("bin", header.stamp, Stamp(0));
    let Resolution::Ready(Ok(view)) = spatial.resolve("bin", &header, [640, 480], Stamp(0)) else {
        panic!("all is there")
    };
    let located = view.locate(&found, Extras::default());
    assert_eq!(&*located.places.header.frame_id, frame_id);
    for (object, place) in objects.iter().zip(&located.places.places) {
        let place = place.as_ref().unwrap_or_else(|no_place| panic!("{no_place}"));
        let name = name(object);
        println!(
            "{name}: centre {:.3?} m, size {:.3?} m, surface {:.3?} m, {} points",
            place.position_m, place.size_m, place.surface_m, place.points
        );
        // The frame of the header is turned against the picture by 1.4 degrees (`R`): at half a
        // metre that is 12 mm, and in depth a few.
        let median_m = object["median_depth_m"].as_f64().unwrap();
        assert!((place.surface_m[2] - median_m).abs() < 0.03, "{name}: {median_m}");
        assert!((0.42..0.70).contains(&place.position_m[2]), "{name}");
        // Things of a hand's size.
        assert!(place.size_m.iter().all(|side| (0.0..0.40).contains(side)), "{name}");
        assert!(place.size_m[0] > 0.05 && place.points > 300, "{name}");
        let off: f64 =
            (0..3).map(|axis| (place.position_m[axis] - place.surface_m[axis]).powi(2)).sum();
        assert!(off.sqrt() < 0.08, "{name}: {off}");
    }
}
