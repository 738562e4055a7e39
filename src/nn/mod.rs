//! Floor 2: torch blocks that several architectures share.
//!
//! Fields and constructors mirror the keys of Hugging Face checkpoints, so that a block is built
//! by walking down the names. A block takes its learned tensors from a [`Params`] and never sees
//! a file; which keys were missing or wrongly shaped is known, for all of them at once, when the
//! source is finished.
//!
//! Forward functions return libtorch's errors as values. None of them tracks gradients by itself:
//! the models run under `tch::no_grad`.

mod activation;
mod attention;
mod cuda;
mod encoder;
mod layers;
mod params;
mod towers;

pub use activation::{Activation, UnknownActivation};
pub use attention::Attention;
pub use cuda::load_cuda_backend;
pub use encoder::{Encoder, EncoderConfig, EncoderLayer, Mlp};
pub use layers::{Embedding, LayerNorm, Linear, PatchEmbedding};
pub use params::{Params, Scope};
pub use towers::{ImageTower, ImageTowerConfig, TextTower, TextTowerConfig};
