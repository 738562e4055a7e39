//! Pictures with boxes from `owlet detect --overlay`.

use std::fs;
use std::path::Path;

use image::RgbImage;
use owlet::vision::decode::decode_file;
use serde_json::Value;
use tempfile::TempDir;

use super::{detect_words, names_in, picture, run, words};

fn open(path: &Path) -> RgbImage {
    decode_file(path).unwrap()
}

/// The overlay has the source's size, is drawn on along the edges of the best box, and shows the
/// source where there is no box.
#[track_caller]
fn check_drawn(source: &Path, overlay: &Path, object: &Value, tolerance: u8) {
    let (source, drawn) = (open(source), open(overlay));
    assert_eq!(source.dimensions(), drawn.dimensions());
    let best = &object["detections"][0]["box_px"];
    let corner = |at: usize| best[at].as_f64().unwrap();
    let differs = |x: u32, y: u32| {
        let (a, b) = (source.get_pixel(x, y), drawn.get_pixel(x, y));
        a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > tolerance)
    };
    let y = ((corner(1) + corner(3)) / 2.0) as u32;
    let left = (corner(0).round() as u32).min(source.width() - 1);
    assert!(differs(left, y), "no edge at {left}, {y}");

    // Far from all boxes nothing is drawn, where such pixels exist.
    let boxes = object["detections"].as_array().unwrap();
    let is_free = |x: u32, y: u32| {
        boxes.iter().all(|found| {
            let side = |at: usize| found["box_px"][at].as_f64().unwrap();
            let (x, y) = (f64::from(x), f64::from(y));
            // Labels stand above or below a box and may be wider.
            x < side(0) - 4.0 || y < side(1) - 40.0 || y > side(3) + 40.0
        })
    };
    let free: Vec<_> = (0..source.width())
        .flat_map(|x| (0..source.height()).map(move |y| (x, y)))
        .filter(|(x, y)| is_free(*x, *y))
        .collect();
    let touched = free.iter().filter(|(x, y)| differs(*x, *y)).count();
    assert_eq!(touched, 0, "of {} pixels away from boxes", free.len());
}

#[test]
fn one_picture_becomes_a_file_of_its_size_by_its_ending() {
    let folder = TempDir::new().unwrap();
    let source = picture("landscape.png");
    for (name, tolerance) in [("found.png", 0), ("found.jpg", 60), ("FOUND.JPEG", 60)] {
        // A folder that is not there yet is made.
        let overlay = folder.path().join("made").join(name);
        let more = words!["-p", "cat", "--threshold", "0.7", "--json", "--overlay", overlay];
        let ran = run(detect_words(&[&source], more), 0);
        let is_jpeg = fs::read(&overlay).unwrap().starts_with(b"\xff\xd8");
        assert_eq!(is_jpeg, name != "found.png");
        check_drawn(&source, &overlay, &ran.json(), tolerance);
    }
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
        check_drawn(source, &out.join(name), &object, 0);
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
