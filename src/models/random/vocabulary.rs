//! A small vocabulary in CLIP's form: all bytes, and whole words for what robots are asked about,
//! so that prompts of usual length fit into 16 tokens.

use std::collections::HashMap;

use super::RandomError;

/// Common pairs of letters: what words outside the list are spelt with.
const PAIRS: &str = "\
    th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve \
    co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur la el ta ho us tr ac lo mo pe ck";

/// Words that are one token.
const WORDS: &str = "\
    a an of in on at to with and or for by from is near under over behind left right front back \
    top side end upper lower one two three four five six small large big little long short tall \
    wide thin thick old new open closed empty full clean dirty broken wet dry soft hard round \
    square flat sharp bright dark heavy light red green blue yellow orange purple pink brown black \
    white grey gray silver gold clear wooden metal plastic paper glass rubber leather cotton steel \
    photo picture image view close cropped blurry good bad low resolution \
    person people man woman child boy girl worker hand face head arm leg foot finger vest helmet \
    glove shoe boot hat cap shirt jacket coat trousers mask badge \
    cat dog bird horse cow sheep mouse rat fish owl frog bear duck hen bee fly spider snake \
    car truck bus van bike bicycle motorcycle train tram plane boat ship wheel tyre door window \
    road street lane sign traffic cone barrier fence gate post pole lamp signal crossing bridge \
    tree plant flower grass leaf leaves bush stone rock sand water snow ice fire smoke sky cloud \
    house building wall floor ceiling roof room kitchen bathroom office hall stairs step lift \
    table chair couch sofa bed desk shelf cabinet drawer cupboard bench stool carpet curtain \
    pillow blanket towel mirror clock picture frame lamp light switch socket outlet cable wire \
    plug charger battery remote control button screen monitor television laptop computer keyboard \
    phone tablet camera printer speaker headphones robot drone gripper sensor lidar motor gear \
    cup mug glass bottle can jar bowl plate dish pan pot lid kettle spoon fork knife chopsticks \
    tray box crate carton bag sack basket bin bucket barrel pallet container package parcel label \
    tape rope string chain belt hose pipe tube valve tap pump tank filter hook handle knob lever \
    hammer screw screwdriver bolt nut nail drill saw wrench spanner pliers ruler brush broom mop \
    sponge cloth soap glue paint pen pencil marker eraser notebook book paper card envelope \
    scissors stapler toy ball doll block puzzle game dice \
    food fruit apple banana orange lemon lime pear peach grape berry strawberry cherry melon mango \
    tomato potato onion carrot pepper cucumber lettuce cabbage corn bean pea mushroom bread cake \
    cookie pie pizza sandwich burger rice pasta noodle soup salad egg meat chicken cheese butter \
    milk juice coffee tea wine beer soda coke sugar salt oil sauce honey chocolate candy cereal \
    fork truck forklift trolley cart ladder extinguisher hydrant alarm exit first aid kit";

/// The tokens with a role; the end has the highest id, as CLIP's text tower expects.
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// What marks the last piece of a word.
const END_OF_WORD: &str = "</w>";

pub(super) struct VocabularyFiles {
    pub(super) vocab_json: String,
    pub(super) merges_txt: String,
}

/// The two files, with the roles at the two highest of `size` ids.
pub(super) fn files(size: i64) -> Result<VocabularyFiles, RandomError> {
    let merges = merges();
    let mut tokens: Vec<String> = byte_symbols();
    tokens.extend(byte_symbols().iter().map(|symbol| format!("{symbol}{END_OF_WORD}")));
    tokens.extend(merges.iter().map(|(left, right)| format!("{left}{right}")));
    let expected = tokens.len() + 2;
    if size < expected as i64 {
        return Err(RandomError::VocabularyTooSmall { expected, found: size });
    }
    let ids = (0_i64..).zip(tokens).chain([(size - 2, START.into()), (size - 1, END.into())]);
    // serde_json keeps the order of insertion: ids rise, as in CLIP's own file.
    let vocab: serde_json::Map<_, _> = ids.map(|(id, token)| (token, id.into())).collect();
    let lines = merges.iter().map(|(left, right)| format!("{left} {right}\n"));
    Ok(VocabularyFiles {
        vocab_json: serde_json::Value::Object(vocab).to_string(),
        merges_txt: ["#version: 0.2\n".to_owned()].into_iter().chain(lines).collect(),
    })
}

