//! Where blocks get their learned tensors from.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;

use tch::Tensor;

/// A source of learned tensors by name.
pub trait Params {
    /// The tensor `name`, of exactly `shape`, on the device and in the number format of the
    /// source.
    ///
    /// A source that cannot give it notes why, to report every problem at once, and returns a
    /// tensor without elements: constructors therefore only store what they take and compute
    /// nothing from it.
    fn take(&self, name: &str, shape: &[i64]) -> Tensor;

    /// `name` may be stored as a copy of `original`, which has been taken; nothing is loaded. A
    /// source that keeps account notes a copy with other values as a problem.
    fn tied(&self, _name: &str, _original: &str) {}
}

/// The tensors that a network took, by name: what builds it once more, for another thread. All such
/// networks share their weights, which nothing changes once they are loaded; a tensor may be sent to
/// another thread, and not be shared with it.
#[derive(Debug, Default)]
pub struct Kept(BTreeMap<String, Tensor>);

impl Kept {
    /// What `build` makes of the tensors of `source`, and those tensors.
    pub fn build<T>(source: &dyn Params, build: impl FnOnce(&Scope<'_>) -> T) -> (T, Self) {
        let keeping = Keeping { source, kept: RefCell::default() };
        let built = build(&Scope::root(&keeping));
        (built, Self(keeping.kept.into_inner()))
    }
}

impl Clone for Kept {
    fn clone(&self) -> Self {
        let clone = |(name, tensor): (&String, &Tensor)| (name.clone(), tensor.shallow_clone());
        Self(self.0.iter().map(clone).collect())
    }
}

impl Params for Kept {
    fn take(&self, name: &str, _shape: &[i64]) -> Tensor {
        self.0.get(name).map(Tensor::shallow_clone).unwrap_or_default()
    }
}

struct Keeping<'a> {
    source: &'a dyn Params,
    kept: RefCell<BTreeMap<String, Tensor>>,
}

impl Params for Keeping<'_> {
    fn take(&self, name: &str, shape: &[i64]) -> Tensor {
        let tensor = self.source.take(name, shape);
        self.kept.borrow_mut().insert(name.to_owned(), tensor.shallow_clone());
        tensor
    }

    fn tied(&self, name: &str, original: &str) {
        self.source.tied(name, original);
    }
}

/// A place in the tree of names, such as `owlvit.text_model.encoder.layers.3`.
#[derive(Clone)]
pub struct Scope<'a> {
    params: &'a dyn Params,
    prefix: String,
}

impl<'a> Scope<'a> {
    /// The root of the tree: names stand as they are.
    #[must_use]
    pub fn root(params: &'a dyn Params) -> Self {
        Self { params, prefix: String::new() }
    }

    /// The place `name` below this one.
    #[must_use]
    pub fn at(&self, name: impl Display) -> Self {
        Self { params: self.params, prefix: self.full_name(&name) }
    }

    /// The tensor `name` at this place; see [`Params::take`].
    pub fn take(&self, name: &str, shape: &[i64]) -> Tensor {
        self.params.take(&self.full_name(&name), shape)
    }

    /// The tensor `name` at this place is `original` (by its full name) once more; see
    /// [`Params::tied`].
    pub fn tied(&self, name: &str, original: &str) {
        self.params.tied(&self.full_name(&name), original);
    }

    fn full_name(&self, name: &dyn Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }
}

/// The key and shape of every tensor that `build` takes, in the order in which it takes them;
/// nothing is loaded.
pub fn parameter_shapes(build: impl FnOnce(&Scope<'_>)) -> Vec<(String, Vec<i64>)> {
    /// Gives nothing and writes down what was asked for.
    #[derive(Default)]
    struct Recorder(RefCell<Vec<(String, Vec<i64>)>>);

    impl Params for Recorder {
        fn take(&self, name: &str, shape: &[i64]) -> Tensor {
            self.0.borrow_mut().push((name.to_owned(), shape.to_vec()));
            Tensor::new()
        }
    }

    let recorder = Recorder::default();
    build(&Scope::root(&recorder));
    recorder.0.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    struct Names(RefCell<Vec<String>>);

    impl Params for Names {
        fn take(&self, name: &str, shape: &[i64]) -> Tensor {
            self.0.borrow_mut().push(name.to_owned());
            Tensor::zeros(shape, (Kind::Float, Device::Cpu))
        }
    }

    #[test]
    fn names_are_joined_by_dots() {
        let names = Names(RefCell::default());
        let root = Scope::root(&names);
        let _ = root.take("logit_scale", &[]);
        let _ = root.at("encoder").at("layers").at(3).take("weight", &[2]);
        assert_eq!(*names.0.borrow(), ["logit_scale", "encoder.layers.3.weight"]);
    }

    #[test]
    fn what_was_kept_builds_the_same_once_more_with_the_same_memory() {
        let names = Names(RefCell::default());
        let build = |root: &Scope<'_>| (root.take("scale", &[1]), root.at("dense").take("w", &[2]));
        let ((scale, weight), kept) = Kept::build(&names, build);
        for kept in [&kept, &kept.clone()] {
            let (again, weight_again) = build(&Scope::root(kept));
            assert_eq!(again.data_ptr(), scale.data_ptr());
            assert_eq!(weight_again.data_ptr(), weight.data_ptr());
        }
        assert_eq!(names.0.borrow().len(), 2, "nothing is loaded again");
    }
}
