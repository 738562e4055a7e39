//! Detections held against a dataset.

use super::curves::Curves;
use super::matching::{self, AREA_RANGES_PX, AREAS, Found, Judged, MAX_PER_IMAGE, Truth};
use super::metrics::Metrics;

/// What an evaluation came to.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// One for each category of the dataset, in its order.
    pub categories: Vec<CategoryResult>,
}

/// One category.
#[derive(Clone, Debug)]
pub struct CategoryResult {
    /// In the order of [`AREA_RANGES_PX`]; `None` where it has no object of that size.
    pub curves: [Option<Box<Curves>>; AREAS],
    /// The detections that count, by falling score, at an overlap of 0.5 and among all sizes.
    pub ranking: Vec<Ranked>,
}

/// A detection in the ranking of its category.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Its position in the list that was evaluated.
    pub found: usize,
    /// Its score.
    pub score: f64,
    /// The object that it has found, by its position in the list of objects; `None` where it is
    /// false.
    pub truth: Option<usize>,
}

impl CategoryResult {
    /// Objects that count.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.curves[0].as_ref().map_or(0, |curves| curves.objects)
    }

    /// The twelve numbers of this category.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::mean_of([self])
    }
}

impl Evaluation {
    /// Evaluates boxes by the rules of COCO: the numbers are those of pycocotools. `truths` stand in
    /// the order of the annotation file and `found` in that of the results file, which decides
    /// among equal ones; images and categories are counted in the order of their ids.
    #[must_use]
    pub fn of(categories: usize, truths: &[Truth], found: &[Found]) -> Self {
        let truths = ByCategory::of(categories, truths, |truth| (truth.category, truth.image));
        let found = ByCategory::of(categories, found, |found| (found.category, found.image));
        let categories = (0..categories)
            .map(|category| evaluate(truths.of_category(category), found.of_category(category)));
        Self { categories: categories.collect() }
    }

    /// The twelve numbers over all categories.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::mean_of(&self.categories)
    }
}

/// Items sorted by category and image, with their positions in the list that was given.
struct ByCategory<'a, T> {
    items: Vec<(usize, &'a T)>,
    /// Where each category begins, and the end.
    starts: Vec<usize>,
}

impl<'a, T> ByCategory<'a, T> {
    fn of(categories: usize, items: &'a [T], place: impl Fn(&T) -> (usize, usize)) -> Self {
        let mut sorted: Vec<_> = items.iter().enumerate().collect();
        // Stable: within an image the order of the list.
        sorted.sort_by_key(|(_, item)| place(item));
        let starts = (0..=categories)
            .map(|category| sorted.partition_point(|(_, item)| place(item).0 < category))
            .collect();
        Self { items: sorted, starts }
    }

    fn of_category(&self, category: usize) -> &[(usize, &'a T)] {
        &self.items[self.starts[category]..self.starts[category + 1]]
    }
}

/// One category, its objects and detections sorted by image.
fn evaluate(truths: &[(usize, &Truth)], found: &[(usize, &Found)]) -> CategoryResult {
    let mut ranked: Vec<Judged> = Vec::with_capacity(found.len());
    let mut rest = truths;
    for of_image in found.chunk_by(|(_, a), (_, b)| a.image == b.image) {
        let image = of_image[0].1.image;
        rest = &rest[rest.partition_point(|(_, truth)| truth.image < image)..];
        let here = &rest[..rest.partition_point(|(_, truth)| truth.image == image)];
        let mut best = of_image.to_vec();
        best.sort_by(|(_, a), (_, b)| falling(a.score, b.score));
        best.truncate(MAX_PER_IMAGE);
        ranked.extend(matching::judge(here, &best));
    }
    // Stable: of equal scores the earlier image, and within it the earlier detection, comes first.
    ranked.sort_by(|a, b| falling(a.score, b.score));
    let curves = std::array::from_fn(|area| {
        let range = AREA_RANGES_PX[area];
        let objects = truths.iter().filter(|(_, truth)| matching::counts(truth, range)).count();
        Curves::of(&ranked, area, objects as u64)
    });
    let ranking = ranked
        .iter()
        .filter(|one| one.fates[0].ignored & 1 == 0)
        .map(|one| Ranked { found: one.found, score: one.score, truth: one.truth })
        .collect();
    CategoryResult { curves, ranking }
}

/// Both zeros are one score.
fn falling(a: f64, b: f64) -> std::cmp::Ordering {
    (b + 0.0).total_cmp(&(a + 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(image: usize, category: usize, left: f64) -> Truth {
        let box_in_source_px = [left, 0.0, 20.0, 20.0].into();
        Truth { id: 1, image, category, box_in_source_px, area_px: 400.0, crowd: false }
    }

    fn found(image: usize, category: usize, left: f64, score: f64) -> Found {
        Found { image, category, box_in_source_px: [left, 0.0, 20.0, 20.0].into(), score }
    }

    #[test]
    fn images_and_categories_are_kept_apart_whatever_the_order() {
        let truths = [truth(2, 1, 0.0), truth(0, 0, 0.0), truth(2, 0, 50.0)];
        let seen = [
            found(2, 0, 50.0, 0.3),
            found(1, 0, 0.0, 0.5),
            found(0, 0, 0.0, 0.9),
            found(2, 1, 0.0, 0.2),
            found(2, 2, 0.0, 0.2),
        ];
        let evaluation = Evaluation::of(3, &truths, &seen);
        let hits = |category: usize| -> Vec<_> {
            let ranking = &evaluation.categories[category].ranking;
            ranking.iter().map(|one| (one.found, one.truth)).collect()
        };
        assert_eq!(hits(0), [(2, Some(1)), (1, None), (0, Some(2))]);
        assert_eq!(hits(1), [(3, Some(0))]);
        assert_eq!(hits(2), [(4, None)]);
        assert_eq!(evaluation.categories[2].metrics(), Metrics::default());
        let objects: Vec<_> = evaluation.categories.iter().map(CategoryResult::objects).collect();
        assert_eq!(objects, [2, 1, 0]);
        // The third category has no object and is no part of the mean.
        let first = evaluation.categories[0].metrics().ap50.unwrap();
        assert!((evaluation.metrics().ap50.unwrap() - (first + 1.0) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn beyond_a_hundred_of_an_image_and_category_nothing_counts() {
        let truths = [truth(0, 0, 0.0)];
        let mut seen: Vec<_> =
            (0..100).map(|n| found(0, 0, 100.0, 0.9 - f64::from(n) * 1e-3)).collect();
        seen.push(found(0, 0, 0.0, 0.1));
        let result = &Evaluation::of(1, &truths, &seen).categories[0];
        assert_eq!((result.ranking.len(), result.metrics().ar100), (100, Some(0.0)));
        seen[100].score = 0.95;
        let result = &Evaluation::of(1, &truths, &seen).categories[0];
        assert_eq!((result.ranking[0].found, result.metrics().ar1), (100, Some(1.0)));
    }
}
