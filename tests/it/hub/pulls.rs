//! What a download brings, and what it leaves alone.

use std::fs;

use axum::http::Method;
use owlet::hub::{HubError, Manifest, ModelState, PullEvent, Verify, list};

use super::server::{git_sha1_hex, sha256_hex};
use super::{CONFIG, Client, NAME, REPO, WEIGHTS, names_in, noise};

#[test]
fn a_checkpoint_is_fetched_recorded_and_found() {
    let client = Client::new();
    let weights = noise(700_000, 1);
    let commit = client.server.publish(
        REPO,
        "main",
        &[
            ("README.md", b"words"),
            ("config.json", CONFIG),
            ("merges.txt", b"#version: 0.2\n"),
            ("modeling_evil.py", b"import os"),
            (WEIGHTS, &weights),
            ("preprocessor_config.json", b"{}"),
            ("pytorch_model.bin", b"pickle"),
            ("vocab.json", b""),
        ],
    );
    let (outcome, events) = client.pull_with_events(NAME, None);
    let model = outcome.unwrap();

    // What is needed is there, and nothing else: no code, no pickle.
    assert_eq!(model.path(), client.folder());
    let fetched = [
        "config.json",
        "merges.txt",
        WEIGHTS,
        "owlet-manifest.json",
        "preprocessor_config.json",
        "vocab.json",
    ];
    assert_eq!(names_in(model.path()), fetched);
    assert_eq!(names_in(client.models.path()), [format!(".{NAME}.lock"), NAME.to_owned()]);
    assert_eq!(fs::read(model.path().join(WEIGHTS)).unwrap(), weights);
    assert_eq!(fs::read(model.path().join("vocab.json")).unwrap(), b"");

    let manifest: &Manifest = model.manifest().unwrap();
    assert_eq!((manifest.repo.as_str(), manifest.revision.as_str()), (REPO, "main"));
    assert_eq!(manifest.commit, commit);
    assert_eq!(manifest.files.len(), 5);
    let recorded = manifest.file(WEIGHTS).unwrap();
    assert_eq!((recorded.size_bytes, &recorded.sha256), (700_000, &sha256_hex(&weights)));
    assert_eq!(recorded.etag, recorded.sha256);
    let config = manifest.file("config.json").unwrap();
    assert_eq!(config.etag, git_sha1_hex(CONFIG));
    assert_eq!(config.sha256, sha256_hex(CONFIG));

    // Both names find it, and its files are compared with the manifest.
    for name in [NAME, REPO] {
        let found = client.resolve(name).unwrap();
        assert_eq!((found.name().as_str(), found.architecture()), (NAME, Some("owlvit")));
    }
    let listed = list(&client.locations(), Verify::IfChanged).unwrap();
    assert_eq!(listed.installed.len(), 1);
    assert_eq!(listed.installed[0].state, ModelState::Verified);
    assert_eq!(listed.installed[0].commit.as_deref(), Some(commit.as_str()));
    assert!(listed.available.iter().all(|known| known.name != NAME));

    // The events tell the same story.
    let total = manifest.files.iter().map(|file| file.size_bytes).sum::<u64>();
    assert_eq!(
        events[0],
        PullEvent::Resolved {
            repo: REPO.to_owned(),
            commit,
            files: 5,
            total_bytes: total,
            present_bytes: 0
        }
    );
    let done: u64 = events
        .iter()
        .map(
            |event| {
                if let PullEvent::FileDone { size_bytes, .. } = event { *size_bytes } else { 0 }
            },
        )
        .sum();
    assert_eq!(done, total);
    let progress: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            PullEvent::Progress { file, done_bytes, .. } if file == WEIGHTS => Some(*done_bytes),
            _ => None,
        })
        .collect();
    assert!(progress.len() > 1 && progress.is_sorted(), "{progress:?}");
    assert_eq!(progress.last(), Some(&700_000));
}

