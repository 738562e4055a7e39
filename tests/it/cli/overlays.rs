//! Pictures with boxes from `owlet detect --overlay`.

use std::fs;
use std::path::Path;

use image::RgbImage;
use owlet::vision::decode::decode_file;
use owlet::vision::encode::encode_jpeg;
use serde_json::Value;
use tempfile::TempDir;

use super::{detect_words, names_in, picture, run, words};

fn open(path: &Path) -> RgbImage {
    decode_file(path).unwrap()
}

/// The overlay has the source's size, is drawn on along the edge of the best box, and is the
/// source where there is no box.
#[track_caller]
fn check_drawn(source: &Path, overlay: &Path, object: &Value) {
    let (source, drawn) = (open(source), open(overlay));
    assert_eq!(source.dimensions(), drawn.dimensions());
    let differs = |x: u32, y: u32| source.get_pixel(x, y) != drawn.get_pixel(x, y);
    let best = &object["detections"][0]["box_px"];
    let corner = |at: usize| best[at].as_f64().unwrap();
    let y = ((corner(1) + corner(3)) / 2.0) as u32;
    let left = (corner(0).round() as u32).min(source.width() - 1);
    assert!(differs(left, y), "no edge at {left}, {y}");

    let boxes = object["detections"].as_array().unwrap();
    let is_free = |x: u32, y: u32| {
        boxes.iter().all(|found| {
            let side = |at: usize| found["box_px"][at].as_f64().unwrap();
            let (x, y) = (f64::from(x), f64::from(y));
            // Labels stand above or below a box and may be wider.
            x < side(0) - 4.0 || y < side(1) - 40.0 || y > side(3) + 40.0
        })
    };
    for (x, y) in (0..source.width()).flat_map(|x| (0..source.height()).map(move |y| (x, y))) {
        assert!(!is_free(x, y) || !differs(x, y), "drawn on at {x}, {y}, far from all boxes");
    }
}

#[test]
fn one_picture_becomes_a_file_of_its_size_by_its_ending() {
    let folder = TempDir::new().unwrap();
    let source = picture("landscape.png");
    let overlay = |name: &str| {
        // A folder that is not there yet is made.
        let path = folder.path().join("made").join(name);
        let more = words!["-p", "cat", "--threshold", "0.7", "--json", "--overlay", path];
        (run(detect_words(&[&source], more), 0).json(), path)
    };
    let (object, png) = overlay("found.png");
    assert!(fs::read(&png).unwrap().starts_with(b"\x89PNG"));
    check_drawn(&source, &png, &object);
    let (_, jpeg) = overlay("FOUND.JPG");
    // The quality that `owlet config` names.
    assert!(fs::read(jpeg).unwrap() == encode_jpeg(&open(&png), 85).unwrap());
}

#[test]
fn several_pictures_go_into_a_folder_under_names_that_stay_apart() {
    let folder = TempDir::new().unwrap();
    let twin = folder.path().join("portrait.jpeg");
    fs::copy(picture("portrait.png"), &twin).unwrap();
    let sources = [picture("portrait.png"), picture("strip.png"), twin];
    let paths: Vec<&Path> = sources.iter().map(AsRef::as_ref).collect();
    let out = folder.path().join("out");
    let more = words!["-p", "cat", "--json", "--threshold", "0.2", "--overlay", out];
    let ran = run(detect_words(&paths, more), 0);
    let expected = ["001_portrait.png", "002_strip.png", "003_portrait.png"];
    assert_eq!(names_in(&out), expected);
    for ((source, name), object) in sources.iter().zip(expected).zip(ran.json_lines()) {
        check_drawn(source, &out.join(name), &object);
    }
}

#[test]
fn what_would_be_a_surprise_is_refused_before_anything_is_done() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("photo.png");
    fs::copy(picture("square.png"), &source).unwrap();
    let before = fs::read(&source).unwrap();
    let refuse = |images: &[&Path], overlay: &Path, text: &str| {
        let ran = run(detect_words(images, words!["-p", "cat", "--overlay", overlay]), 2);
        assert_eq!(ran.stdout, "");
        ran.says(&["--overlay: expected", text]);
    };
    refuse(&[&source], &folder.path().join("found.gif"), ".png or .jpg");
    refuse(&[&source, &source], &folder.path().join("found.png"), "a folder, as there are several");
    // Over the picture itself, however it is written.
    refuse(&[&source], &folder.path().join(".").join("photo.png"), "another file than the picture");
    assert_eq!(fs::read(&source).unwrap(), before);

    // A file where the folder would be is what the system reports.
    let ran =
        run(detect_words(&[&source], words!["-p", "cat", "--overlay", source.join("x.png")]), 1);
    ran.says(&["--overlay: cannot make the folder"]);
}

#[test]
fn an_overlay_that_cannot_be_written_is_said_after_the_result() {
    let more = words!["-p", "cat", "--overlay", "/dev/full"];
    // /dev/full has no ending: a folder is meant, and there is a file.
    run(detect_words(&[&picture("square.png")], more), 1).says(&["--overlay: cannot make"]);
    let folder = TempDir::new().unwrap();
    let overlay = folder.path().join("found.png");
    std::os::unix::fs::symlink("/dev/full", &overlay).unwrap();
    let more = words!["-p", "cat", "--json", "--overlay", overlay];
    let ran = run(detect_words(&[&picture("square.png")], more), 1);
    ran.says(&["cannot write", "found.png", "No space left"]);
    assert_eq!(ran.json_lines().len(), 1, "what was found is said");
}

#[test]
fn the_longest_picture_is_drawn_and_a_longer_one_refused() {
    let folder = TempDir::new().unwrap();
    let long = |width: u32| {
        let path = folder.path().join(format!("{width}.png"));
        RgbImage::from_pixel(width, 2, image::Rgb([90, 120, 30])).save(&path).unwrap();
        path
    };
    let overlay = folder.path().join("a.jpg");
    let more = || words!["-p", "cat", "--overlay", overlay];
    run(detect_words(&[&long(32_768)], more()), 0);
    assert_eq!(open(&overlay).dimensions(), (32_768, 2));
    run(detect_words(&[&long(70_000)], more()), 1).says(&["70000.png", "exceeds limit"]);
}
