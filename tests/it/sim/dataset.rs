//! Random scenes as a COCO data set.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::simulates;

const WIDTH: u64 = 160;
const HEIGHT: u64 = 120;

fn made(out: &Path, seed: &str) -> bool {
    let words = ["--scenes", "2", "--views", "2", "--combinations", "seen", "--size", "160x120"];
    let more = ["--depth", "--workers", "1", "--seed", seed];
    simulates([&["dataset", out.to_str().unwrap()][..], &words, &more].concat())
}

/// The pixels of a mask in COCO's compressed run lengths, column by column from the top left.
fn pixels_of(counts: &str) -> Vec<bool> {
    let (mut runs, mut bytes) = (Vec::<i64>::new(), counts.bytes());
    while let Some(first) = bytes.next() {
        let (mut value, mut shift, mut byte) = (0, 0, i64::from(first) - 48);
        loop {
            value |= (byte & 0x1f) << shift;
            shift += 5;
            if byte & 0x20 == 0 {
                break;
            }
            byte = i64::from(bytes.next().unwrap()) - 48;
        }
        if byte & 0x10 != 0 {
            value |= -1 << shift;
        }
        // From the third on, a run is told by its difference from the one before the last.
        if runs.len() > 2 {
            value += runs[runs.len() - 2];
        }
        runs.push(value);
    }
    let run = |(index, &run): (usize, &i64)| vec![index % 2 == 1; usize::try_from(run).unwrap()];
    runs.iter().enumerate().flat_map(run).collect()
}

#[test]
fn a_data_set_is_well_formed() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("set");
    if !made(&out, "5") {
        return;
    }
    let content: Value =
        serde_json::from_slice(&fs::read(out.join("annotations.json")).unwrap()).unwrap();
    let list = |key: &str| content[key].as_array().unwrap();
    let categories: BTreeMap<u64, &Value> =
        list("categories").iter().map(|c| (c["id"].as_u64().unwrap(), c)).collect();
    assert_eq!(list("images").len(), 4);
    assert!(list("annotations").len() >= 4 * 3, "{}", list("annotations").len());

    for annotation in list("annotations") {
        let category = categories[&annotation["category_id"].as_u64().unwrap()];
        assert_eq!(category["supercategory"], "seen", "{category}");
        let said = &annotation["attributes"];
        let name =
            format!("{} {}", said["colour"].as_str().unwrap(), said["kind"].as_str().unwrap());
        assert_eq!(category["name"], name.as_str());

        let pixels = pixels_of(annotation["segmentation"]["counts"].as_str().unwrap());
        assert_eq!(pixels.len() as u64, WIDTH * HEIGHT);
        let at = (0..).zip(&pixels).filter(|(_, inside)| **inside).map(|(i, _): (u64, _)| i);
        let at: Vec<(u64, u64)> = at.map(|i| (i / HEIGHT, i % HEIGHT)).collect();
        assert_eq!(annotation["area"], at.len(), "area is the mask's");
        let (xs, ys) = (at.iter().map(|p| p.0), at.iter().map(|p| p.1));
        let (x0, y0) = (xs.clone().min().unwrap(), ys.clone().min().unwrap());
        let size = (xs.max().unwrap() + 1 - x0, ys.max().unwrap() + 1 - y0);
        let expected = [x0, y0, size.0, size.1].map(|side| side as f64);
        assert_eq!(annotation["bbox"], serde_json::json!(expected), "the box fits its mask");

        let number = annotation["image_id"].as_u64().unwrap();
        let depth = image::open(out.join(format!("depth/{number:06}.png"))).unwrap();
        let depth = depth.as_luma16().expect("16 bit");
        for (x, y) in at {
            // The camera looks at the middle of the table from 0.5 to 0.8 m.
            let millimetres = depth.get_pixel(x as u32, y as u32).0[0];
            assert!((200..=1300).contains(&millimetres), "{name}: {millimetres} mm at {x}, {y}");
        }
    }
    for image in list("images") {
        let jpeg = fs::read(out.join(image["file_name"].as_str().unwrap())).unwrap();
        let picture = owlet::vision::decode::decode_compressed("jpeg", &jpeg).unwrap();
        let owlet::types::Picture::Color(picture) = picture else { panic!("no colour") };
        assert_eq!((u64::from(picture.width()), u64::from(picture.height())), (WIDTH, HEIGHT));
        let greys: Vec<u8> = picture.pixels().map(|pixel| pixel.0[1]).collect();
        let (darkest, lightest) = (greys.iter().min().unwrap(), greys.iter().max().unwrap());
        assert!(lightest - darkest > 60, "{}: {darkest} to {lightest}", image["file_name"]);
    }
}

#[test]
fn a_seed_gives_the_same_data_set_and_another_seed_another() {
    let scratch = tempfile::tempdir().unwrap();
    let read = |name: &str, seed| {
        let out = scratch.path().join(name);
        made(&out, seed).then(|| {
            let picture = fs::read(out.join("images/000003.jpg")).unwrap();
            (fs::read(out.join("annotations.json")).unwrap(), picture)
        })
    };
    let Some(first) = read("first", "6") else { return };
    let again = read("again", "6").unwrap();
    assert!(first == again, "the same seed");
    let other = read("other", "7").unwrap();
    assert!(first.0 != other.0 && first.1 != other.1, "another seed");
}
