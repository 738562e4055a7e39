//! What tells two datasets apart.

use sha2::{Digest, Sha256};

use super::{Dataset, Part};
use crate::eval::matching::Truth;

/// SHA-256 in hex over images, categories and objects, each in the order of ids. Numbers go in as
/// bits, texts with their lengths before them.
pub(super) fn of(dataset: &Dataset, part: &Part) -> String {
    let mut hash = Sha256::new();
    hash.update(b"owlet dataset 1");
    let text = |hash: &mut Sha256, text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for category in &dataset.categories {
        hash.update(b"category");
        hash.update(category.id.to_le_bytes());
        text(&mut hash, &category.name);
        text(&mut hash, category.group.as_deref().unwrap_or(""));
    }
    for (position, image) in dataset.images.iter().enumerate() {
        if part.has(position) {
            hash.update(b"image");
            hash.update(image.id.to_le_bytes());
        }
    }
    let mut truths: Vec<&Truth> =
        dataset.truths.iter().filter(|truth| part.has(truth.image)).collect();
    truths.sort_by_key(|truth| truth.id);
    for truth in truths {
        hash.update(b"object");
        hash.update(truth.id.to_le_bytes());
        hash.update(dataset.images[truth.image].id.to_le_bytes());
        hash.update(dataset.categories[truth.category].id.to_le_bytes());
        for number in <[f64; 4]>::from(truth.box_in_source_px).into_iter().chain([truth.area_px]) {
            // Both zeros are one number.
            hash.update((number + 0.0).to_bits().to_le_bytes());
        }
        hash.update([u8::from(truth.crowd)]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Category, DatasetImage};
    use super::*;

    fn dataset() -> Dataset {
        let image = |id| DatasetImage { id, file_name: format!("{id}.jpg"), size_px: None };
        let group = Some("g".to_owned());
        let category = Category { id: 1, name: "mug".to_owned(), group, texts: vec![] };
        let truth = |id, image| Truth {
            id,
            image,
            category: 0,
            box_in_source_px: [0.0, 1.0, 2.0, 3.0].into(),
            area_px: 6.0,
            crowd: false,
        };
        Dataset {
            images: vec![image(1), image(2)],
            categories: vec![category],
            truths: vec![truth(1, 0), truth(2, 1)],
        }
    }

    #[test]
    fn it_follows_what_is_evaluated_and_nothing_else() {
        let base = dataset();
        let print = |dataset: &Dataset| dataset.fingerprint(&dataset.whole());
        let changed = |change: fn(&mut Dataset)| {
            let mut other = dataset();
            change(&mut other);
            print(&other)
        };
        assert_eq!(print(&base).len(), 64);
        assert_eq!(changed(|dataset| dataset.truths.reverse()), print(&base));
        assert_eq!(changed(|dataset| dataset.images[0].file_name.clear()), print(&base));
        assert_eq!(changed(|dataset| dataset.categories[0].texts.push("a".into())), print(&base));
        for other in [
            changed(|dataset| dataset.truths[0].box_in_source_px.left = 0.5),
            changed(|dataset| dataset.truths[0].crowd = true),
            changed(|dataset| dataset.truths[0].image = 1),
            changed(|dataset| dataset.categories[0].name.push('s')),
            changed(|dataset| dataset.categories[0].group = None),
            changed(|dataset| dataset.images[1].id = 3),
        ] {
            assert_ne!(other, print(&base));
        }
        let (evaluated, aside) = base.split(2);
        assert_eq!((evaluated.len(), aside.len()), (1, 1));
        assert_ne!(base.fingerprint(&evaluated), base.fingerprint(&aside));
    }
}