#[test]
fn the_token_goes_to_the_hub_and_not_to_its_storage() {
    let client = Client::new();
    client.server.publish(REPO, "main", &[("config.json", CONFIG), (WEIGHTS, b"123")]);
    client.server.protect(REPO, "hf_mine", 401);
    client.pull(NAME).unwrap();
    let seen = client.server.take_seen();
    let storage: Vec<_> = seen.iter().filter(|seen| seen.host == "storage").collect();
    assert_eq!(storage.len(), 1, "{seen:?}");
    assert_eq!(storage[0].token, None);
    let hub: Vec<_> = seen.iter().filter(|seen| seen.host == "hub").collect();
    assert_eq!(hub.len(), 5, "{hub:?}");
    for request in hub {
        assert_eq!(request.token.as_deref(), Some("Bearer hf_mine"), "{request:?}");
    }
}

#[test]
fn a_sharded_checkpoint_comes_with_all_its_shards() {
    let client = Client::new();
    let index = br#"{"metadata": {}, "weight_map": {"a": "model-00002-of-00002.safetensors", "b": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}}"#;
    let (one, two) = (noise(4000, 1), noise(5000, 2));
    client.server.publish(
        "somebody/a-model",
        "main",
        &[
            ("config.json", CONFIG),
            ("model-00001-of-00002.safetensors", &one),
            ("model-00002-of-00002.safetensors", &two),
            ("model-00003-of-00002.safetensors", b"in no index"),
            ("model.safetensors.index.json", index),
        ],
    );
    let model = client.pull("somebody/a-model").unwrap();
    assert_eq!(model.path(), client.models.path().join("somebody--a-model"));
    let bytes: Vec<_> = model.weight_files().iter().map(|file| fs::read(file).unwrap()).collect();
    assert_eq!(bytes, [one, two]);
    assert_eq!(model.manifest().unwrap().files.len(), 4);
    assert_eq!(client.resolve("somebody/a-model").unwrap().name(), "somebody/a-model");
    // Each file once, the index too.
    assert_eq!(client.server.take_downloads().len(), 4);
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let mut client = Client::new();
    let files: &[(&str, &[u8])] = &[("config.json", CONFIG), (WEIGHTS, b"123")];
    let commit = client.server.publish(REPO, "main", files);
    client.pull(NAME).unwrap();
    client.server.take_seen();

    // The branch may have moved: one question.
    let (outcome, events) = client.pull_with_events(NAME, None);
    outcome.unwrap();
    assert_eq!(events, [PullEvent::UpToDate { commit: commit.clone() }]);
    let seen = client.server.take_seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].path.starts_with("/api/models/"), "{seen:?}");

    // A commit cannot move: none.
    client.pull_with_events(NAME, Some(&commit)).0.unwrap();
    // And none where the hub must not be asked.
    client.settings.offline = true;
    client.pull(NAME).unwrap();
    assert!(client.server.take_seen().is_empty());
    let (outcome, _) = client.pull_with_events(NAME, Some("v2"));
    let error = outcome.unwrap_err();
    assert!(matches!(&error, HubError::Offline { name } if name.ends_with("@v2")), "{error:?}");
    let error = client.pull("owlvit-base-patch16").unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error:?}");
    assert!(client.server.take_seen().is_empty());
}

