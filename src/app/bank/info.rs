//! `owlet bank info`.

use std::collections::BTreeMap;
use std::fmt::Write;

use owlet::ground::{Bank, BankManifest, PairId, PairOrigin};
use serde_json::{Value, json};

use super::args::InfoArgs;
use super::{load, told};
use crate::app::{Finish, plain_table, print_out, visible};

/// Captions that are listed with their counts.
const MOST_CAPTIONS: usize = 10;

pub(super) fn run(args: &InfoArgs) -> anyhow::Result<Finish> {
    let manifest = BankManifest::read(&args.bank).map_err(told)?;
    // All of it, so that a damaged bank is told as such.
    let bank = load(&args.bank)?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&as_json(&manifest, &bank, args.pairs))? + "\n",
        false => as_text(&manifest, &bank, args.pairs),
    };
    print_out(text)?;
    Ok(Finish::Done)
}

/// How often each name stands in a bank, the most frequent first.
fn counts<'a>(bank: &'a Bank, name: fn(&'a PairOrigin) -> &'a str) -> Vec<(&'a str, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, origin) in bank.pairs() {
        *counts.entry(name(origin)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn size_bytes(manifest: &BankManifest) -> u64 {
    manifest.files().map(|file| file.bytes).sum()
}

fn as_text(manifest: &BankManifest, bank: &Bank, all: bool) -> String {
    let mut text = String::new();
    let captions = counts(bank, |origin| &origin.caption);
    let sources = counts(bank, |origin| &origin.source);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} pairs of {} captions and {} pictures or recordings, {:.1} MB, state {}\n\
         k {}, p {}, margin {}\n\
         image encoder: {}\n\
         text encoder:  {}",
        bank.len(),
        captions.len(),
        sources.len(),
        size_bytes(manifest) as f64 / 1e6,
        manifest.generation,
        manifest.k,
        manifest.p,
        manifest.margin,
        visible(&manifest.image_encoder.to_string()),
        visible(&manifest.text_encoder.to_string()),
    );
    let _ = writeln!(text);
    if all {
        let mut table = plain_table(["id", "caption", "source", "box"], &[0]);
        for (id, origin) in bank.pairs() {
            let area = origin.box_in_source_px.map_or_else(String::new, |area| {
                area.corners().map(|corner| format!("{corner:.0}")).join(" ")
            });
            let stamp = origin.stamp.map_or_else(String::new, |stamp| format!(" at {stamp}"));
            let source = format!("{}{stamp}", origin.source);
            table.add_row([id.to_string(), visible(&origin.caption), visible(&source), area]);
        }
        let _ = writeln!(text, "{table}");
    } else {
        let mut table = plain_table(["pairs", "caption"], &[0]);
        for (caption, count) in captions.iter().take(MOST_CAPTIONS) {
            table.add_row([count.to_string(), visible(caption)]);
        }
        let _ = writeln!(text, "{table}");
        if captions.len() > MOST_CAPTIONS {
            let _ = writeln!(text, "and {} more", captions.len() - MOST_CAPTIONS);
        }
    }
    text
}

fn as_json(manifest: &BankManifest, bank: &Bank, all: bool) -> Value {
    let mut value = json!({
        "pairs": bank.len(),
        "captions": counts(bank, |origin| &origin.caption).len(),
        "sources": counts(bank, |origin| &origin.source).len(),
        "size_bytes": size_bytes(manifest),
        "generation": manifest.generation,
        "k": manifest.k,
        "p": manifest.p,
        "margin": manifest.margin,
        "image_encoder": manifest.image_encoder,
        "text_encoder": manifest.text_encoder,
    });
    if all {
        value["list"] = bank.pairs().map(pair_json).collect();
    }
    value
}

fn pair_json((id, origin): (PairId, &PairOrigin)) -> Value {
    json!({
        "id": id,
        "caption": origin.caption,
        "source": &*origin.source,
        "topic": origin.topic.as_deref(),
        "stamp_nanos": origin.stamp.map(|stamp| stamp.0),
        "box_px": origin.box_in_source_px.map(|area| area.corners()),
    })
}
