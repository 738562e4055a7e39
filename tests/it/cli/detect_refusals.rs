//! Models, devices and command lines that `owlet detect` refuses.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::{checkpoint, detect_words, picture, run, words};

fn with_model(model: &Path, code: i32) -> super::Ran {
    let ran = run(words!["detect", picture("square.png"), "-p", "cat", "--model", model], code);
    assert_eq!((ran.errors(), ran.stdout.as_str()), (1, ""), "{ran}");
    ran
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let ran = with_model(Path::new("owlvit-base-patch33"), 2);
    ran.says(&["`owlvit-base-patch33`", "owlvit-base-patch32", "owlv2-large-patch14-ensemble"]);
    let ran = with_model(Path::new("owlv2-large-patch14-ensemble"), 1);
    ran.says(&["is not on this machine", "`owlet pull owlv2-large-patch14-ensemble`"]);
    with_model(Path::new("/nonexistent/model"), 1).says(&["there is nothing at this path"]);
    with_model(&picture("square.png"), 1).says(&["it is a file"]);
}

#[test]
fn a_checkpoint_that_cannot_be_loaded_is_one_clear_line() {
    let lacks = checkpoint("owlvit_tiny");
    fs::remove_file(lacks.path().join("config.json")).unwrap();
    fs::remove_file(lacks.path().join("model.safetensors")).unwrap();
    with_model(lacks.path(), 1).says(&["lacks config.json, model.safetensors"]);

    // A pickle is never loaded, under whichever name.
    fs::copy(
        crate::golden_models::fixture("owlvit_tiny/config.json"),
        lacks.path().join("config.json"),
    )
    .unwrap();
    fs::write(lacks.path().join("pytorch_model.bin"), b"\x80\x02}q\x00.").unwrap();
    with_model(lacks.path(), 1).says(&["pytorch_model.bin", "never loaded"]);
    fs::rename(lacks.path().join("pytorch_model.bin"), lacks.path().join("model.safetensors"))
        .unwrap();
    with_model(lacks.path(), 1).says(&["model.safetensors is not safetensors"]);

    let cut = checkpoint("owlvit_tiny");
    let weights = cut.path().join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    with_model(cut.path(), 1).says(&["model.safetensors"]);

    let other = checkpoint("owlvit_tiny");
    let config = other.path().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"hidden_size\": 40", "\"hidden_size\": 45")).unwrap();
    with_model(other.path(), 1).says(&["do not fit"]);

    let mute = checkpoint("owlv2_tiny");
    fs::remove_file(mute.path().join("tokenizer.json")).unwrap();
    with_model(mute.path(), 1).says(&["tokenizer.json"]);
}

#[test]
fn a_device_that_is_not_there_is_an_error_that_says_what_is() {
    let detect = |more: Vec<OsString>, code| {
        let words = detect_words(&[&picture("square.png")], [words!["-p", "cat"], more].concat());
        let ran = run(words, code);
        assert_eq!((ran.errors(), ran.stdout.as_str()), (1, ""), "{ran}");
        ran
    };
    // No machine has that many.
    detect(words!["--device", "cuda:77"], 1).says(&["device cuda:77 is not there", "cpu"]);
    detect(words!["--device", "cpu", "--dtype", "f16"], 2)
        .says(&["dtype f16 is refused on the CPU", "use f32"]);
}