#[test]
fn a_revision_is_pinned_and_only_what_changed_is_fetched_for_another() {
    let client = Client::new();
    let (first, second) = (noise(3000, 1), noise(3000, 2));
    let vocab = ("vocab.json", &b"{\"a\": 1}"[..]);
    let tagged =
        client.server.publish(REPO, "v1", &[("config.json", CONFIG), (WEIGHTS, &first), vocab]);
    let changed = br#"{"model_type": "owlvit", "x": 1}"#;
    let head =
        client.server.publish(REPO, "main", &[("config.json", changed), (WEIGHTS, &second), vocab]);
    let by_slash = client.server.publish(
        REPO,
        "refs/pr/3",
        &[("config.json", changed), (WEIGHTS, &first), vocab],
    );

    let model = client.pull_with_events(NAME, Some("v1")).0.unwrap();
    let manifest = model.manifest().unwrap();
    assert_eq!((&manifest.commit, manifest.revision.as_str()), (&tagged, "v1"));
    assert_eq!(fs::read(model.path().join(WEIGHTS)).unwrap(), first);
    // The files are asked for by commit: a tag that moves meanwhile mixes nothing.
    let seen = client.server.take_seen();
    let by_commit = format!("/resolve/{tagged}/");
    assert!(seen[1..].iter().all(|s| s.host == "storage" || s.path.contains(&by_commit)));

    let model = client.pull(NAME).unwrap();
    assert_eq!(model.manifest().unwrap().commit, head);
    assert_eq!(fs::read(model.path().join(WEIGHTS)).unwrap(), second);
    let names: Vec<_> = client.server.take_downloads().into_iter().map(|seen| seen.path).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| !name.contains("vocab.json")));
    assert_eq!(names_in(client.models.path()), [format!(".{NAME}.lock"), NAME.to_owned()]);

    let model = client.pull_with_events(NAME, Some("refs/pr/3")).0.unwrap();
    assert_eq!(model.manifest().unwrap().commit, by_slash);
    let downloads = client.server.take_downloads();
    assert_eq!(downloads.len(), 1, "only the weights differ: {downloads:?}");
    client.resolve(NAME).unwrap();
}

#[test]
fn a_damaged_model_is_refused_and_mended() {
    let client = Client::new();
    let weights = noise(5000, 3);
    client.server.publish(REPO, "main", &[("config.json", CONFIG), (WEIGHTS, &weights)]);
    client.pull(NAME).unwrap();
    client.resolve(NAME).unwrap();
    client.server.take_seen();

    let path = client.folder().join(WEIGHTS);
    let mut damaged = weights.clone();
    damaged[2500] ^= 0x10;
    fs::write(&path, &damaged).unwrap();
    let error = client.resolve(NAME).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, HubError::DigestChanged { .. }), "{error:?}");
    for part in [WEIGHTS, &sha256_hex(&weights), &sha256_hex(&damaged), "owlet pull"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let listed = list(&client.locations(), Verify::IfChanged).unwrap();
    assert!(matches!(listed.installed[0].state, ModelState::Broken(_)));

    client.pull(NAME).unwrap();
    client.resolve(NAME).unwrap();
    assert_eq!(fs::read(&path).unwrap(), weights);
    let downloads = client.server.take_downloads();
    assert_eq!(downloads.len(), 1, "the config was right: {downloads:?}");

    // A truncated file, one that is gone, and weights that were put beside what was pulled.
    fs::write(&path, &weights[..4000]).unwrap();
    let error = client.resolve(NAME).unwrap_err();
    assert!(matches!(error, HubError::SizeChanged { .. }), "{error:?}");
    client.pull(NAME).unwrap();
    fs::remove_file(&path).unwrap();
    let error = client.resolve(NAME).unwrap_err();
    assert!(matches!(error, HubError::Incomplete { .. }), "{error:?}");
    client.pull(NAME).unwrap();
    assert_eq!(fs::read(&path).unwrap(), weights);
}

#[test]
fn weights_that_were_put_beside_the_pulled_ones_are_refused() {
    let client = Client::new();
    let index = br#"{"weight_map": {"a": "model-1.safetensors"}}"#;
    let files: &[(&str, &[u8])] = &[
        ("config.json", CONFIG),
        ("model-1.safetensors", b"1"),
        ("model.safetensors.index.json", index),
    ];
    client.server.publish(REPO, "main", files);
    client.pull(NAME).unwrap();
    fs::write(client.folder().join(WEIGHTS), b"not what was pulled").unwrap();
    let error = client.resolve(NAME).unwrap_err();
    assert!(
        matches!(&error, HubError::BadFile { path, .. } if path.ends_with(WEIGHTS)),
        "{error:?}"
    );
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let client = Client::new();
    client.server.publish(REPO, "main", &[("config.json", CONFIG), (WEIGHTS, b"123")]);
    fs::create_dir(client.folder()).unwrap();
    fs::write(client.folder().join(WEIGHTS), b"mine").unwrap();
    let error = client.pull(NAME).unwrap_err();
    assert!(matches!(error, HubError::NotOurs { .. }), "{error:?}");
    assert_eq!(fs::read(client.folder().join(WEIGHTS)).unwrap(), b"mine");
    assert!(client.server.take_seen().is_empty());
}

