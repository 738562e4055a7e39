//! `coco.json`: what a replay found, in the form of a COCO data set.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use owlet::transport::records::{DetectionRecord, FrameRecord, Records};
use owlet::types::PromptSet;
use serde_json::{Value, json};

pub(super) const NAME: &str = "coco.json";

/// Writes the file from the records of a run, frame by frame, so that memory does not grow with the
/// recording.
///
/// An image is a frame, by its topic and stamp; a category is a prompt that is no distractor, with
/// its place in the set from 1 as id; an annotation has box, area, score, mask (compressed run-length
/// code) and the id of its track. Pictures themselves are not written.
pub(super) fn write(folder: &Path, records: &Path, prompts: &PromptSet) -> anyhow::Result<()> {
    let path = folder.join(NAME);
    let cannot_write = || format!("cannot write {}", path.display());
    let file = File::create(&path).with_context(cannot_write)?;
    let mut out = Lists { file: BufWriter::new(file), is_first: true };
    let info = json!({ "description": "found by Owlet", "version": env!("CARGO_PKG_VERSION") });
    out.text(&format!("{{\"info\": {info}")).with_context(cannot_write)?;
    let categories: BTreeMap<&str, usize> = prompts
        .prompts
        .iter()
        .zip(1..)
        .filter(|(prompt, _)| !prompt.negative)
        .map(|(prompt, id)| (prompt.name.as_str(), id))
        .collect();
    let mut by_id: Vec<_> = categories.iter().collect();
    by_id.sort_by_key(|(_, id)| **id);
    out.begin("categories").with_context(cannot_write)?;
    for (name, id) in by_id {
        out.add(&json!({ "id": id, "name": name })).with_context(cannot_write)?;
    }
    out.begin("images").with_context(cannot_write)?;
    for (id, record) in (1_u64..).zip(read(records)?) {
        out.add(&image(id, &record?)).with_context(cannot_write)?;
    }
    out.begin("annotations").with_context(cannot_write)?;
    let mut annotation_id = 0_u64;
    for (image_id, record) in (1_u64..).zip(read(records)?) {
        for found in record?.detections {
            let Some(category) = categories.get(found.prompt.as_str()) else { continue };
            annotation_id += 1;
            let annotation = annotation(annotation_id, image_id, *category, &found);
            out.add(&annotation).with_context(cannot_write)?;
        }
    }
    out.text("\n]}\n").and_then(|()| out.file.flush()).with_context(cannot_write)
}

fn read(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<FrameRecord>>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Records::new(BufReader::new(file)).map(|record| Ok(record?)))
}

fn image(id: u64, record: &FrameRecord) -> Value {
    json!({
        "id": id,
        "width": record.width,
        "height": record.height,
        "file_name": format!("{}/{}", record.topic.trim_matches('/'), record.stamp_ns),
        "topic": record.topic,
        "stamp_ns": record.stamp_ns,
    })
}

fn annotation(id: u64, image_id: u64, category_id: usize, found: &DetectionRecord) -> Value {
    let [x0, y0, x1, y1] = found.box_px;
    let (width, height) = (x1 - x0, y1 - y0);
    let mut annotation = json!({
        "id": id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x0, y0, width, height],
        "area": found.mask.as_ref().map_or(f64::from(width * height), |mask| mask.area_px as f64),
        "iscrowd": 0,
        "score": found.score,
    });
    if let Some(mask) = &found.mask {
        annotation["segmentation"] = json!(mask.rle);
    }
    if !found.finer.is_empty() {
        annotation["finer"] = json!(found.finer);
    }
    if let Some(why) = &found.explanation {
        annotation["explanation"] = json!(why);
    }
    if let Some(track) = found.id {
        annotation["track_id"] = track.into();
    }
    annotation
}

/// An object of lists, written as it comes.
struct Lists {
    file: BufWriter<File>,
    /// Whether the list that is open holds nothing yet.
    is_first: bool,
}

impl Lists {
    fn text(&mut self, text: &str) -> std::io::Result<()> {
        self.file.write_all(text.as_bytes())
    }

    /// Closes the list before, if any, and opens another one.
    fn begin(&mut self, name: &str) -> std::io::Result<()> {
        let closed = if name == "categories" { "" } else { "\n]" };
        self.is_first = true;
        self.text(&format!("{closed},\n\"{name}\": ["))
    }

    fn add(&mut self, value: &Value) -> std::io::Result<()> {
        let before = if std::mem::replace(&mut self.is_first, false) { "\n" } else { ",\n" };
        self.text(&format!("{before}{value}"))
    }
}
