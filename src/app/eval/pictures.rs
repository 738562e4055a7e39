//! The pictures that went best and worst, with what is there and what was found drawn in.

use std::collections::{BTreeMap, BTreeSet};

use image::{GrayImage, Luma, RgbImage};
use owlet::config::Config;
use owlet::eval::{Category, FalseReason, Found, ImageView, Truth};
use owlet::report::{EvalPicture, EvalPictures, FalseLabel};
use owlet::vision::decode::decode_file;
use owlet::vision::encode::encode_jpeg;
use owlet::vision::overlay::{OverlayItem, TruthItem, draw_masks, draw_with_truth};

use super::measured::Measured;
use super::source::Source;

/// The most of each kind.
const MAX_EACH: usize = 12;

/// Draws the best and worst pictures at the thresholds that were chosen, or else at those in use.
pub(super) fn draw(source: &Source, measured: &Measured, config: &Config) -> EvalPictures {
    let limit = match config.overlay {
        true => (config.report_pictures / 2).min(MAX_EACH),
        false => 0,
    };
    let views = &measured.best().images;
    let (best, worst) = best_and_worst(views, limit);
    let mut pictures = EvalPictures::default();
    for (images, into) in [(best, &mut pictures.best), (worst, &mut pictures.worst)] {
        for image in images {
            match picture(source, measured, config, image, &views[&image]) {
                Some(picture) => into.push(picture),
                None => pictures.not_drawn += 1,
            }
        }
    }
    pictures
}

/// The images of highest and lowest F1, of equal ones those with most hits and most errors.
fn best_and_worst(views: &BTreeMap<usize, ImageView>, limit: usize) -> (Vec<usize>, Vec<usize>) {
    let f1 = |view: &ImageView| {
        let errors = view.false_positives.len() + view.misses.len();
        let hits = 2 * view.hits.len();
        (hits as f64 / (hits + errors).max(1) as f64, errors)
    };
    let mut best: Vec<_> = views.iter().filter(|(_, view)| !view.hits.is_empty()).collect();
    best.sort_by(|(_, a), (_, b)| {
        f1(b).0.total_cmp(&f1(a).0).then(b.hits.len().cmp(&a.hits.len()))
    });
    best.truncate(limit.min(views.len().div_ceil(2)));
    let best: Vec<usize> = best.into_iter().map(|(image, _)| *image).collect();
    let taken: BTreeSet<_> = best.iter().collect();
    let mut worst: Vec<_> =
        views.iter().filter(|(image, view)| f1(view).1 > 0 && !taken.contains(image)).collect();
    worst.sort_by(|(_, a), (_, b)| f1(a).0.total_cmp(&f1(b).0).then(f1(b).1.cmp(&f1(a).1)));
    worst.truncate(limit);
    (best, worst.into_iter().map(|(image, _)| *image).collect())
}

/// A picture with the masks of what is shown in it, each in the colour of its category.
fn with_masks<'a>(pixels: &RgbImage, shown: impl Iterator<Item = &'a Found>) -> RgbImage {
    let mut classes = GrayImage::new(pixels.width(), pixels.height());
    for (mask, one) in shown.filter_map(|one| Some((one.mask.as_ref()?, one))) {
        let class = (one.category % usize::from(u8::MAX)) as u8 + 1;
        for (x, y) in mask.mask().points() {
            // Masks of a results file may be of another picture.
            if let Some(pixel) = classes.get_pixel_mut_checked(x, y) {
                *pixel = Luma([class]);
            }
        }
    }
    draw_masks(pixels, &classes, &[])
}

/// `None` where the picture cannot be read, as where results were scored without pictures.
fn picture(
    source: &Source,
    measured: &Measured,
    config: &Config,
    image: usize,
    view: &ImageView,
) -> Option<EvalPicture> {
    let categories = &source.dataset.categories;
    let name = |category: usize| categories[category].name.as_str();
    let missed: BTreeSet<_> = view.misses.iter().copied().collect();
    let truths: Vec<TruthItem<'_>> = measured
        .truths
        .iter()
        .enumerate()
        .filter(|(_, truth)| truth.image == image && !truth.crowd)
        .map(|(at, truth)| truth_item(truth, categories, missed.contains(&at)))
        .collect();
    let seen = |at: usize| -> &Found { &measured.found[at] };
    let shown = view.hits.iter().copied().chain(view.false_positives.iter().map(|(at, _)| *at));
    let pixels = decode_file(&source.picture(image)).ok()?;
    let tinted = with_masks(&pixels, shown.clone().map(seen));
    let items: Vec<OverlayItem<'_>> = shown
        .map(|at| OverlayItem {
            label: name(seen(at).category),
            score: seen(at).score as f32,
            finer: None,
            box_in_source_px: seen(at).box_in_source_px.to_pixel_box(),
            color_index: seen(at).category,
        })
        .collect();
    let drawn = draw_with_truth(&tinted, &truths, &items);
    let jpeg = encode_jpeg(&drawn, config.jpeg_quality).ok()?;
    let about = &source.dataset.images[image];
    Some(EvalPicture {
        id: about.id,
        file_name: about.file_name.clone(),
        width: pixels.width(),
        height: pixels.height(),
        jpeg,
        hits: view
            .hits
            .iter()
            .map(|at| (name(seen(*at).category).to_owned(), seen(*at).score as f32))
            .collect(),
        false_positives: view
            .false_positives
            .iter()
            .map(|(at, reason)| FalseLabel {
                name: name(seen(*at).category).to_owned(),
                score: seen(*at).score as f32,
                reason: in_words(*reason, categories),
            })
            .collect(),
        misses: view
            .misses
            .iter()
            .map(|at| name(measured.truths[*at].category).to_owned())
            .collect(),
    })
}

fn truth_item<'a>(truth: &Truth, categories: &'a [Category], is_missed: bool) -> TruthItem<'a> {
    TruthItem {
        label: is_missed.then(|| categories[truth.category].name.as_str()),
        box_in_source_px: truth.box_in_source_px.to_pixel_box(),
    }
}

fn in_words(reason: FalseReason, categories: &[Category]) -> String {
    match reason {
        FalseReason::Duplicate => "found already".to_owned(),
        FalseReason::WrongCategory(category) => format!("is {}", categories[category].name),
        FalseReason::BadlyPlaced => "badly placed".to_owned(),
        FalseReason::NothingThere => "nothing there".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(hits: usize, errors: usize) -> ImageView {
        let false_positives = vec![(0, FalseReason::NothingThere); errors];
        ImageView { hits: vec![0; hits], false_positives, misses: Vec::new() }
    }

    #[test]
    fn best_and_worst_are_apart_and_sorted() {
        let views = BTreeMap::from([
            (0, view(1, 0)),
            (1, view(3, 0)),
            (2, view(1, 1)),
            (3, view(0, 2)),
            (4, view(0, 5)),
            (5, view(0, 0)),
        ]);
        assert_eq!(best_and_worst(&views, 12), (vec![1, 0, 2], vec![4, 3]));
        assert_eq!(best_and_worst(&views, 1), (vec![1], vec![4]));
        assert_eq!(best_and_worst(&views, 0), (vec![], vec![]));
        let only = BTreeMap::from([(7, view(1, 1))]);
        assert_eq!(best_and_worst(&only, 12), (vec![7], vec![]));
    }
}