#[test]
fn one_download_of_a_model_at_a_time() {
    let client = Client::new();
    client.server.publish(REPO, "main", &[("config.json", CONFIG), (WEIGHTS, b"123")]);
    let lock = fs::File::create(client.models.path().join(format!(".{NAME}.lock"))).unwrap();
    lock.lock().unwrap();
    let error = client.pull(NAME).unwrap_err();
    assert!(matches!(error, HubError::Busy { .. }), "{error:?}");
    drop(lock);
    client.pull(NAME).unwrap();
}

#[test]
fn a_renamed_repository_is_followed() {
    let client = Client::new();
    client.server.publish(REPO, "main", &[("config.json", CONFIG), (WEIGHTS, b"123")]);
    client.server.rename(REPO, "google/renamed");
    client.pull(NAME).unwrap();
    let seen = client.server.take_seen();
    let renamed = seen.iter().filter(|seen| seen.path.starts_with("/google/renamed/"));
    assert_eq!(renamed.clone().filter(|seen| seen.method == Method::HEAD).count(), 2);
    assert_eq!(renamed.filter(|seen| seen.method == Method::GET).count(), 2);
}

#[tokio::test]
async fn a_pull_works_inside_of_an_async_runtime() {
    let client = Client::new();
    client.server.publish(REPO, "main", &[("config.json", CONFIG), (WEIGHTS, b"123")]);
    client.pull(NAME).unwrap();
}

/// How it pools stands in a folder of its own, which is fetched, recorded and checked as the rest.
#[test]
fn a_sentence_encoder_comes_with_its_pooling() {
    let client = Client::new();
    let name = "all-minilm-l6-v2";
    let repo = "sentence-transformers/all-MiniLM-L6-v2";
    let weights = noise(50_000, 4);
    let pooling: &[u8] = br#"{"pooling_mode_mean_tokens": true}"#;
    let config: &[u8] = br#"{"model_type": "bert"}"#;
    let files: &[(&str, &[u8])] = &[
        ("1_Pooling/config.json", pooling),
        ("2_Dense/config.json", b"{}"),
        ("config.json", config),
        ("config_sentence_transformers.json", b"{}"),
        ("modules.json", b"[]"),
        (WEIGHTS, &weights),
        ("onnx/model.onnx", b"another format"),
        ("openvino/config.json", b"{}"),
        ("sentence_bert_config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("vocab.txt", b"[PAD]\n"),
    ];
    client.server.publish(repo, "main", files);
    let model = client.pull(name).unwrap();
    let fetched = [
        "1_Pooling",
        "config.json",
        "config_sentence_transformers.json",
        WEIGHTS,
        "modules.json",
        "owlet-manifest.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "vocab.txt",
    ];
    assert_eq!(names_in(model.path()), fetched);
    let below = model.path().join("1_Pooling/config.json");
    assert_eq!(fs::read(&below).unwrap(), pooling);
    let recorded = model.manifest().unwrap().file("1_Pooling/config.json").unwrap();
    assert_eq!(recorded.sha256, sha256_hex(pooling));
    assert_eq!(client.resolve(name).unwrap().verify(Verify::Full).unwrap().hashed, 8);

    // Damage in it is found, and mended by the next pull.
    fs::write(&below, br#"{"pooling_mode_mean_tokens": null}"#).unwrap();
    let damaged = client.resolve(name).unwrap_err();
    assert!(
        matches!(damaged, HubError::DigestChanged { ref path, .. } if *path == below),
        "{damaged}"
    );
    client.pull(name).unwrap();
    assert_eq!(fs::read(&below).unwrap(), pooling);

    // The next version has none: nothing of the old one stays.
    let without: Vec<_> = files[2..].to_vec();
    client.server.publish(repo, "main", &without);
    let model = client.pull(name).unwrap();
    assert!(!below.exists() && model.manifest().unwrap().file("1_Pooling/config.json").is_none());
}
