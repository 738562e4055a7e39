//! Many rows of one length, in blocks.

use std::ops::Range;
use std::sync::Arc;

use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::rows::BLOCK_ROWS;

/// A matrix of f32 on the CPU that grows and shrinks at its end. A clone shares its blocks; whoever
/// writes to a block that is shared takes a copy of it first.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    dimension: usize,
    rows: usize,
    blocks: Vec<Block>,
}

/// Rows in memory that others may read at the same time.
#[derive(Debug)]
struct Block {
    /// `[BLOCK_ROWS, dimension]`; rows behind the last one of the matrix are not initialised.
    rows: Tensor,
    /// One for each handle of this memory. Dropped after `rows`: who is the only one left knows that
    /// nobody else reads.
    users: Arc<()>,
}

impl Block {
    fn new(dimension: usize) -> Result<Self, TchError> {
        // Memory that is not written to is not taken from the system.
        let shape = [BLOCK_ROWS as i64, dimension as i64];
        let rows = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
        Ok(Self { rows, users: Arc::new(()) })
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        Self { rows: self.rows.shallow_clone(), users: Arc::clone(&self.users) }
    }
}

impl Matrix {
    pub(super) fn new(dimension: usize) -> Self {
        Self { dimension, rows: 0, blocks: Vec::new() }
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// Appends a row.
    ///
    /// # Panics
    /// Where it has another length.
    pub(super) fn push(&mut self, row: &[f32]) -> Result<(), TchError> {
        assert_eq!(row.len(), self.dimension, "rows are checked before");
        self.push_rows(row)
    }

    /// Appends whole rows, one after the other.
    pub(super) fn push_rows(&mut self, mut numbers: &[f32]) -> Result<(), TchError> {
        while !numbers.is_empty() {
            let (block, first) = (self.rows / BLOCK_ROWS, self.rows % BLOCK_ROWS);
            if block == self.blocks.len() {
                self.blocks.push(Block::new(self.dimension)?);
            }
            let rows = (numbers.len() / self.dimension).min(BLOCK_ROWS - first);
            let (these, others) = numbers.split_at(rows * self.dimension);
            self.write(block, first, these)?;
            self.rows += rows;
            numbers = others;
        }
        Ok(())
    }

    /// Puts a copy of the last row into a row.
    pub(super) fn copy_last_to(&mut self, row: usize) -> Result<(), TchError> {
        if row + 1 < self.rows {
            let last = self.row(self.rows - 1)?;
            self.write(row / BLOCK_ROWS, row % BLOCK_ROWS, &last)?;
        }
        Ok(())
    }

    /// Drops all rows from `rows` on.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.blocks.truncate(self.rows.div_ceil(BLOCK_ROWS));
    }

    /// Makes the block of a row this matrix's own, so that writing to it takes no memory.
    pub(super) fn own(&mut self, row: usize) -> Result<(), TchError> {
        let at = row / BLOCK_ROWS;
        let filled = self.rows.saturating_sub(at * BLOCK_ROWS).min(BLOCK_ROWS) as i64;
        let block = &mut self.blocks[at];
        if Arc::get_mut(&mut block.users).is_some() {
            return Ok(());
        }
        let own = Block::new(self.dimension)?;
        no_grad(|| own.rows.f_narrow(0, 0, filled)?.f_copy_(&block.rows.f_narrow(0, 0, filled)?))?;
        *block = own;
        Ok(())
    }

    /// One row.
    pub(super) fn row(&self, row: usize) -> Result<Vec<f32>, TchError> {
        let mut numbers = vec![0.0; self.dimension];
        let place = self.blocks[row / BLOCK_ROWS].rows.f_narrow(0, (row % BLOCK_ROWS) as i64, 1)?;
        place.f_copy_data(&mut numbers, self.dimension)?;
        Ok(numbers)
    }

    /// The rows of some blocks, one block after the other; those that there are.
    pub(super) fn blocks(
        &self,
        blocks: Range<usize>,
    ) -> impl Iterator<Item = Result<Vec<f32>, TchError>> {
        let some = self.filled().skip(blocks.start).take(blocks.len());
        some.map(|(_, rows, block)| {
            let mut numbers = vec![0.0; rows * self.dimension];
            block.and_then(|block| block.f_copy_data(&mut numbers, rows * self.dimension))?;
            Ok(numbers)
        })
    }

