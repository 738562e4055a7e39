//! Who goes with whom, all at once.

use std::collections::BTreeMap;

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

/// Steps of a weight between 0 and 1. Whole numbers make the sum, and so the result, exact.
const WEIGHT_STEPS: f64 = 1e6;

/// A pair that may be formed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) row: usize,
    pub(super) column: usize,
    /// How good it is, in `[0, 1]`.
    pub(super) weight: f64,
}

/// Forms pairs so that the sum of their weights is the largest one possible and everyone is in one
/// pair at most. Only pairs that are given are formed; they come out with rising rows.
///
/// Those that no chain of pairs joins are solved apart: in a picture few boxes overlap, and the
/// Hungarian algorithm takes the third power of what it is given.
pub(super) fn assign(pairs: &[Pair]) -> Vec<(usize, usize)> {
    let mut formed = Vec::new();
    for group in groups(pairs) {
        match group.as_slice() {
            [only] => formed.push((only.row, only.column)),
            group => formed.extend(assign_group(group)),
        }
    }
    formed.sort_unstable();
    formed
}

/// Pairs that share a row or a column, directly or through others, in groups.
fn groups(pairs: &[Pair]) -> Vec<Vec<Pair>> {
    // Union and find over rows and columns; each leads to a smaller one of its group.
    let mut leads: BTreeMap<(bool, usize), (bool, usize)> = BTreeMap::new();
    fn find(
        leads: &mut BTreeMap<(bool, usize), (bool, usize)>,
        of: (bool, usize),
    ) -> (bool, usize) {
        let mut root = of;
        while let Some(next) = leads.get(&root).filter(|next| **next != root) {
            root = *next;
        }
        leads.insert(of, root);
        root
    }
    for pair in pairs {
        let row = find(&mut leads, (false, pair.row));
        let column = find(&mut leads, (true, pair.column));
        leads.insert(row.max(column), row.min(column));
    }
    let mut groups: BTreeMap<(bool, usize), Vec<Pair>> = BTreeMap::new();
    for pair in pairs {
        groups.entry(find(&mut leads, (false, pair.row))).or_default().push(*pair);
    }
    groups.into_values().collect()
}

fn assign_group(group: &[Pair]) -> Vec<(usize, usize)> {
    let numbered = |of: fn(&Pair) -> usize| {
        let mut all: Vec<_> = group.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (rows, columns) = (numbered(|pair| pair.row), numbered(|pair| pair.column));
    // The algorithm wants no more rows than columns.
    let turned = rows.len() > columns.len();
    let (short, long) = if turned { (&columns, &rows) } else { (&rows, &columns) };
    let place = |all: &[usize], what: usize| all.partition_point(|other| *other < what);
    // A pair that may not be formed weighs nothing, so that forming it changes no sum.
    let mut weights = Matrix::new(short.len(), long.len(), 0_i64);
    for pair in group {
        let (one, other) = if turned { (pair.column, pair.row) } else { (pair.row, pair.column) };
        let steps = (pair.weight.clamp(0.0, 1.0) * WEIGHT_STEPS).round() as i64;
        weights[(place(short, one), place(long, other))] = 1 + steps;
    }
    let (_, chosen) = kuhn_munkres(&weights);
    let formed = chosen.into_iter().enumerate().filter(|place| weights[*place] > 0);
    formed
        .map(
            |(one, other)| {
                if turned { (long[other], short[one]) } else { (short[one], long[other]) }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The best sum by trying everything.
    fn best(pairs: &[Pair], row: usize, rows: usize, taken: &mut Vec<usize>) -> f64 {
        if row == rows {
            return 0.0;
        }
        let mut most = best(pairs, row + 1, rows, taken);
        for pair in pairs.iter().filter(|pair| pair.row == row) {
            if !taken.contains(&pair.column) {
                taken.push(pair.column);
                most = most.max(pair.weight + best(pairs, row + 1, rows, taken));
                taken.pop();
            }
        }
        most
    }

    #[test]
    fn the_sum_counts_and_not_the_first_good_pair() {
        let pair = |row, column, weight| Pair { row, column, weight };
        // Greedy would take (0, 0) and leave row 1 alone.
        let pairs = [pair(0, 0, 0.9), pair(0, 1, 0.8), pair(1, 0, 0.7)];
        assert_eq!(assign(&pairs), [(0, 1), (1, 0)]);
        assert_eq!(assign(&[]), []);
        // More rows than columns, and numbers that are far apart.
        let pairs = [pair(7, 900, 0.2), pair(3, 900, 0.3), pair(5, 900, 0.1)];
        assert_eq!(assign(&pairs), [(3, 900)]);
    }

    proptest! {
        #[test]
        fn it_is_as_good_as_trying_everything(
            weights in prop::collection::btree_map((0..6_usize, 0..6_usize), 0.0..1.0_f64, 0..20),
        ) {
            let pairs: Vec<_> =
                weights.iter().map(|(&(row, column), &weight)| Pair { row, column, weight }).collect();
            let formed = assign(&pairs);
            let sum: f64 = formed.iter().map(|pair| weights[pair]).sum();
            let most = best(&pairs, 0, 6, &mut Vec::new());
            // Weights are rounded to a millionth, and a formed pair counts as one more of those.
            prop_assert!((sum - most).abs() < 2e-5, "{sum} instead of {most}");
            let mut rows: Vec<_> = formed.iter().map(|pair| pair.0).collect();
            let mut columns: Vec<_> = formed.iter().map(|pair| pair.1).collect();
            rows.dedup();
            columns.sort_unstable();
            columns.dedup();
            prop_assert_eq!((rows.len(), columns.len()), (formed.len(), formed.len()));
        }
    }
}
