//! Images in, detections out.

use std::time::{Duration, Instant};

use owlet::vision::decode::decode_file;
use owlet::vision::encode::encode_jpeg;

use super::{
    Client, Node, TOO_LONG, compressed_image, diagnostic, diagnostics_of, raw_image,
    same_detections,
};
use crate::cli::picture;
use crate::zenoh::detected;

const CATS: [&str; 4] = ["-p", "cat", "-p", "a dog"];

#[test]
fn every_form_of_an_image_gives_what_detect_gives_on_the_topics_of_its_camera() {
    let client = Client::new();
    let (raw_found, packed_found) =
        (client.detections("/owlet/raw/detections"), client.detections("/owlet/packed/detections"));
    let more = [&CATS[..], &["--param", "cameras=[raw, packed]"]].concat();
    let _node = Node::start(&client, "owlet", &more);
    let path = picture("landscape.png");
    let image = decode_file(&path).unwrap();
    let expected = detected(&path, &CATS);

    let rgb = image.as_raw().clone();
    let bgr: Vec<u8> = rgb.chunks(3).flat_map(|rgb| [rgb[2], rgb[1], rgb[0]]).collect();
    let row = 3 * image.width() as usize;
    let padded: Vec<u8> =
        rgb.chunks(row).flat_map(|row| row.iter().copied().chain([255; 5])).collect();
    let rgba: Vec<u8> = rgb.chunks(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 9]).collect();
    let camera = client.camera("/raw/image");
    for (stamp, (encoding, data)) in
        (-1_i64..).zip([("rgb8", &rgb), ("bgr8", &bgr), ("rgb8", &padded), ("rgba8", &rgba)])
    {
        camera.publish(&raw_image(&image, encoding, data, stamp)).unwrap();
        let (found, found_stamp, frame_id) = raw_found.next_detections();
        same_detections(&found, &expected);
        assert_eq!((found_stamp, frame_id.as_str()), (stamp, "optical"));
    }

    let png = std::fs::read(&path).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let jpeg_path = folder.path().join("picture.jpg");
    let jpeg = encode_jpeg(&image, 90).unwrap();
    std::fs::write(&jpeg_path, &jpeg).unwrap();
    let from_jpeg = detected(&jpeg_path, &CATS);
    let camera = client.compressed_camera("/packed/image/compressed");
    let stamp = 1_700_000_000_123_456_789;
    for (format, data, expected) in [
        ("png", &png, &expected),
        ("jpeg", &jpeg, &from_jpeg),
        ("rgb8; jpeg compressed bgr8", &jpeg, &from_jpeg),
    ] {
        camera.publish(&compressed_image(format, data, stamp)).unwrap();
        let (found, found_stamp, _) = packed_found.next_detections();
        same_detections(&found, expected);
        assert_eq!(found_stamp, stamp);
    }
    assert!(raw_found.within(Duration::ZERO).is_none(), "each camera has its own topic");
}

#[test]
fn a_camera_may_change_size_and_encoding_in_mid_stream() {
    let client = Client::new();
    let found = client.detections("/cell/left/detections");
    let _node = Node::start(&client, "cell/left", &CATS);
    let camera = client.camera("/cell/image");
    let mut stamp = 0;
    for name in ["square.png", "portrait.png", "landscape.png", "square.png"] {
        let path = picture(name);
        let expected = detected(&path, &CATS);
        let image = decode_file(&path).unwrap();
        let bgr: Vec<u8> =
            image.as_raw().chunks(3).flat_map(|rgb| [rgb[2], rgb[1], rgb[0]]).collect();
        for (encoding, data) in [("rgb8", image.as_raw()), ("bgr8", &bgr)] {
            stamp += 1;
            camera.publish(&raw_image(&image, encoding, data, stamp)).unwrap();
            let (detections, found_stamp, _) = found.next_detections();
            same_detections(&detections, &expected);
            assert_eq!(found_stamp, stamp);
        }
    }
}

#[test]
fn of_raw_and_compressed_images_one_is_taken_and_the_other_when_that_stays_away() {
    let client = Client::new();
    let found = client.detections("/owlet/detections");
    let diagnostics = diagnostics_of(&client);
    let _node = Node::start(&client, "owlet", &CATS);
    let path = picture("square.png");
    let (image, png) = (decode_file(&path).unwrap(), std::fs::read(&path).unwrap());
    let raw = client.camera("/image");
    let compressed = client.compressed_camera("/image/compressed");
    raw.publish(&raw_image(&image, "rgb8", image.as_raw(), 1)).unwrap();
    compressed.publish(&compressed_image("png", &png, 2)).unwrap();
    assert_eq!(found.next_detections().1, 1);

    // The camera is not made to encode what nobody looks at; it is told once a second.
    let wait_for = |readers: usize| {
        let began = Instant::now();
        let mut stamp = 2;
        while compressed.subscribers() != readers {
            assert!(began.elapsed() < TOO_LONG, "{readers} readers were expected");
            if readers == 0 {
                stamp += 1;
                raw.publish(&raw_image(&image, "rgb8", image.as_raw(), stamp)).unwrap();
                found.next();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait_for(0);
    // Raw images stay away.
    wait_for(1);
    compressed.publish(&compressed_image("png", &png, 1000)).unwrap();
    assert_eq!(found.next_detections().1, 1000);
    let entry = diagnostic(&diagnostics, "owlet: camera camera", |entry| {
        entry.values.get("encoding").is_some_and(|encoding| encoding == "png")
    });
    assert_eq!(entry.values["topic"], "/image");
}