/// Printable stand-ins for the 256 bytes, in the order of CLIP's vocabulary: printable Latin-1
/// for itself, then the rest from U+0100 on.
fn byte_symbols() -> Vec<String> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let shown = (0..=u8::MAX).filter(printable).map(char::from);
    let hidden = (0..=u8::MAX).filter(|byte| !printable(byte));
    let hidden = hidden.zip('\u{100}'..).map(|(_, stand_in)| stand_in);
    shown.chain(hidden).map(String::from).collect()
}

/// Merges for [`PAIRS`], and those under which each of [`WORDS`] is one token. A later merge has
/// lower priority, so it takes nothing from the words before it.
fn merges() -> Vec<(String, String)> {
    let mut merges: Vec<(String, String)> = Vec::new();
    let mut ranks: HashMap<(String, String), usize> = HashMap::new();
    let mut add = |pair: &(String, String), ranks: &mut HashMap<_, _>| {
        if !ranks.contains_key(pair) {
            ranks.insert(pair.clone(), merges.len());
            merges.push(pair.clone());
        }
    };
    for pair in PAIRS.split_whitespace() {
        let (left, right) = pair.split_at(1);
        add(&(left.to_owned(), right.to_owned()), &mut ranks);
    }
    for word in WORDS.split_whitespace() {
        let mut pieces: Vec<String> = word.chars().map(String::from).collect();
        if let Some(last) = pieces.last_mut() {
            last.push_str(END_OF_WORD);
        }
        while pieces.len() > 1 {
            let pairs = pieces.windows(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            let best = pairs.filter(|pair| ranks.contains_key(pair)).min_by_key(|pair| ranks[pair]);
            let pair = best.unwrap_or_else(|| (pieces[0].clone(), pieces[1].clone()));
            add(&pair, &mut ranks);
            pieces = joined(pieces, &pair);
        }
    }
    merges
}

/// `pieces` with every occurrence of `pair` joined, from the left.
fn joined(pieces: Vec<String>, (left, right): &(String, String)) -> Vec<String> {
    let mut result: Vec<String> = Vec::with_capacity(pieces.len());
    let mut may_join = false;
    for piece in pieces {
        match result.last_mut() {
            Some(last) if may_join && last == left && &piece == right => {
                last.push_str(&piece);
                may_join = false;
            }
            _ => {
                result.push(piece);
                may_join = true;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::ClipTokenizer;

    #[test]
    fn words_are_one_token_and_any_text_has_ids() {
        let folder = tempfile::tempdir().unwrap();
        let VocabularyFiles { vocab_json, merges_txt } = files(49_408).unwrap();
        std::fs::write(folder.path().join("vocab.json"), vocab_json).unwrap();
        std::fs::write(folder.path().join("merges.txt"), merges_txt).unwrap();
        let tokenizer = ClipTokenizer::open(folder.path()).unwrap();
        let mut seen = std::collections::BTreeMap::new();
        for word in WORDS.split_whitespace() {
            let ids = tokenizer.encode(word, 16).unwrap();
            assert_eq!((ids[0], ids[2]), (49_406, 49_407), "{word}: {ids:?}");
            assert_eq!(*seen.entry(ids[1]).or_insert(word), word);
        }
        for text in ["Ångström", "日本語 😀", "\0", "wheelbarrow"] {
            let ids = tokenizer.encode(text, 32).unwrap();
            assert!(ids[1] < 49_406 && ids.contains(&49_407), "{text}: {ids:?}");
        }
    }
}
