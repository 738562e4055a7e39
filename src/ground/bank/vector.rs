//! Vectors of unit length.

use super::{BankError, Side};

/// The direction of a vector. `index` is its place among those that come with it.
pub(in crate::ground) fn unit(
    side: Side,
    index: usize,
    vector: &[f32],
    dimension: usize,
) -> Result<Vec<f32>, BankError> {
    let refuse = |reason: String| Err(BankError::Vector { side, index, reason });
    if vector.len() != dimension {
        return refuse(format!("expected {dimension} numbers, found {}", vector.len()));
    }
    if let Some(at) = vector.iter().position(|number| !number.is_finite()) {
        return refuse(format!("number {at} is {}", vector[at]));
    }
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    if length == 0.0 {
        return refuse("it has length 0 and so no direction".to_owned());
    }
    Ok(vector.iter().map(|number| (f64::from(*number) / length) as f32).collect())
}
