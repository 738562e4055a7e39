//! What every model asks of its inputs, told before libtorch sees them.

use tch::Tensor;

use super::ForwardError;
use crate::nn::TextTowerConfig;

/// `[texts, tokens]` with at most `max_tokens` tokens, each in the vocabulary.
pub(super) fn check_token_ids(ids: &Tensor, text: &TextTowerConfig) -> Result<(), ForwardError> {
    let TextTowerConfig { vocabulary, max_tokens, .. } = *text;
    match *ids.size() {
        [texts, tokens] if texts > 0 && (1..=max_tokens).contains(&tokens) => {}
        _ => {
            return Err(ForwardError::Shape {
                tensor: "token ids",
                expected: format!("[texts, 1 to {max_tokens}]"),
                found: ids.size(),
            });
        }
    }
    for extreme in [ids.f_min()?, ids.f_max()?] {
        let found = extreme.f_int64_value(&[])?;
        if !(0..vocabulary).contains(&found) {
            return Err(ForwardError::TokenId { vocabulary, found });
        }
    }
    Ok(())
}

/// `[batch, 3, side, side]`.
pub(super) fn check_pixel_values(pixel_values: &Tensor, side: i64) -> Result<(), ForwardError> {
    check_pixel_values_of(pixel_values, (side, side))
}

/// `[batch, 3, height, width]`.
pub(super) fn check_pixel_values_of(
    pixel_values: &Tensor,
    (height, width): (i64, i64),
) -> Result<(), ForwardError> {
    match *pixel_values.size() {
        [batch, 3, h, w] if batch > 0 && h == height && w == width => Ok(()),
        _ => Err(ForwardError::Shape {
            tensor: "pixel values",
            expected: format!("[batch, 3, {height}, {width}]"),
            found: pixel_values.size(),
        }),
    }
}
