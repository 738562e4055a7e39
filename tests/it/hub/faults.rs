//! What goes wrong on the way, and what is left after it.

use std::fs;
use std::time::Duration;

use owlet::hub::{HubError, PullEvent};

use super::server::{Fault, sha256_hex};
use super::{CONFIG, Client, NAME, REPO, WEIGHTS, names_in, noise};

const SIZE: usize = 3 << 20;
const CUT: usize = 1_500_000;

/// A hub with a checkpoint whose weights have [`SIZE`] bytes.
fn hub_with_weights() -> (Client, Vec<u8>) {
    let client = Client::new();
    let weights = noise(SIZE, 7);
    client.server.publish(REPO, "main", &[("config.json", CONFIG), (WEIGHTS, &weights)]);
    (client, weights)
}

fn installed(client: &Client) -> Vec<u8> {
    client.resolve(NAME).unwrap();
    assert!(!client.partial().exists());
    fs::read(client.folder().join(WEIGHTS)).unwrap()
}

/// The byte from which a request asked on.
fn start_of(range: Option<&String>) -> usize {
    range.map_or(0, |range| {
        range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
    })
}

#[test]
fn a_cut_connection_is_taken_up_where_it_broke() {
    let (client, weights) = hub_with_weights();
    client.server.fail(WEIGHTS, [Fault::CutAfter(CUT)]);
    let (outcome, events) = client.pull_with_events(NAME, None);
    outcome.unwrap();
    assert_eq!(installed(&client), weights);

    let mut downloads = client.server.take_downloads();
    downloads.retain(|seen| seen.host == "storage");
    assert_eq!(downloads.len(), 2, "{downloads:?}");
    assert_eq!(downloads[0].range, None);
    let start = start_of(downloads[1].range.as_ref());
    assert!(start > 0 && start <= CUT, "went on from {start}");
    assert_eq!(downloads[1].answered_bytes, SIZE - start);
    let retries = events.iter().filter(|event| matches!(event, PullEvent::Retrying { .. }));
    assert_eq!(retries.count(), 1);
}

