//! Rows in blocks that are shared until somebody writes to them.

use std::ops::Range;
use std::sync::Arc;

/// Rows of a block, here and of the vectors that belong to them: large enough that a product with it
/// keeps every core busy, and small enough that a bank of few pairs takes little memory and that a
/// block that is shared is copied in a millisecond or two.
pub(super) const BLOCK_ROWS: usize = 8192;

/// A list that grows and shrinks at its end. A clone costs a counter for each block; whoever writes
/// to a block that a clone has, too, takes a copy of it first.
#[derive(Clone, Debug)]
pub(super) struct Rows<T> {
    /// All but the last have [`BLOCK_ROWS`].
    blocks: Vec<Arc<Vec<T>>>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<T: Clone> Rows<T> {
    pub(super) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK_ROWS + last.len())
    }

    pub(super) fn get(&self, row: usize) -> Option<&T> {
        self.blocks.get(row / BLOCK_ROWS)?.get(row % BLOCK_ROWS)
    }

    /// The rows of a block, which begins at row `at * BLOCK_ROWS`.
    pub(super) fn block(&self, at: usize) -> &[T] {
        self.blocks.get(at).map_or(&[], |block| block)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// Those rows of a range that there are.
    pub(super) fn range(&self, rows: Range<usize>) -> impl Iterator<Item = &T> {
        (rows.start..rows.end.min(self.len())).filter_map(|row| self.get(row))
    }

    pub(super) fn push(&mut self, row: T) {
        match self.blocks.last_mut() {
            Some(last) if last.len() < BLOCK_ROWS => Arc::make_mut(last).push(row),
            _ => self.blocks.push(Arc::new(vec![row])),
        }
    }

    /// Takes a row out and puts the last one in its place. A row that is not there is none.
    pub(super) fn swap_remove(&mut self, row: usize) {
        if row >= self.len() {
            return;
        }
        let Some(last) = self.blocks.last_mut() else { return };
        let moved = Arc::make_mut(last).pop();
        if last.is_empty() {
            self.blocks.pop();
        }
        if let (Some(block), Some(moved)) = (self.blocks.get_mut(row / BLOCK_ROWS), moved)
            && let Some(place) = Arc::make_mut(block).get_mut(row % BLOCK_ROWS)
        {
            *place = moved;
        }
    }
}

impl<T: Clone> Extend<T> for Rows<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, rows: I) {
        rows.into_iter().for_each(|row| self.push(row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over the edge of a block, in both directions, and with a clone that stays as it was.
    #[test]
    fn rows_are_where_they_were_put_and_a_clone_sees_no_change() {
        let count = BLOCK_ROWS + 2;
        let mut rows: Rows<usize> = Rows::default();
        rows.extend(0..count);
        assert_eq!((rows.len(), rows.blocks.len()), (count, 2));
        assert_eq!((rows.get(BLOCK_ROWS), rows.get(count)), (Some(&BLOCK_ROWS), None));
        assert_eq!(rows.block(1), [BLOCK_ROWS, BLOCK_ROWS + 1]);
        assert!(rows.range(BLOCK_ROWS - 1..count + 9).copied().eq(BLOCK_ROWS - 1..count));
        let before = rows.clone();

        rows.swap_remove(7);
        rows.swap_remove(BLOCK_ROWS);
        rows.swap_remove(count);
        assert_eq!((rows.len(), rows.blocks.len()), (BLOCK_ROWS, 1));
        assert_eq!((rows.get(7), rows.get(6)), (Some(&(BLOCK_ROWS + 1)), Some(&6)));
        rows.push(99);
        assert_eq!(rows.block(1), [99]);
        assert!(before.iter().copied().eq(0..count));

        // The last of all.
        let mut one: Rows<usize> = Rows::default();
        one.push(5);
        one.swap_remove(0);
        assert_eq!((one.len(), one.iter().count(), one.blocks.len()), (0, 0, 0));
    }
}
