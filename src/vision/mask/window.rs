//! A mask in the making: pixels of a part of an image.

use crate::types::Mask;

/// Pixels of a part of an image; outside of it none belongs to the thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskWindow {
    /// Width and height of the image.
    pub image_size: (u32, u32),
    /// Where the part begins.
    pub left_top: (u32, u32),
    /// Width and height of the part, which lies in the image.
    pub size: (u32, u32),
    /// Row by row, `size.0 * size.1` of them.
    pub pixels: Vec<bool>,
}

/// Pixels of a row that belong together: `first..end`.
#[derive(Clone, Copy)]
struct Run {
    row: u32,
    first: u32,
    end: u32,
}

impl MaskWindow {
    /// Of no pixels.
    #[must_use]
    pub fn empty(image_size: (u32, u32)) -> Self {
        Self { image_size, left_top: (0, 0), size: (0, 0), pixels: Vec::new() }
    }

    /// As a mask.
    #[must_use]
    pub fn into_mask(self) -> Mask {
        Mask::from_window(
            self.image_size.into(),
            self.left_top.into(),
            self.size.into(),
            self.pixels,
        )
    }

    /// The pixels of the whole image, row by row.
    #[must_use]
    pub fn to_pixels(&self) -> Vec<bool> {
        let (width, height) = self.image_size;
        let mut pixels = vec![false; width as usize * height as usize];
        for run in self.runs() {
            let at = run.row as usize * width as usize;
            pixels[at + run.first as usize..at + run.end as usize].fill(true);
        }
        pixels
    }

    /// Fills holes of less than `min_px` pixels, then drops islands of less; where all are, the
    /// largest stays (`remove_small_regions` of SAM, whose pixels are neighbours across corners,
    /// too). A corner of the image that the thing cuts off is a hole like any other. 0 and 1
    /// change nothing.
    #[must_use]
    pub fn without_small_regions(mut self, min_px: u64) -> Self {
        if min_px <= 1 || !self.pixels.contains(&true) {
            return self;
        }
        let outside = self.runs_outside();
        let (region, sizes) = regions(&outside);
        let holes = outside.iter().zip(&region).filter(|(_, region)| sizes[**region] < min_px);
        self.fill(holes.map(|(run, _)| *run).collect());

        let inside = self.runs();
        let (region, sizes) = regions(&inside);
        let largest = sizes.iter().copied().max().unwrap_or(0);
        // Of equal ones the first.
        let kept = sizes.iter().position(|size| *size == largest && largest < min_px);
        for (run, region) in inside.iter().zip(&region) {
            if sizes[*region] < min_px && kept != Some(*region) {
                self.set(*run, false);
            }
        }
        self
    }

    fn set(&mut self, run: Run, value: bool) {
        let start = (run.row - self.left_top.1) as usize * self.size.0 as usize;
        let column = |x: u32| start + (x - self.left_top.0) as usize;
        self.pixels[column(run.first)..column(run.end)].fill(value);
    }

    /// Makes the window large enough for the runs, and sets them.
    fn fill(&mut self, runs: Vec<Run>) {
        let (mut left, mut top) = self.left_top;
        let (mut right, mut bottom) = (left + self.size.0, top + self.size.1);
        for run in &runs {
            (left, top) = (left.min(run.first), top.min(run.row));
            (right, bottom) = (right.max(run.end), bottom.max(run.row + 1));
        }
        let size = (right - left, bottom - top);
        if size != self.size {
            let inside = self.runs();
            self.left_top = (left, top);
            self.size = size;
            self.pixels = vec![false; size.0 as usize * size.1 as usize];
            for run in inside {
                self.set(run, true);
            }
        }
        for run in runs {
            self.set(run, true);
        }
    }

    /// Of the thing, row by row.
    fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        let (left, top) = self.left_top;
        for (row, pixels) in (top..).zip(self.pixels.chunks_exact(self.size.0.max(1) as usize)) {
            let mut start = left;
            for same in pixels.chunk_by(|a, b| a == b) {
                let end = start + same.len() as u32;
                if same[0] {
                    runs.push(Run { row, first: start, end });
                }
                start = end;
            }
        }
        runs
    }

    /// Of all other pixels of the image.
    fn runs_outside(&self) -> Vec<Run> {
        let (width, height) = self.image_size;
        let mut inside = self.runs().into_iter().peekable();
        let mut runs = Vec::new();
        for row in 0..height {
            let mut first = 0;
            while let Some(run) = inside.next_if(|run| run.row == row) {
                if run.first > first {
                    runs.push(Run { row, first, end: run.first });
                }
                first = run.end;
            }
            if first < width {
                runs.push(Run { row, first, end: width });
            }
        }
        runs
    }
}

