//! How far each cell of a grid is from the nearest one outside.

/// The distance from the middle of each cell to that of the nearest cell outside, in cells; 0 for
/// those outside themselves. Beyond the grid all is outside.
///
/// Exact and in linear time: Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled
/// Functions" (2012).
///
/// # Panics
/// Where there are not `columns * rows` cells.
pub(super) fn clearances(inside: &[bool], columns: usize, rows: usize) -> Vec<f64> {
    assert_eq!(inside.len(), columns * rows, "cells of a grid");
    // Squares of distances within each column: down, then up.
    let mut squares = vec![0.0; inside.len()];
    for column in 0..columns {
        let mut steps = 0.0;
        for row in 0..rows {
            let at = row * columns + column;
            steps = if inside[at] { steps + 1.0 } else { 0.0 };
            squares[at] = steps;
        }
        let mut steps = 0.0;
        for row in (0..rows).rev() {
            let at = row * columns + column;
            steps = if inside[at] { steps + 1.0 } else { 0.0 };
            squares[at] = f64::min(squares[at], steps).powi(2);
        }
    }
    // With a cell outside at both ends.
    let mut line = vec![0.0; columns + 2];
    let mut envelope = Envelope::default();
    for row in squares.chunks_exact_mut(columns.max(1)) {
        line[1..=columns].copy_from_slice(row);
        envelope.lowest(&line, row);
    }
    squares.iter().map(|square| square.sqrt()).collect()
}

/// Parabolas that lie lowest somewhere: their middles, and from where on.
#[derive(Default)]
struct Envelope {
    middles: Vec<usize>,
    from: Vec<f64>,
}

impl Envelope {
    /// Of the parabolas over all places of `line`, at their heights, the lowest at each place but
    /// the first and the last.
    fn lowest(&mut self, line: &[f64], lowest: &mut [f64]) {
        self.middles.clear();
        self.from.clear();
        for (middle, height) in line.iter().enumerate() {
            let mut start = f64::NEG_INFINITY;
            while let (Some(last), Some(from)) = (self.middles.last(), self.from.last()) {
                let (q, p) = (middle as f64, *last as f64);
                start = ((height + q * q) - (line[*last] + p * p)) / (2.0 * (q - p));
                if start > *from {
                    break;
                }
                self.middles.pop();
                self.from.pop();
                start = f64::NEG_INFINITY;
            }
            self.middles.push(middle);
            self.from.push(start);
        }
        let mut which = 0;
        for (place, lowest) in lowest.iter_mut().enumerate() {
            let at = (place + 1) as f64;
            while self.from.get(which + 1).is_some_and(|from| *from < at) {
                which += 1;
            }
            let middle = self.middles[which];
            *lowest = line[middle] + (at - middle as f64).powi(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn distances_are_those_of_a_search_through_all_cells(
            columns in 1_usize..12, rows in 1_usize..9, bits in any::<u128>(), all in any::<bool>(),
        ) {
            let inside: Vec<_> =
                (0..columns * rows).map(|at| all || bits >> at & 1 == 1).collect();
            let found = clearances(&inside, columns, rows);
            for row in 0..rows as i64 {
                for column in 0..columns as i64 {
                    let outside = |x: i64, y: i64| {
                        let is_within = (0..columns as i64).contains(&x) && (0..rows as i64).contains(&y);
                        !is_within || !inside[(y * columns as i64 + x) as usize]
                    };
                    let all = (-1..=rows as i64).flat_map(|y| (-1..=columns as i64).map(move |x| (x, y)));
                    let nearest = all
                        .filter(|(x, y)| outside(*x, *y))
                        .map(|(x, y)| ((x - column).pow(2) + (y - row).pow(2)) as f64)
                        .fold(f64::INFINITY, f64::min);
                    let at = (row * columns as i64 + column) as usize;
                    prop_assert!((found[at] - nearest.sqrt()).abs() < 1e-9, "{} {}", found[at], nearest);
                }
            }
        }
    }

    #[test]
    fn of_no_cells_there_are_no_distances() {
        assert!(clearances(&[], 0, 0).is_empty());
        assert!(clearances(&[], 0, 3).is_empty());
    }
}
