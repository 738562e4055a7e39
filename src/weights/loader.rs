//! Gives tensors to blocks and keeps account of every key.

use std::cell::RefCell;
use std::collections::BTreeSet;

use safetensors::Dtype;
use tch::{Device, Kind, Tensor};

use super::{KeyProblems, Weights, WeightsError, WrongDtype, WrongShape};
use crate::nn::Params;

/// Endings of keys that hold nothing that a network computes with: values that follow from the
/// configuration, which older writers stored, and a count that only training uses.
const BUFFERS: &[&str] = &[".position_ids", ".num_batches_tracked"];

/// Endings of keys that were measured and not learned: they do not count as parameters.
const MEASURED: &[&str] = &[".running_mean", ".running_var"];

/// Gives the tensors of a checkpoint to blocks, each key once, and remembers what did not fit.
#[derive(Debug)]
pub struct Loader {
    weights: Weights,
    device: Device,
    kind: Kind,
    ignored: BTreeSet<String>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: BTreeSet<String>,
    problems: KeyProblems,
    /// The first failure to read or move a tensor; those after it have the same cause.
    failure: Option<WeightsError>,
    parameters: u64,
}

impl Loader {
    pub(super) fn new(weights: Weights, device: Device, kind: Kind) -> Self {
        Self { weights, device, kind, ignored: BTreeSet::new(), state: RefCell::default() }
    }

    /// Lets keys of these names be there without anybody asking for them: heads for tasks that a
    /// model is not loaded for. Any other key that nobody asks for stays an error.
    #[must_use]
    pub fn ignoring(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.ignored.extend(names);
        self
    }

    /// Ends the loading. Gives the number of learned parameters that were taken.
    ///
    /// # Errors
    /// Every key that was asked for and is missing, wrongly shaped or of a wrong type, and every
    /// stored key that nobody asked for, in one error; else the first failure to read.
    pub fn finish(self) -> Result<u64, WeightsError> {
        let State { taken, mut problems, failure, parameters } = self.state.into_inner();
        problems.unexpected = self
            .weights
            .names()
            .filter(|name| !taken.contains(*name) && !self.ignored.contains(*name))
            .filter(|name| !BUFFERS.iter().any(|buffer| name.ends_with(buffer)))
            .map(str::to_owned)
            .collect();
        problems.missing.sort();
        problems.wrong_shape.sort_by(|a, b| a.name.cmp(&b.name));
        problems.wrong_dtype.sort_by(|a, b| a.name.cmp(&b.name));
        if !problems.is_empty() {
            return Err(WeightsError::Keys { folder: self.weights.folder, problems });
        }
        failure.map_or(Ok(parameters), Err)
    }

    fn load(&self, name: &str, shape: &[i64]) -> Option<Tensor> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        state.taken.insert(name.to_owned());
        let Some((file, stored)) = self.weights.tensors.get(name) else {
            state.problems.missing.push(name.to_owned());
            return None;
        };
        let kind = kind_of(stored.dtype);
        if kind.is_none() {
            let found = stored.dtype.to_string();
            state.problems.wrong_dtype.push(WrongDtype { name: name.to_owned(), found });
        }
        if stored.shape != shape {
            state.problems.wrong_shape.push(WrongShape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: stored.shape.clone(),
            });
        }
        // Once something does not fit, only the keys are still of interest, not the data.
        if !state.problems.is_empty() || state.failure.is_some() {
            return None;
        }
        let loaded = self.weights.files[*file].read(stored).and_then(|bytes| {
            Tensor::f_from_data_size(&bytes, shape, kind.unwrap_or(self.kind))
                .and_then(|tensor| tensor.f_to_device_(self.device, self.kind, false, false))
                .map_err(|source| WeightsError::Torch { name: name.to_owned(), source })
        });
        match loaded {
            Ok(tensor) => {
                if !MEASURED.iter().any(|measured| name.ends_with(measured)) {
                    state.parameters += tensor.numel() as u64;
                }
                Some(tensor)
            }
            Err(failure) => {
                state.failure = Some(failure);
                None
            }
        }
    }
}

impl Params for Loader {
    fn take(&self, name: &str, shape: &[i64]) -> Tensor {
        self.load(name, shape).unwrap_or_default()
    }

    fn tied(&self, name: &str, original: &str) {
        let stored = |name: &str| self.weights.tensors.get(name);
        let (Some((file, copy)), Some((of_original, first))) = (stored(name), stored(original))
        else {
            // Without the original, its key is reported and that of the copy stays unexpected.
            return;
        };
        let bytes = self.weights.files[*file]
            .read(copy)
            .and_then(|copy| Ok((copy, self.weights.files[*of_original].read(first)?)));
        let mut state = self.state.borrow_mut();
        match bytes {
            // A copy with other values is one that nobody asked for.
            Ok((a, b)) if a == b && copy.shape == first.shape && copy.dtype == first.dtype => {
                state.taken.insert(name.to_owned());
            }
            Ok(_) => {}
            Err(failure) => {
                state.failure.get_or_insert(failure);
            }
        }
    }
}

/// The number formats in which learned tensors may be stored.
fn kind_of(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
    }
}
