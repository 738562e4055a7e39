//! `owlet bank`: banks of coupled pictures and captions.

mod args;
mod captions;
mod coco;
mod gather;
mod info;
mod map;
mod recording;
mod skipped;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use owlet::ground::asif::AsifSettings;
use owlet::ground::{Bank, BankError, BankManifest, MAX_MARGIN, PairId, Side};
use owlet::types::{DeviceChoice, DtypeChoice};

pub(crate) use self::args::{AFTER_HELP, BankArgs};
use self::args::{AddArgs, BankCommand, BuildArgs, HowArgs, MergeArgs, RemoveArgs};
use self::gather::{GatherOptions, Gatherer};
use self::sources::Sources;
use super::encoders::{Encoders, EncodersSource};
use super::interrupt::Interrupt;
use super::out_folder::FolderLock;
use super::{Chatter, Finish, Refused, print_out};

pub(crate) fn run(args: &BankArgs, chatter: &Chatter) -> anyhow::Result<Finish> {
    match &args.command {
        BankCommand::Build(args) => build(args, chatter),
        BankCommand::Add(args) => add(args, chatter),
        BankCommand::Remove(args) => remove(args),
        BankCommand::Info(args) => info::run(args),
        BankCommand::Merge(args) => merge(args),
        BankCommand::Map(args) => map::run(args),
    }
}

/// What a bank refuses is the user's to change; all else has failed.
pub(crate) fn told(error: BankError) -> anyhow::Error {
    if error.is_refusal() { Refused(error.to_string()).into() } else { error.into() }
}

pub(crate) fn load(folder: &Path) -> anyhow::Result<Bank> {
    Bank::load(folder).map_err(told)
}

/// Where encoders run, and in which number format.
type On = (Option<DeviceChoice>, Option<DtypeChoice>);

fn encoders(image: &str, text: &str, (device, dtype): On) -> anyhow::Result<Encoders> {
    let (device, dtype) = (device.unwrap_or_default(), dtype.unwrap_or_default());
    EncodersSource::find(image, text, device, dtype, None)?.load()
}

/// Those of a bank, found by the names that they had or by others that were given for image and text.
fn encoders_of(
    bank: &Bank,
    (image, text): (&Option<String>, &Option<String>),
    on: On,
) -> anyhow::Result<Encoders> {
    let name = |given: &Option<String>, side| {
        given.clone().unwrap_or_else(|| bank.encoder(side).name.clone())
    };
    let encoders = encoders(&name(image, Side::Image), &name(text, Side::Text), on)?;
    bank.check_encoders(&encoders.image.id, &encoders.text.id).map_err(told)?;
    Ok(encoders)
}

fn build(args: &BuildArgs, chatter: &Chatter) -> anyhow::Result<Finish> {
    let settings = AsifSettings { k: args.k, p: args.p };
    settings.check().map_err(|error| Refused(error.to_string()))?;
    // Before encoders are loaded.
    if !(0.0..=MAX_MARGIN).contains(&args.margin) {
        return Err(Refused(format!("--{}", BankError::Margin { found: args.margin })).into());
    }
    let sources = Sources::open(&args.sources, &args.how)?;
    let before = is_there(&args.out, args.overwrite)?;
    let model = &args.how.run.model;
    let on = (model.device, model.dtype);
    let mut encoders = encoders(&args.image_encoder, &args.text_encoder, on)?;
    let _lock = FolderLock::make(&args.out)?;
    let ids = (encoders.image.id.clone(), encoders.text.id.clone());
    let mut bank = Bank::new(ids.0, ids.1, settings).map_err(told)?;
    bank.set_margin(args.margin).map_err(told)?;
    let gathered = gather(&mut bank, &mut encoders, sources, &args.how, chatter)?;
    if bank.is_empty() && !args.empty {
        // Only where nothing is in it.
        let _ = fs::remove_dir(&args.out);
        bail!("nothing became a pair{}", if before { "; the bank is as it was" } else { "" });
    }
    bank.save(&args.out)?;
    gathered.tell(&bank)
}

fn add(args: &AddArgs, chatter: &Chatter) -> anyhow::Result<Finish> {
    let sources = Sources::open(&args.sources, &args.how)?;
    let _lock = hold(&args.bank)?;
    let mut bank = load(&args.bank)?;
    let model = &args.how.run.model;
    let names = (&args.image_encoder, &args.text_encoder);
    let mut encoders = encoders_of(&bank, names, (model.device, model.dtype))?;
    let gathered = gather(&mut bank, &mut encoders, sources, &args.how, chatter)?;
    if gathered.added > 0 {
        bank.save(&args.bank)?;
    }
    gathered.tell(&bank)
}