/// The region that each run belongs to, and the number of pixels of each. Runs are in order, with
/// a gap between those of a row.
fn regions(runs: &[Run]) -> (Vec<usize>, Vec<u64>) {
    fn root(parents: &mut [usize], mut at: usize) -> usize {
        while parents[at] != at {
            parents[at] = parents[parents[at]];
            at = parents[at];
        }
        at
    }
    let mut parents: Vec<usize> = (0..runs.len()).collect();
    let mut above = 0;
    for (index, run) in runs.iter().enumerate() {
        // The first of the row before that is not wholly on the left.
        while above < index
            && (runs[above].row + 1 < run.row
                || (runs[above].row + 1 == run.row && runs[above].end < run.first))
        {
            above += 1;
        }
        let mut other = above;
        while other < index && runs[other].row + 1 == run.row && runs[other].first <= run.end {
            let (a, b) = (root(&mut parents, other), root(&mut parents, index));
            // The earlier one names the region.
            parents[a.max(b)] = a.min(b);
            other += 1;
        }
    }
    let mut numbers = vec![usize::MAX; runs.len()];
    let (mut region, mut sizes) = (Vec::with_capacity(runs.len()), Vec::new());
    for (index, run) in runs.iter().enumerate() {
        let root = root(&mut parents, index);
        if numbers[root] == usize::MAX {
            numbers[root] = sizes.len();
            sizes.push(0);
        }
        region.push(numbers[root]);
        sizes[numbers[root]] += u64::from(run.end - run.first);
    }
    (region, sizes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(rows: &[&str]) -> MaskWindow {
        let pixels = rows.iter().flat_map(|row| row.chars().map(|c| c == '#')).collect();
        let size = (rows[0].len() as u32, rows.len() as u32);
        MaskWindow { image_size: size, left_top: (0, 0), size, pixels }
    }

    fn drawn(window: &MaskWindow) -> Vec<String> {
        let row = |row: &[bool]| row.iter().map(|pixel| if *pixel { '#' } else { '.' }).collect();
        window.to_pixels().chunks_exact(window.image_size.0 as usize).map(row).collect()
    }

    #[test]
    fn small_holes_are_filled_and_small_islands_dropped() {
        let found = window(&["..........", ".#####..#.", ".#.#.#....", ".##..#...#", ".#####..##"]);
        // The hole of 4 pixels hangs together across corners; the corner at the bottom left does
        // with the rest outside.
        let expected = ["..........", ".#####....", ".#####....", ".#####....", ".#####...."];
        assert_eq!(drawn(&found.clone().without_small_regions(5)), expected);
        let four = ["..........", ".#####....", ".#.#.#....", ".##..#....", ".#####...."];
        assert_eq!(drawn(&found.clone().without_small_regions(4)), four);
        for nothing in [0, 1] {
            assert_eq!(found.clone().without_small_regions(nothing), found);
        }
    }

    #[test]
    fn the_largest_island_stays_where_all_are_small() {
        let found = window(&["#....", "...##", "##...", "....."]);
        assert_eq!(drawn(&found.without_small_regions(6)), [".....", "...##", ".....", "....."]);
        let empty = MaskWindow::empty((3, 2));
        assert_eq!(empty.clone().without_small_regions(100), empty);
    }

    #[test]
    fn what_is_cut_off_from_the_rest_by_the_edge_is_a_hole() {
        let pixels = vec![true; 3 * 4];
        let found = MaskWindow { image_size: (5, 4), left_top: (2, 0), size: (3, 4), pixels };
        assert_eq!(drawn(&found.clone().without_small_regions(8)), ["..###"; 4]);
        let filled = found.without_small_regions(9);
        assert_eq!((filled.left_top, filled.size), ((0, 0), (5, 4)));
        assert_eq!(drawn(&filled), ["#####"; 4]);
    }

    /// Pixel by pixel, with a flood.
    fn flooded(pixels: &mut [bool], width: usize, value: bool, min_px: usize) {
        let height = pixels.len() / width;
        let mut seen = vec![false; pixels.len()];
        let mut found: Vec<Vec<usize>> = Vec::new();
        for start in 0..pixels.len() {
            if seen[start] || pixels[start] != value {
                continue;
            }
            let (mut region, mut queue) = (Vec::new(), vec![start]);
            seen[start] = true;
            while let Some(at) = queue.pop() {
                region.push(at);
                let (x, y) = (at % width, at / width);
                for y in y.saturating_sub(1)..(y + 2).min(height) {
                    for x in x.saturating_sub(1)..(x + 2).min(width) {
                        let next = y * width + x;
                        if !seen[next] && pixels[next] == value {
                            seen[next] = true;
                            queue.push(next);
                        }
                    }
                }
            }
            found.push(region);
        }
        let largest = found.iter().map(Vec::len).max().unwrap_or(0);
        let kept = found.iter().position(|region| value && region.len() == largest);
        for (index, region) in found.iter().enumerate() {
            let spared = largest < min_px && kept == Some(index);
            if region.len() < min_px && !spared {
                region.iter().for_each(|at| pixels[*at] = !value);
            }
        }
    }

    proptest! {
        #[test]
        fn runs_and_floods_agree(
            (width, height) in (1usize..14, 1usize..14),
            bits in prop::collection::vec(any::<bool>(), 196),
            (left, top) in (0usize..6, 0usize..6),
            (right, bottom) in (0usize..6, 0usize..6),
            min_px in 0usize..20,
        ) {
            let whole = (left + width + right, top + height + bottom);
            let pixels = bits[..width * height].to_vec();
            let found = MaskWindow {
                image_size: (whole.0 as u32, whole.1 as u32),
                left_top: (left as u32, top as u32),
                size: (width as u32, height as u32),
                pixels,
            };
            let mut expected = found.to_pixels();
            if expected.contains(&true) && min_px > 1 {
                flooded(&mut expected, whole.0, false, min_px);
                flooded(&mut expected, whole.0, true, min_px);
            }
            let cleaned = found.without_small_regions(min_px as u64);
            prop_assert_eq!(cleaned.to_pixels(), expected);
        }
    }
}
