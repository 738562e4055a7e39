//! Which keys a checkpoint may have, and which folder is which encoder.

use owlet::ground::encode::{EncoderError, load_image_encoder, load_text_encoder};
use owlet::models::architecture;
use tch::{Device, Kind, Tensor};

use super::{change_weights, copied, folder, golden, options};
use crate::golden_models::{assert_close, fixture};

fn some() -> Tensor {
    Tensor::zeros([3], (Kind::Float, Device::Cpu))
}

/// Whether a changed copy of a checkpoint is refused, and why.
fn refused_with(name: &str, key: &str) -> Option<String> {
    let copy = copied(name);
    change_weights(copy.path(), |tensors| {
        tensors.insert(key.to_owned(), some());
    });
    let options = options(copy.path());
    let refused = match name {
        "bert" | "mpnet" => load_text_encoder(&options).err(),
        _ => load_image_encoder(&options).err(),
    };
    refused.map(|error| error.to_string())
}

#[test]
fn heads_of_other_tasks_are_passed_over_by_name_and_nothing_else_is() {
    for (name, key) in [
        ("vit", "vit.pooler.dense.weight"),
        ("vit", "vit.embeddings.mask_token"),
        ("dinov2", "classifier.bias"),
        ("timm", "head.bias"),
        ("bert", "pooler.dense.bias"),
        ("mpnet", "embeddings.position_ids"),
    ] {
        assert_eq!(refused_with(name, key), None, "{name} {key}");
    }
    for (name, key) in [
        ("vit", "pooler.dense.weight"),
        ("vit", "vit.encoder.layer.2.layernorm_before.weight"),
        ("dinov2", "embeddings.register_tokens"),
        ("dinov2", "head.weight"),
        ("timm", "fc_norm.weight"),
        ("timm", "blocks.0.ls1.gamma"),
        ("bert", "cls.predictions.bias"),
        ("mpnet", "embeddings.token_type_embeddings.weight"),
    ] {
        let refused = refused_with(name, key).unwrap();
        assert!(refused.contains(key), "{name} {key}: {refused}");
    }
}

#[test]
fn every_missing_key_is_named_at_once() {
    let copy = copied("timm");
    let missing = ["norm.bias", "blocks.1.attn.qkv.weight", "pos_embed"];
    change_weights(copy.path(), |tensors| {
        for name in missing {
            drop(tensors.remove(name).unwrap());
        }
    });
    let refused = load_image_encoder(&options(copy.path())).err().unwrap().to_string();
    for name in missing {
        assert!(refused.contains(name), "{refused}");
    }
}

#[test]
fn keys_with_and_without_the_prefix_of_a_head_are_one_network() {
    let copy = copied("vit");
    change_weights(copy.path(), |tensors| {
        *tensors = std::mem::take(tensors)
            .into_iter()
            .map(|(name, tensor)| (name.trim_start_matches("vit.").to_owned(), tensor))
            .collect();
    });
    let mut bare = load_image_encoder(&options(copy.path())).unwrap();
    let mut prefixed = load_image_encoder(&options(&folder("vit"))).unwrap();
    let image = std::sync::Arc::new(crate::golden_preprocess::picture("strip"));
    let image = [image];
    assert_eq!(bare.encode(&image).unwrap(), prefixed.encode(&image).unwrap());

    let copy = copied("bert");
    change_weights(copy.path(), |tensors| {
        *tensors = std::mem::take(tensors)
            .into_iter()
            .map(|(name, tensor)| (format!("bert.{name}"), tensor))
            .collect();
    });
    let mut prefixed = load_text_encoder(&options(copy.path())).unwrap();
    let vector = &prefixed.encode(&["a red mug".to_owned()]).unwrap()[0];
    let expected = golden("bert")["embeddings"].get(0);
    assert_close("prefixed", &Tensor::from_slice(vector), &expected, super::UNIT);
}

#[test]
fn a_folder_is_loaded_by_what_it_is() {
    for (path, image, text) in [
        (folder("vit"), Some("vit"), None),
        (folder("dinov2"), Some("dinov2"), None),
        (folder("timm"), Some("timm"), None),
        (fixture("owlvit_tiny"), Some("owlvit"), None),
        (fixture("owlv2_tiny"), Some("owlv2"), None),
        (folder("bert"), None, Some("bert")),
        (folder("mpnet"), None, Some("mpnet")),
        (fixture("clipseg_tiny"), None, None),
    ] {
        let found = load_image_encoder(&options(&path));
        assert_eq!(found.as_ref().ok().map(|found| found.info().architecture.as_str()), image);
        if let Err(error) = found {
            assert!(matches!(error, EncoderError::Architecture { .. }), "{error}");
        }
        let found = load_text_encoder(&options(&path));
        assert_eq!(found.as_ref().ok().map(|found| found.info().architecture.as_str()), text);
        if let Err(error) = found {
            let named = error.to_string();
            assert!(named.contains("bert") && named.contains(&architecture(&path).unwrap()));
        }
    }
    let mut bad = options(&folder("vit"));
    bad.threads = Some(0);
    assert!(matches!(load_image_encoder(&bad), Err(EncoderError::Threads { found: 0 })));
}