#[test]
fn an_interrupted_download_is_taken_up_by_the_next_one() {
    let (mut client, weights) = hub_with_weights();
    client.settings.retries.attempts = 1;
    client.server.fail(WEIGHTS, [Fault::CutAfter(CUT)]);
    let error = client.pull(NAME).unwrap_err();
    let HubError::BrokenOff { got_bytes, expected_bytes, attempts: 1, .. } = error else {
        panic!("{error:?}");
    };
    assert!(got_bytes > 0 && got_bytes <= CUT as u64, "{got_bytes}");
    assert_eq!(expected_bytes, SIZE as u64);
    let kept = fs::metadata(client.partial().join(WEIGHTS)).unwrap().len();
    assert_eq!(kept, got_bytes);
    // It is no model yet.
    assert!(!client.folder().exists());
    let message = client.resolve(NAME).unwrap_err().to_string();
    assert!(message.contains("interrupted"), "{message}");

    client.server.take_seen();
    let (outcome, events) = client.pull_with_events(NAME, None);
    outcome.unwrap();
    assert_eq!(installed(&client), weights);
    let downloads = client.server.take_downloads();
    assert_eq!(downloads.len(), 1, "the config was there: {downloads:?}");
    assert_eq!(start_of(downloads[0].range.as_ref()) as u64, got_bytes);
    assert_eq!(downloads[0].answered_bytes as u64, SIZE as u64 - got_bytes);
    let PullEvent::Resolved { present_bytes, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(*present_bytes, got_bytes + CONFIG.len() as u64);
}

#[test]
fn what_an_interrupted_download_left_is_not_mixed_with_another_revision() {
    let (mut client, _) = hub_with_weights();
    client.settings.retries.attempts = 1;
    client.server.fail(WEIGHTS, [Fault::CutAfter(CUT)]);
    client.pull(NAME).unwrap_err();
    let newer = noise(SIZE, 8);
    client.server.publish(REPO, "main", &[("config.json", CONFIG), (WEIGHTS, &newer)]);
    client.server.take_seen();
    client.pull(NAME).unwrap();
    assert_eq!(installed(&client), newer);
    let downloads = client.server.take_downloads();
    assert_eq!(downloads.iter().filter(|seen| seen.range.is_some()).count(), 0, "{downloads:?}");
}

#[test]
fn damage_to_what_an_interrupted_download_left_is_found_and_mended() {
    let (mut client, weights) = hub_with_weights();
    client.settings.retries.attempts = 1;
    client.server.fail(WEIGHTS, [Fault::CutAfter(CUT)]);
    client.pull(NAME).unwrap_err();
    let path = client.partial().join(WEIGHTS);
    let mut damaged = fs::read(&path).unwrap();
    damaged[1000] ^= 1;
    fs::write(&path, damaged).unwrap();
    client.settings.retries.attempts = 3;
    client.server.take_seen();
    client.pull(NAME).unwrap();
    assert_eq!(installed(&client), weights);
    let ranges: Vec<_> =
        client.server.take_downloads().into_iter().map(|seen| seen.range.is_some()).collect();
    assert_eq!(ranges, [true, false], "the rest, and then all of it");
}

#[test]
fn a_connection_that_is_always_cut_is_given_up() {
    let (client, _) = hub_with_weights();
    client.server.fail(WEIGHTS, vec![Fault::CutAfter(1000); 20]);
    let error = client.pull(NAME).unwrap_err();
    assert!(matches!(error, HubError::BrokenOff { attempts: 3, .. }), "{error:?}");
    let downloads = client.server.take_downloads();
    assert_eq!(downloads.iter().filter(|seen| seen.host == "storage").count(), 3);
}

#[test]
fn a_connection_that_stalls_is_cut() {
    let (mut client, weights) = hub_with_weights();
    client.settings.retries.stall_timeout = Duration::from_millis(500);
    client.server.fail(WEIGHTS, [Fault::StallAfter(CUT)]);
    client.pull(NAME).unwrap();
    assert_eq!(installed(&client), weights);
}

#[test]
fn a_server_without_ranges_is_asked_for_everything_again() {
    let (client, weights) = hub_with_weights();
    client.server.fail(WEIGHTS, [Fault::CutAfter(CUT), Fault::IgnoreRange]);
    client.pull(NAME).unwrap();
    assert_eq!(installed(&client), weights);
}

#[test]
fn a_busy_server_is_asked_again_and_not_for_ever() {
    let (client, weights) = hub_with_weights();
    client.server.fail_revisions([503]);
    client.server.fail(WEIGHTS, [Fault::Status(503), Fault::Status(429)]);
    client.pull(NAME).unwrap();
    assert_eq!(installed(&client), weights);

    let (client, _) = hub_with_weights();
    client.server.fail_revisions([500; 10]);
    let error = client.pull(NAME).unwrap_err();
    assert!(matches!(error, HubError::KeepsFailing { attempts: 3, .. }), "{error:?}");
    assert_eq!(client.server.take_seen().len(), 3);
}

#[test]
fn a_file_that_comes_damaged_is_deleted_and_reported() {
    for (file, algorithm) in [(WEIGHTS, "sha256"), ("config.json", "git-sha1")] {
        let (client, weights) = hub_with_weights();
        client.server.fail(file, [Fault::FlipBit]);
        let error = client.pull(NAME).unwrap_err();
        let HubError::Corrupt { file: named, algorithm: by, expected, found } = &error else {
            panic!("{error:?}");
        };
        assert_eq!((named.as_str(), *by), (file, algorithm));
        assert_ne!(expected, found);
        if file == WEIGHTS {
            assert_eq!(*expected, sha256_hex(&weights));
        }
        assert!(!client.folder().exists());
        assert!(!client.partial().join(file).exists());
        client.pull(NAME).unwrap();
        assert_eq!(installed(&client), weights);
    }
}

#[test]
fn another_size_than_announced_is_refused() {
    for (fault, off_by) in [(Fault::Shorter, -1), (Fault::Longer, 1)] {
        let (client, _) = hub_with_weights();
        client.server.fail(WEIGHTS, [fault.clone()]);
        let error = client.pull(NAME).unwrap_err();
        let HubError::WrongSize { expected_bytes, found_bytes, .. } = error else {
            panic!("{fault:?}: {error:?}");
        };
        assert_eq!(expected_bytes, SIZE as u64);
        assert_eq!(found_bytes as i64 - expected_bytes as i64, off_by, "{fault:?}");
        assert!(!client.folder().exists());
        client.pull(NAME).unwrap();
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let (client, _) = hub_with_weights();
    let error = client.pull("nobody/nothing").unwrap_err();
    assert!(
        matches!(&error, HubError::RepoNotFound { repo, .. } if repo == "nobody/nothing"),
        "{error:?}"
    );
    let (outcome, _) = client.pull_with_events(NAME, Some("v9"));
    let error = outcome.unwrap_err();
    assert!(
        matches!(&error, HubError::RevisionNotFound { revision, .. } if revision == "v9"),
        "{error:?}"
    );
    // A repository that does not exist is not blamed on its revision.
    let (outcome, _) = client.pull_with_events("nobody/nothing", Some("v9"));
    assert!(matches!(outcome.unwrap_err(), HubError::RepoNotFound { .. }));
    assert_eq!(client.server.take_seen().len(), 3, "what is not there is asked for once");
    assert_eq!(names_in(client.models.path()).iter().filter(|n| !n.starts_with('.')).count(), 0);
}

#[test]
fn a_refusal_speaks_of_the_token() {
    for status in [401, 403] {
        let (client, _) = hub_with_weights();
        client.server.protect(REPO, "another token", status);
        let error = client.pull(NAME).unwrap_err();
        let text = error.to_string();
        let HubError::NotAuthorised { status: got, token_sent: true, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(got, status);
        assert!(text.contains("HF_TOKEN") && text.contains(REPO), "{text}");
        assert!(text.contains("Access to this model is restricted"), "{text}");
        assert!(!text.contains("hf_mine"), "{text}");
        assert_eq!(client.server.take_seen().len(), 1);
    }
}

#[test]
fn no_network_is_one_clear_error() {
    let mut client = Client::new();
    // A port that nobody listens on any more.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    client.settings.endpoint = format!("http://{free}");
    let error = client.pull(NAME).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, HubError::NoConnection { attempts: 3, .. }), "{error:?}");
    assert!(text.contains(&free.to_string()) && !text.contains('\n'), "{text}");
    assert!(text.to_lowercase().contains("refused"), "the cause is told: {text}");
}

#[test]
fn a_server_that_is_no_hub_is_told_so() {
    let (client, _) = hub_with_weights();
    let no_commit = r#"{"id": "a/b", "sha": "../../etc", "siblings": []}"#;
    for page in ["<html>sign in to this network</html>", "{}", r#"{"id": "a/b"}"#, no_commit] {
        client.server.answer_with(page);
        let error = client.pull(NAME).unwrap_err();
        assert!(matches!(error, HubError::BadAnswer { .. }), "{page}: {error:?}");
    }
    assert_eq!(client.server.take_seen().len(), 4, "it is not asked again");
}

#[test]
fn a_repository_of_pickles_is_refused() {
    let client = Client::new();
    let files: &[(&str, &[u8])] = &[
        ("config.json", CONFIG),
        ("pytorch_model.bin", b"pickle"),
        ("tf_model.h5", b"tensorflow"),
        ("training_args.pt", b"pickle"),
    ];
    client.server.publish(REPO, "main", files);
    let error = client.pull(NAME).unwrap_err();
    let text = error.to_string();
    let HubError::RepoLacks { missing, pickles, .. } = error else { panic!("{error:?}") };
    assert_eq!(missing.len(), 1);
    assert!(missing[0].starts_with(WEIGHTS));
    assert_eq!(pickles, ["pytorch_model.bin", "tf_model.h5", "training_args.pt"]);
    assert!(text.contains("never loaded") && text.contains("safetensors"), "{text}");
    assert!(client.server.take_downloads().is_empty());
}

#[test]
fn an_index_cannot_reach_outside_of_its_folder() {
    for name in ["../../evil.safetensors", "/tmp/evil.safetensors", "a/b.safetensors", "x.bin"] {
        let client = Client::new();
        let index = serde_json::json!({"weight_map": {"w": name}}).to_string();
        let files: &[(&str, &[u8])] =
            &[("config.json", CONFIG), ("model.safetensors.index.json", index.as_bytes())];
        client.server.publish(REPO, "main", files);
        let error = client.pull(NAME).unwrap_err();
        let HubError::UnsafeFileName { name: refused, .. } = &error else {
            panic!("{name}: {error:?}");
        };
        assert_eq!(refused, name);
        // Only the two files of the repository were ever asked for.
        let paths: Vec<_> = client.server.take_seen().into_iter().map(|seen| seen.path).collect();
        assert!(paths.iter().all(|path| !path.contains("evil")), "{paths:?}");
    }
}

#[test]
fn a_shard_that_the_repository_lacks_is_named() {
    let client = Client::new();
    let index = br#"{"weight_map": {"w": "model-1.safetensors"}}"#;
    let files: &[(&str, &[u8])] =
        &[("config.json", CONFIG), ("model.safetensors.index.json", index)];
    client.server.publish(REPO, "main", files);
    let error = client.pull(NAME).unwrap_err();
    let HubError::RepoLacks { missing, .. } = error else { panic!("{error:?}") };
    assert_eq!(missing, ["model-1.safetensors"]);
}

#[test]
fn a_full_disk_says_how_much_is_missing() {
    let (mut client, weights) = hub_with_weights();
    client.settings.retries.attempts = 1;
    client.server.fail(WEIGHTS, [Fault::CutAfter(CUT)]);
    client.pull(NAME).unwrap_err();
    // The device that is always full, in the place of the file that is to go on.
    let path = client.partial().join(WEIGHTS);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let error = client.pull(NAME).unwrap_err();
    let text = error.to_string();
    let HubError::DiskFull { needed_bytes: Some(needed), .. } = error else { panic!("{error:?}") };
    assert_eq!(needed, SIZE as u64);
    assert!(text.contains("the disk is full") && text.contains("4 MB more"), "{text}");

    fs::remove_file(&path).unwrap();
    client.pull(NAME).unwrap();
    assert_eq!(installed(&client), weights);
}
