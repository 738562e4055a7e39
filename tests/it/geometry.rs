//! Positions in space on a real RGB-D frame: a bin of objects with masks that people drew.

use std::path::Path;

use nalgebra::{Point3, Vector3};
use owlet::geometry::{
    CameraFields, CameraModel, DepthNoise, LocateSettings, Located, PictureKind, Region, Scene,
};
use owlet::types::{DepthImage, Mask, PixelBox};
use serde_json::Value;

use super::peers;

fn numbers<const N: usize>(value: &Value) -> [f64; N] {
    let numbers: Vec<_> =
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
    numbers.try_into().unwrap()
}

fn camera(folder: &Path) -> CameraModel {
    let text = std::fs::read_to_string(folder.join("camera_info.json")).unwrap();
    let info: Value = serde_json::from_str(&text).unwrap();
    let side = |name: &str| u32::try_from(info[name].as_u64().unwrap()).unwrap();
    let fields = CameraFields {
        width: side("width"),
        height: side("height"),
        distortion_model: info["distortion_model"].as_str().unwrap(),
        d: &numbers::<5>(&info["D"]),
        k: numbers(&info["K"]),
        r: numbers(&info["R"]),
        p: numbers(&info["P"]),
        ..CameraFields::default()
    };
    fields.model(PictureKind::Rectified).unwrap();
    fields.model(PictureKind::Raw).unwrap()
}

#[test]
fn objects_in_a_real_bin_lie_where_they_can_lie() {
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
    let depth = DepthImage::new(640, 480, metres.collect()).unwrap();
    let bytes = std::fs::read(scratch.path().join("instances.u16")).unwrap();
    let instances: Vec<_> =
        bytes.chunks_exact(2).map(|two| u16::from_le_bytes(two.try_into().unwrap())).collect();
    let camera = camera(&folder);
    camera.check_picture(depth.width(), depth.height()).unwrap();

    let scene = Scene::new(&depth, &camera).unwrap();
    let settings = LocateSettings::default();
    let locate = |region: &Region<'_>| -> (Located, f64) {
        let found = scene.foreground(region, &settings).unwrap();
        (found.locate(None, Some(DepthNoise { at_1_m: 0.003 })), found.depth_share())
    };
    let objects = about["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 8);
    let mut surfaces: Vec<Point3<f64>> = Vec::new();
    let mut boxes_that_agree = 0;
    for (object, number) in objects.iter().zip(1_u16..) {
        let name = names[usize::try_from(object["label"].as_u64().unwrap()).unwrap()];
        let corners = numbers::<4>(&object["box"]).map(|corner| corner as f32);
        let pixels = PixelBox::from_corners(corners);
        let mask = Mask::new(640, 480, instances.iter().map(|of| *of == number).collect());
        let (masked, share) = locate(&Region::Mask(&mask));
        let (boxed, _) = locate(&Region::Box(pixels));
        let size = masked.oriented_box.size_m;
        println!(
            "{name}: surface {:.3?} from the mask, {:.3?} from the box, size {:.3?}, depth {share:.2}",
            masked.surface.coords.as_slice(),
            boxed.surface.coords.as_slice(),
            size.as_slice(),
        );

        // A third of some objects has no depth, and what has is where numpy has it: erosion and
        // the choice of one surface move the median by no more than two centimetres.
        let median = object["median_depth_m"].as_f64().unwrap();
        assert!((masked.surface.z - median).abs() < 0.02, "{name}: {median}");
        assert!((0.5..=1.0).contains(&share), "{name}: {share}");
        // The bin stands 0.4 to 0.7 m in front of the camera and holds things of a hand's size.
        for surface in [masked.surface, boxed.surface] {
            assert!((0.42..0.70).contains(&surface.z), "{name}: {surface}");
            let pixel = camera.pixel_from_point(&surface).unwrap();
            let (x, y) = (pixel.x as f32 + 0.5, pixel.y as f32 + 0.5);
            let inside = pixels.x0 <= x && x < pixels.x1 && pixels.y0 <= y && y < pixels.y1;
            assert!(inside, "{name}: {pixel} is not in {corners:?}");
        }
        assert!(
            (0.06..0.40).contains(&size.x) && size.y <= size.x && size.z < 0.30,
            "{name}: {size}"
        );
        let deviation = masked.covariance.unwrap().diagonal().map(f64::sqrt);
        assert!(deviation < Vector3::repeat(0.003) && deviation.min() > 0.0, "{name}: {deviation}");
        let nearer = (boxed.surface.z - masked.surface.z).abs();
        assert!(nearer < 0.015, "{name}: the box is {nearer} m off in depth");
        boxes_that_agree += usize::from((boxed.surface - masked.surface).norm() < 0.04);
        surfaces.push(masked.surface);
    }
    // Objects lie on each other, and a box shows what lies on top of its own.
    assert!(boxes_that_agree >= 6, "{boxes_that_agree} of 8");
    // They lie in one bin, and no two at one place.
    for (index, one) in surfaces.iter().enumerate() {
        for other in &surfaces[..index] {
            let apart = (one - other).norm();
            assert!((0.03..0.5).contains(&apart), "{apart}");
        }
    }
}
