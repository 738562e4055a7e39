//! Rows of token ids to vectors, and the means of those.

use tch::{Kind, Tensor};

use crate::models::ForwardError;
use crate::types::PromptSet;

/// Texts that are encoded in one pass: bounds the memory that a set of any size takes.
pub(super) const TEXTS_PER_PASS: usize = 256;

/// The rows of each prompt that averages become one, their mean at the mean of their lengths (unit
/// vectors give a unit vector, as in the ensembles of the CLIP paper); those of other prompts stay.
/// `rows` is f32 `[n, size]`, and `prompt_of_row` says whose each of them is, rising. The same for
/// what comes out.
///
/// # Errors
/// What libtorch reports.
pub fn averaged(
    rows: &Tensor,
    prompt_of_row: &[usize],
    set: &PromptSet,
) -> Result<(Tensor, Vec<usize>), ForwardError> {
    mean_of_groups(rows, prompt_of_row, |prompt| set.prompts[prompt].average)
}

/// The rows of each group of more than one that `averages` become one, as in [`averaged`]; what
/// comes out says again which group each row is of.
pub(super) fn mean_of_groups(
    rows: &Tensor,
    group_of_row: &[usize],
    averages: impl Fn(usize) -> bool,
) -> Result<(Tensor, Vec<usize>), ForwardError> {
    let becomes_one = |group: &[usize]| group.len() > 1 && averages(group[0]);
    if !group_of_row.chunk_by(PartialEq::eq).any(becomes_one) {
        return Ok((rows.shallow_clone(), group_of_row.to_vec()));
    }
    let (mut parts, mut groups, mut first) = (Vec::new(), Vec::new(), 0);
    for group in group_of_row.chunk_by(PartialEq::eq) {
        let part = rows.f_narrow(0, first, group.len() as i64)?;
        first += group.len() as i64;
        if becomes_one(group) {
            let length = |rows: &Tensor| rows.f_linalg_norm(2.0, [-1].as_slice(), true, None);
            let mean = |rows: &Tensor| rows.f_mean_dim([0].as_slice(), true, Kind::Float);
            let lengths = length(&part)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
            let middle = mean(&part.f_div(&lengths)?)?;
            let scale = mean(&lengths)?.f_div(&length(&middle)?.f_clamp_min(1e-12)?)?;
            parts.push(middle.f_mul(&scale)?);
            groups.push(group[0]);
        } else {
            parts.push(part);
            groups.extend(group);
        }
    }
    Ok((Tensor::f_cat(&parts, 0)?, groups))
}

/// `rows` of token ids, all of one length and at least one of them, to f32 `[rows, size]`: gives
/// them to `embed` in passes, without the padding that all of a pass have. The caller switches
/// gradients off.
///
/// # Errors
/// What `embed` and libtorch report.
pub fn embed_rows(
    rows: &[Vec<i64>],
    end_id: i64,
    embed: impl Fn(&Tensor) -> Result<Tensor, ForwardError>,
) -> Result<Tensor, ForwardError> {
    let mut parts = Vec::with_capacity(rows.len().div_ceil(TEXTS_PER_PASS));
    for chunk in rows.chunks(TEXTS_PER_PASS) {
        // What follows the end of the longest text is padding that nothing looks at: attention is
        // causal, and a text is read at its end token.
        let used = |row: &Vec<i64>| {
            row.iter().position(|id| *id == end_id).map_or(row.len(), |end| end + 1)
        };
        let tokens = chunk.iter().map(used).max().unwrap_or(0);
        let ids: Vec<i64> = chunk.iter().flat_map(|row| row[..tokens].iter().copied()).collect();
        let ids = Tensor::f_from_slice(&ids)?.f_view([chunk.len() as i64, tokens as i64])?;
        parts.push(embed(&ids)?);
    }
    Ok(Tensor::f_cat(&parts, 0)?.f_to_kind(Kind::Float)?)
}
