//! Grouping: tokens of an image are given to groups, each to one.

use tch::{Kind, TchError, Tensor};

use super::GroupVitConfig;
use crate::nn::{Activation, Attention, EncoderConfig, LayerNorm, Linear, Mlp, Scope};

/// Keys `fc1` and `fc2`; `sizes` are of the inputs, inside and of the outputs.
fn mlp(scope: &Scope<'_>, sizes: [i64; 3], activation: Activation) -> Mlp {
    let [inputs, inside, outputs] = sizes;
    let fc1 = Linear::new(&scope.at("fc1"), inputs, inside);
    Mlp::from_parts(fc1, Linear::new(&scope.at("fc2"), inside, outputs), activation)
}

/// A two-layer perceptron along the tokens and not along the channels.
#[derive(Debug)]
pub(super) struct Mixer(Mlp);

impl Mixer {
    /// `tokens` as the sizes of [`mlp`].
    pub(super) fn new(scope: &Scope<'_>, tokens: [i64; 3], encoder: &EncoderConfig) -> Self {
        Self(mlp(scope, tokens, encoder.activation))
    }

    /// `[batch, inputs, size]` to `[batch, outputs, size]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.0.forward(&x.f_transpose(1, 2)?)?.f_transpose(1, 2)
    }
}

/// Groups look at the tokens that they may take.
#[derive(Debug)]
struct PreAssign {
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    norm_post: LayerNorm,
}

impl PreAssign {
    fn new(scope: &Scope<'_>, encoder: &EncoderConfig) -> Self {
        let norm =
            |name: &str| LayerNorm::new(&scope.at(name), encoder.size, encoder.layer_norm_eps);
        Self {
            attn: Attention::new(&scope.at("attn"), encoder.size, encoder.heads),
            norm2: norm("norm2"),
            mlp: Mlp::new(&scope.at("mlp"), encoder),
            norm_post: norm("norm_post"),
        }
    }

    fn forward(&self, groups: &Tensor, tokens: &Tensor) -> Result<Tensor, TchError> {
        let x = groups.f_add(&self.attn.forward_cross(groups, tokens)?)?;
        let x = x.f_add(&self.mlp.forward(&self.norm2.forward(&x)?)?)?;
        self.norm_post.forward(&x)
    }
}

/// Gives each token to the group that it is most like, and each group the mean of its tokens.
#[derive(Debug)]
struct Assign {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    proj: Linear,
    scale: f64,
    eps: f64,
}

impl Assign {
    fn new(scope: &Scope<'_>, size: i64, eps: f64) -> Self {
        let projection = |name: &str| Linear::new(&scope.at(name), size, size);
        Self {
            q_proj: projection("q_proj"),
            k_proj: projection("k_proj"),
            v_proj: projection("v_proj"),
            proj: projection("proj"),
            scale: (size as f64).powf(-0.5),
            eps,
        }
    }

    /// `groups` `[batch, groups, size]` and `tokens` `[batch, tokens, size]` to what the groups
    /// get, `[batch, groups, size]`, and how much each token is like each group, f32
    /// `[batch, groups, tokens]`, where a token's numbers add up to 1.
    fn forward(&self, groups: &Tensor, tokens: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let queries = self.q_proj.forward(groups)?;
        let keys = self.k_proj.forward(tokens)?;
        let alike = queries.f_matmul(&keys.f_transpose(1, 2)?)?.f_mul_scalar(self.scale)?;
        let soft = alike.f_softmax(1, Kind::Float)?;
        // The Gumbel noise of the paper is for training.
        let hard = soft.f_zeros_like()?.f_scatter_value(1, &soft.f_argmax(1, true)?, 1.0)?;
        let taken = hard.f_sum_dim_intlist([-1].as_slice(), true, Kind::Float)?;
        let shares = hard.f_div(&taken.f_add_scalar(self.eps)?)?.f_to_kind(tokens.kind())?;
        let given = shares.f_matmul(&self.v_proj.forward(tokens)?)?;
        Ok((self.proj.forward(&given)?, soft))
    }
}

/// A grouping block: from tokens and the group tokens that went with them to groups.
#[derive(Debug)]
pub(super) struct TokenAssign {
    norm_tokens: LayerNorm,
    mlp_inter: Mixer,
    norm_post_tokens: LayerNorm,
    norm_x: LayerNorm,
    pre_assign_attn: PreAssign,
    assign: Assign,
    norm_new_x: LayerNorm,
    mlp_channels: Mlp,
}

impl TokenAssign {
    /// Of the stage `stage`, which has group tokens.
    pub(super) fn new(scope: &Scope<'_>, config: &GroupVitConfig, stage: usize) -> Self {
        let (encoder, grouping) = (&config.image.encoder, &config.grouping);
        let norm =
            |name: &str| LayerNorm::new(&scope.at(name), encoder.size, encoder.layer_norm_eps);
        let mixed =
            [grouping.group_tokens[stage], grouping.mixed_tokens, grouping.output_groups[stage]];
        Self {
            norm_tokens: norm("norm_tokens"),
            mlp_inter: Mixer::new(&scope.at("mlp_inter"), mixed, encoder),
            norm_post_tokens: norm("norm_post_tokens"),
            norm_x: norm("norm_x"),
            pre_assign_attn: PreAssign::new(&scope.at("pre_assign_attn"), encoder),
            assign: Assign::new(&scope.at("assign"), encoder.size, grouping.assign_eps),
            norm_new_x: norm("norm_new_x"),
            mlp_channels: mlp(
                &scope.at("mlp_channels"),
                [encoder.size, grouping.mixed_channels, encoder.size],
                encoder.activation,
            ),
        }
    }

    /// `[batch, tokens, size]` and `[batch, group tokens, size]` to `[batch, groups, size]`, and
    /// what [`Assign::forward`] says of the tokens.
    pub(super) fn forward(
        &self,
        tokens: &Tensor,
        group_tokens: &Tensor,
    ) -> Result<(Tensor, Tensor), TchError> {
        let tokens = self.norm_x.forward(tokens)?;
        let groups = self.mlp_inter.forward(&self.norm_tokens.forward(group_tokens)?)?;
        let groups = self.norm_post_tokens.forward(&groups)?;
        let groups = self.pre_assign_attn.forward(&groups, &tokens)?;
        let (given, soft) = self.assign.forward(&groups, &tokens)?;
        let groups = groups.f_add(&given)?;
        let thought = self.mlp_channels.forward(&self.norm_new_x.forward(&groups)?)?;
        Ok((groups.f_add(&thought)?, soft))
    }
}
