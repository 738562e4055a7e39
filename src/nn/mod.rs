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
mod clock;
mod conv;
mod cuda;
mod device;
mod encoder;
mod layers;
mod params;
mod towers;

pub use activation::{Activation, UnknownActivation};
pub use attention::{Attention, Projections};
pub use clock::StageClock;
pub use conv::{Conv2d, ConvShape, Enlargement, RowEnlargement};
pub use cuda::load_cuda_backend;
pub use device::{DeviceRefused, device_name, kind_name, resolve_device};
pub use encoder::{Encoder, EncoderConfig, EncoderLayer, Mlp};
pub use layers::{BatchNorm, Embedding, LayerNorm, Linear, PatchEmbedding, unit_length};
pub use params::{Kept, Params, Scope, parameter_shapes};
pub use towers::{ImageTower, ImageTowerConfig, TextTower, TextTowerConfig, stretch_positions};
