//! Which camera a picture is of.

use super::*;

#[test]
fn a_depth_camera_that_claims_giant_pictures_is_refused_before_its_rays_are_made() {
    let Setup { mut spatial, pixels, picture } = setup();
    spatial.calibration("front", CalibrationOf::Colour, calibration("optical", LENSES[0])).unwrap();
    let giant = Calibration { width: 100_000, height: 100_000, ..calibration("ir", LENSES[0]) };
    spatial.calibration("front", CalibrationOf::Depth, giant).unwrap();
    spatial.transforms(&[transform(SHOT, "optical", "ir", &Isometry3::identity())], true).unwrap();
    spatial.depth("front", depth("ir", SHOT, picture));
    let view = ready(spatial.resolve("front", &header("optical"), SIZE, Stamp(MS))).unwrap();
    let missing = view.locate(&found("optical", &[pixels]), Extras::default()).missing.unwrap();
    assert_eq!(missing.kind, NoPlaceKind::BadDepth);
    assert!(missing.reason.contains("found 160 x 120"), "{missing}");
}

#[test]
fn rectified_pictures_are_told_by_their_topic() {
    for (topic, kind) in [
        ("/camera/image_raw", PictureKind::Raw),
        ("/camera/image_rect_color/compressed", PictureKind::Rectified),
        ("/camera/image_rect", PictureKind::Rectified),
        ("/camera/image_corrected", PictureKind::Raw),
        ("/rectangular/image/compressed", PictureKind::Raw),
        ("owlet/owlet/camera/front/image", PictureKind::Raw),
        ("", PictureKind::Raw),
    ] {
        assert_eq!(picture_kind_of(topic), kind, "{topic}");
    }
}