    /// The products of vectors with all rows, block by block: `each` gets the number of a block, how
    /// many rows it has, and for each vector so many products.
    pub(super) fn for_each_block(
        &self,
        vectors: &[Vec<f32>],
        mut each: impl FnMut(usize, usize, &[f32]),
    ) -> Result<(), TchError> {
        if vectors.is_empty() {
            return Ok(());
        }
        let shape = [vectors.len() as i64, self.dimension as i64];
        let vectors_flat = vectors.concat();
        let mut products = Vec::new();
        no_grad(|| {
            let queries = Tensor::f_from_slice(&vectors_flat)?.f_view(shape)?;
            for (at, rows, block) in self.filled() {
                // One vector is read past the rows as they lie, twice as fast as by a product of
                // matrices.
                let found = match vectors.len() {
                    1 => block?.f_mv(&queries.f_view([-1])?)?,
                    _ => queries.f_matmul(&block?.f_transpose(0, 1)?)?,
                };
                products.resize(vectors.len() * rows, 0.0);
                found.f_copy_data(&mut products, vectors.len() * rows)?;
                each(at, rows, &products);
            }
            Ok(())
        })
    }

    /// The number of each block, how many rows of it are in use, and those.
    fn filled(&self) -> impl Iterator<Item = (usize, usize, Result<Tensor, TchError>)> {
        self.blocks.iter().enumerate().map(|(at, block)| {
            let rows = (self.rows - at * BLOCK_ROWS).min(BLOCK_ROWS);
            (at, rows, block.rows.f_narrow(0, 0, rows as i64))
        })
    }

    fn write(&mut self, block: usize, first: usize, rows: &[f32]) -> Result<(), TchError> {
        self.own(block * BLOCK_ROWS)?;
        let count = (rows.len() / self.dimension) as i64;
        let source = Tensor::f_from_slice(rows)?.f_view([count, self.dimension as i64])?;
        no_grad(|| self.blocks[block].rows.f_narrow(0, first as i64, count)?.f_copy_(&source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: usize) -> [f32; 3] {
        [number as f32, 1.0, -(number as f32)]
    }

    /// Over the edge of a block, in both directions.
    #[test]
    fn rows_are_where_they_were_put() {
        let mut matrix = Matrix::new(3);
        let count = BLOCK_ROWS + 5;
        let numbers: Vec<f32> = (0..count - 1).flat_map(row).collect();
        matrix.push_rows(&numbers).unwrap();
        matrix.push(&row(count - 1)).unwrap();
        assert_eq!((matrix.rows, matrix.blocks.len()), (count, 2));
        assert_eq!(matrix.row(BLOCK_ROWS + 2).unwrap(), row(BLOCK_ROWS + 2));
        let all: Vec<f32> = matrix.blocks(0..9).flat_map(Result::unwrap).collect();
        assert_eq!(all, (0..count).flat_map(row).collect::<Vec<_>>());

        let last: Vec<_> = matrix.blocks(1..2).map(Result::unwrap).collect();
        assert_eq!(last, [all[3 * BLOCK_ROWS..].to_vec()]);

        let mut products = vec![Vec::new(); 2];
        let vectors = [vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 1.0]];
        matrix
            .for_each_block(&vectors, |at, rows, found| {
                assert_eq!(at * BLOCK_ROWS, products[0].len());
                for (all, found) in products.iter_mut().zip(found.chunks_exact(rows)) {
                    all.extend_from_slice(found);
                }
            })
            .unwrap();
        assert_eq!(products[0], (0..count).map(|at| at as f32).collect::<Vec<_>>());
        assert_eq!(products[1], (0..count).map(|at| 1.0 - at as f32).collect::<Vec<_>>());

        let before = matrix.clone();
        matrix.copy_last_to(7).unwrap();
        matrix.truncate(BLOCK_ROWS);
        assert_eq!((matrix.rows, matrix.blocks.len()), (BLOCK_ROWS, 1));
        assert_eq!(matrix.row(7).unwrap(), row(count - 1));
        matrix.copy_last_to(BLOCK_ROWS - 1).unwrap();
        assert_eq!(matrix.row(BLOCK_ROWS - 1).unwrap(), row(BLOCK_ROWS - 1));
        matrix.push(&row(0)).unwrap();
        matrix.truncate(0);
        assert_eq!(matrix.blocks.len(), 0);
        // Nothing of it reached the clone, whose memory was the same.
        let all: Vec<f32> = before.blocks(0..9).flat_map(Result::unwrap).collect();
        assert_eq!(all, (0..count).flat_map(row).collect::<Vec<_>>());
        matrix.for_each_block(&vectors, |_, _, _| panic!("no rows")).unwrap();
    }
}
