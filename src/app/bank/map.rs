//! `owlet bank map`.

use std::sync::Arc;

use anyhow::Context;
use owlet::ground::asif::Asif;
use owlet::ground::similarity_maps;
use owlet::vision::decode::decode_file;
use owlet::vision::encode::encode_png;

use super::args::MapArgs;
use super::{encoders_of, load, told};
use crate::app::{Finish, Refused, print_out};

pub(super) fn run(args: &MapArgs) -> anyhow::Result<Finish> {
    let bank = load(&args.bank)?;
    if bank.is_empty() {
        return Err(Refused(format!("{}: the bank has no pairs", args.bank.display())).into());
    }
    let image = Arc::new(decode_file(&args.image)?);
    let mut encoders =
        encoders_of(&bank, (&args.image_encoder, &args.text_encoder), (args.device, None))?;
    let patches = encoders.image.encoder.patches(&[Arc::clone(&image)])?;
    let info = encoders.image.encoder.info();
    let patches = patches.and_then(|mut all| all.pop()).ok_or_else(|| {
        let (name, architecture) = (&info.name, &info.architecture);
        Refused(format!(
            "expected an image encoder that gives vectors of patches (ViT, DINO, DINOv2), found \
             {name} ({architecture})"
        ))
    })?;
    let texts = [args.text.clone()];
    let vectors = encoders.text.encoder.encode(&texts);
    let vectors = vectors.map_err(|error| Refused(format!("--text: {error}")))?;
    let mut asif = Asif::new(bank);
    asif.set_texts(&vectors).map_err(told)?;
    let map = similarity_maps(&asif, &patches).map_err(told)?.pop().context("a map for a text")?;
    let png = encode_png(&map.drawn_over(&image))?;
    std::fs::write(&args.out, png)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    let [x, y] = map.best_place_in_source_px();
    print_out(format!(
        "{} x {} patches; best score {:.3} at {x:.0}, {y:.0} px\nwrote {}\n",
        map.columns,
        map.rows,
        map.best_score(),
        args.out.display()
    ))?;
    Ok(Finish::Done)
}
