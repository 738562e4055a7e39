//! `owlet pull` from a hub on loopback, and what is pulled in use by its name.

use std::ffi::OsString;
use std::fs;

use tempfile::TempDir;

use super::{ends, keys, names_in, owlet, picture, words};
use crate::golden_models::fixture;
use crate::hub::server::{Fault, HubServer};

const NAME: &str = "owlvit-base-patch32";
const REPO: &str = "google/owlvit-base-patch32";

/// A hub that has the small OWL-ViT under a known name, and an empty folder for models.
struct Client {
    server: HubServer,
    models: TempDir,
    commit: String,
}

impl Client {
    fn new() -> Self {
        let server = HubServer::start();
        let folder = fixture("owlvit_tiny");
        let files: Vec<_> = names_in(&folder)
            .into_iter()
            .filter(|name| folder.join(name).is_file())
            .map(|name| (name.clone(), fs::read(folder.join(name)).unwrap()))
            .collect();
        let files: Vec<_> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let commit = server.publish(REPO, "main", &files);
        Self { server, models: TempDir::new().unwrap(), commit }
    }

    #[track_caller]
    fn run(&self, words: Vec<OsString>, code: i32) -> super::Ran {
        let mut command = owlet(&words);
        command
            .env("HF_ENDPOINT", self.server.endpoint())
            .env("HF_HOME", self.models.path().join("hf"))
            .env("OWLET_MODELS", self.models.path());
        ends(command, code)
    }
}

#[test]
fn what_is_pulled_is_listed_and_found_by_its_name() {
    let client = Client::new();
    let plain = || words!["detect", picture("square.png"), "-p", "cat", "--json"];
    let detect = || [plain(), words!["--model", NAME]].concat();
    client.run(detect(), 1).says(&["not on this machine", "owlet pull owlvit-base-patch32"]);

    let pulled = client.run(words!["pull", NAME], 0);
    let folder = client.models.path().join(NAME);
    assert_eq!(pulled.stdout, format!("{}\n", folder.display()));
    pulled.says(&[REPO, &client.commit, "7 files"]);
    assert!(!pulled.stderr.contains(['\r', '\u{1b}']), "no bar where there is no terminal");

    let again = client.run(words!["pull", NAME, "--json"], 0);
    let json = again.json();
    assert_eq!(keys(&json), ["path", "manifest"]);
    assert_eq!(json["path"], *folder.to_str().unwrap());
    assert_eq!(json["manifest"]["commit"], *client.commit);
    again.says(&["here already"]);

    let list = client.run(words!["models", "--verify", "--json"], 0).json();
    let installed = &list["installed"][0];
    assert_eq!((&installed["name"], &installed["repo"]), (&NAME.into(), &REPO.into()));
    assert_eq!(installed["state"]["state"], "verified");

    // Under its short name and under the hub's.
    let found = client.run(detect(), 0).json();
    assert_eq!(found["model"], NAME);
    let by_repo = client.run([plain(), words!["--model", REPO]].concat(), 0).json();
    assert_eq!(by_repo["detections"], found["detections"]);
    let by_path = [plain(), words!["--model", fixture("owlvit_tiny")]].concat();
    assert_eq!(client.run(by_path, 0).json()["detections"], found["detections"]);

    // Damage is found when it is loaded, and told by the list.
    let weights = folder.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    client.run(detect(), 1).says(&["model.safetensors is damaged", "owlet pull"]);
    let list = client.run(words!["models", "--verify"], 3);
    assert!(list.stdout.contains("broken: "), "{list}");
    client.run(words!["pull", NAME, "-q"], 0);
    client.run(detect(), 0);
}

#[test]
fn what_comes_with_owlet_is_not_fetched() {
    let client = Client::new();
    let pulled = client.run(words!["pull", "owlet-nano"], 0);
    pulled.says(&["owlet-nano comes with Owlet"]);
    assert!(pulled.stdout.ends_with("models/owlet-nano\n"), "{pulled}");
}

#[test]
fn a_cut_connection_is_gone_on_from() {
    let client = Client::new();
    client.server.fail("model.safetensors", [Fault::CutAfter(100_000)]);
    let ran = client.run(words!["pull", NAME], 0);
    ran.says(&["WARN", "again in"]);
    assert_eq!(client.run(words!["pull", NAME, "-q"], 0).stderr, "");
}

#[test]
fn refusals_and_failures_differ_in_their_exit_codes() {
    let client = Client::new();
    for (name, code, text) in [
        ("owlvit-base-patch33", 2, "known names are"),
        ("a/b/c", 2, "a/b/c"),
        ("../evil", 2, "../evil"),
        ("owlvit-base-patch32@", 2, "revision"),
        ("owlvit-base-patch32@v9", 1, "has no revision `v9`"),
        ("google/owlvit-base-patch16", 1, "has no model"),
    ] {
        let ran = client.run(words!["pull", name], code);
        ran.says(&[text]);
        assert_eq!((ran.errors(), ran.stdout.as_str()), (1, ""), "{ran}");
    }
}
