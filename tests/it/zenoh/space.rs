//! What places in space need, whole and broken, over zenoh.

use serde_json::json;

use super::{Node, next};
use crate::cli::picture;

/// A depth picture of a wall, as PNG.
fn wall(width: u32, height: u32, millimetres: u16) -> Vec<u8> {
    let pixels = image::ImageBuffer::from_pixel(width, height, image::Luma([millimetres]));
    let mut png = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

fn stamped(stamp_ns: i64) -> Vec<u8> {
    json!({ "stamp_ns": stamp_ns, "frame_id": "front_optical" }).to_string().into_bytes()
}

fn calibration(focal_px: f64, width: u32, height: u32) -> Vec<u8> {
    let (cx, cy) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
    let k = [focal_px, 0.0, cx, 0.0, focal_px, cy, 0.0, 0.0, 1.0];
    let info = json!({ "stamp_ns": 1, "frame_id": "front_optical", "width": width,
        "height": height, "distortion_model": "plumb_bob", "d": [], "k": k });
    info.to_string().into_bytes()
}

#[test]
fn every_reason_for_having_no_place_is_told_until_there_is_one() {
    let node = Node::start("space", &["-p", "cat", "--param", "locate=always", "--threshold", "0"]);
    let path = picture("square.png");
    let (width, height) = image::image_dimensions(&path).unwrap();
    let image = std::fs::read(path).unwrap();
    let places = node.subscribe("detections_3d/front");
    let mut stamp_ns = 0;
    // Everything of a frame has one stamp; the image comes last.
    let mut look = |depth: Option<&[u8]>| {
        stamp_ns += 1_000_000_000;
        if let Some(depth) = depth {
            let key = node.key("camera/front/depth");
            node.put(&key, "image/png", depth, Some(&stamped(stamp_ns)));
        }
        let key = node.key("camera/front/image");
        node.put(&key, "image/png", &image, Some(&stamped(stamp_ns)));
        let record = next(&places);
        assert_eq!(record["stamp_ns"], stamp_ns);
        let detections = record["detections"].as_array().unwrap().clone();
        assert!(!detections.is_empty(), "{record:#}");
        detections
    };
    let info = node.key("camera/front/camera_info");
    let good_depth = wall(width, height, 1500);

    let found = look(None);
    assert_eq!(found[0]["no_place"]["kind"], "no_depth");
    let status = node.status("without depth", |status| {
        status["why"].to_string().contains("no depth picture has come")
    });
    assert!(status["why"].to_string().contains("owlet/space/camera/front/depth"), "{status:#}");

    assert_eq!(look(Some(&good_depth))[0]["no_place"]["kind"], "no_calibration");
    node.put(&info, "application/json", b"{\"width\": 1}", None);
    node.put(&info, "application/json", &calibration(0.0, width, height), None);
    let found = look(Some(&good_depth));
    assert_eq!(found[0]["no_place"]["kind"], "bad_calibration");
    let reason = found[0]["no_place"]["reason"].as_str().unwrap();
    assert!(reason.contains("not calibrated"), "{reason}");
    node.put(&info, "application/json", &calibration(300.0, width, height), None);
    assert_eq!(look(Some(b"\x89PNG but cut"))[0]["no_place"]["kind"], "bad_depth");
    assert_eq!(look(Some(&wall(4, 400, 1500)))[0]["no_place"]["kind"], "bad_depth");
    assert_eq!(look(Some(&wall(width, height, 0)))[0]["no_place"]["kind"], "no_depth_in_box");

    let found = look(Some(&good_depth));
    let place = &found[0]["place"];
    assert!((place["surface_m"][2].as_f64().unwrap() - 1.5).abs() < 1e-3, "{found:?}");

    // Transforms that are none do no harm, and are told.
    node.put(&node.key("tf"), "application/json", b"{}", None);
    node.delete("tf_static");
    // A frame is counted after it was published.
    let status = node.status("with refused transforms", |status| {
        status["transforms"]["refused"]["count"] == 2
            && status["cameras"]["front"]["space"]["frames"] == 7
    });
    let space = &status["cameras"]["front"]["space"];
    assert_eq!(space["bad"]["count"], 2, "{space:#}");
    assert_eq!(space["frames_without"]["bad_depth"], 2, "{space:#}");
    assert_eq!(space["frames"], 7, "{space:#}");
}

#[test]
fn a_camera_without_depth_has_no_places_and_nobody_complains() {
    let node = Node::start("flat", &["-p", "cat", "--threshold", "0"]);
    let found = node.subscribe("detections/front");
    let image = std::fs::read(picture("square.png")).unwrap();
    node.send("front", "image/png", &image, 5);
    assert!(next(&found)["detections"][0]["no_place"].is_null());
    let status = node.status("after a frame", |status| status["cameras"]["front"]["answered"] == 1);
    assert!(status["cameras"]["front"]["space"].is_null(), "{status:#}");
    assert_eq!(status["why"], json!([]));
}