/// What came of sources.
struct Gathered {
    added: u64,
    already_there: u64,
    finish: Finish,
}

impl Gathered {
    /// Once the bank is on the disk.
    fn tell(&self, bank: &Bank) -> anyhow::Result<Finish> {
        let again = match self.already_there {
            0 => String::new(),
            count => format!(", {count} were there already"),
        };
        print_out(format!("{} pairs added{again}; the bank has {}\n", self.added, bank.len()))?;
        Ok(self.finish)
    }
}

/// Fills a bank from sources. What became no pair is told.
fn gather(
    bank: &mut Bank,
    encoders: &mut Encoders,
    sources: Sources,
    how: &HowArgs,
    chatter: &Chatter,
) -> anyhow::Result<Gathered> {
    let interrupt = Interrupt::listen()?;
    let options = GatherOptions { margin: bank.margin(), thumbnails: !how.no_thumbnails };
    let (image, text) = (&mut *encoders.image.encoder, &mut *encoders.text.encoder);
    let mut gatherer = Gatherer::new(bank, image, text, options);
    let interrupted = sources.read(&mut gatherer, how, chatter, &interrupt)?;
    let Gatherer { skipped, added, already_there, .. } = gatherer;
    for line in skipped.lines() {
        tracing::warn!("{line}");
    }
    let finish = match (interrupted, skipped.is_empty()) {
        (true, _) => Finish::Interrupted,
        (false, true) => Finish::Done,
        (false, false) => Finish::DataLost,
    };
    Ok(Gathered { added, already_there, finish })
}

fn remove(args: &RemoveArgs) -> anyhow::Result<Finish> {
    let _lock = hold(&args.bank)?;
    let mut bank = load(&args.bank)?;
    let which = &args.which;
    let mut wanted: HashSet<PairId> = HashSet::new();
    let mut missing = Vec::new();
    for id in &which.ids {
        match bank.contains(PairId(*id)) {
            true => drop(wanted.insert(PairId(*id))),
            false => missing.push(format!("there is no pair {id}")),
        }
    }
    let mut all_of = |what: &str, names: &[String], has: fn(&owlet::ground::PairOrigin) -> &str| {
        for name in names {
            let found = bank.pairs().filter(|(_, origin)| has(origin) == name);
            let before = wanted.len();
            let found: Vec<_> = found.map(|(id, _)| id).collect();
            match found.is_empty() {
                true => missing.push(format!("there is no pair with the {what} {name:?}")),
                false => wanted.extend(found),
            }
            tracing::debug!("{what} {name:?}: {} pairs", wanted.len() - before);
        }
    };
    all_of("caption", &which.captions, |origin| &origin.caption);
    all_of("source", &which.sources, |origin| &origin.source);
    if !missing.is_empty() {
        return Err(Refused(missing.join("\n")).into());
    }
    let wanted: Vec<_> = wanted.into_iter().collect();
    let removed = bank.remove(&wanted)?;
    bank.save(&args.bank)?;
    print_out(format!("{removed} pairs removed; the bank has {}\n", bank.len()))?;
    Ok(Finish::Done)
}

fn merge(args: &MergeArgs) -> anyhow::Result<Finish> {
    let _lock = hold(&args.bank)?;
    let mut bank = load(&args.bank)?;
    let (mut added, mut already_there) = (0, 0);
    for folder in &args.others {
        let other = load(folder)?;
        let merged = bank
            .merge(&other)
            .map_err(told)
            .with_context(|| format!("cannot take {} over", folder.display()))?;
        added += merged.added.len();
        already_there += merged.already_there;
    }
    bank.save(&args.bank)?;
    print_out(format!(
        "{added} pairs added, {already_there} were there already; the bank has {}\n",
        bank.len()
    ))?;
    Ok(Finish::Done)
}

/// Holds the folder of a bank that is to be changed.
fn hold(folder: &Path) -> anyhow::Result<FolderLock> {
    // Before the lock, which makes the folder where it is missing.
    BankManifest::read(folder).map_err(told)?;
    FolderLock::make(folder)
}

/// Whether there is a bank where one is to be made.
fn is_there(folder: &Path, overwrite: bool) -> anyhow::Result<bool> {
    match BankManifest::read(folder) {
        Err(BankError::NotABank { .. }) => Ok(false),
        Ok(_) if !overwrite => {
            let text =
                "there is a bank already; --overwrite replaces it, `owlet bank add` adds to it";
            Err(Refused(format!("{}: {text}", folder.display())).into())
        }
        Ok(_) => Ok(true),
        Err(error) => Err(told(error)),
    }
}
