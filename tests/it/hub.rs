//! Downloads of checkpoints from a hub on loopback that each test starts for itself.

pub(crate) mod server;

mod faults;
mod pulls;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use owlet::hub::{
    HubError, HubSettings, ModelDir, ModelLocations, PullEvent, PullRequest, RetrySettings, Token,
    Verify, resolve,
};
use server::HubServer;

/// A known name and its repository.
const NAME: &str = "owlvit-base-patch32";
const REPO: &str = "google/owlvit-base-patch32";

const CONFIG: &[u8] = br#"{"model_type": "owlvit"}"#;
const WEIGHTS: &str = "model.safetensors";

/// A client of a hub of its own, with an empty folder for models.
struct Client {
    server: HubServer,
    models: tempfile::TempDir,
    settings: HubSettings,
}

impl Client {
    fn new() -> Self {
        let server = HubServer::start();
        let retries = RetrySettings {
            attempts: 3,
            first_wait: Duration::from_millis(2),
            longest_wait: Duration::from_millis(20),
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(5),
        };
        let settings = HubSettings {
            endpoint: server.endpoint(),
            token: Some(Token::new("hf_mine")),
            offline: false,
            retries,
        };
        Self { server, models: tempfile::tempdir().unwrap(), settings }
    }

    fn request(&self, name: &str, revision: Option<&str>) -> PullRequest {
        PullRequest {
            name: name.to_owned(),
            revision: revision.map(str::to_owned),
            settings: self.settings.clone(),
            locations: self.locations(),
        }
    }

    fn locations(&self) -> ModelLocations {
        let models_dir = Some(self.models.path().to_owned());
        ModelLocations { models_dir, builtin_dirs: Vec::new() }
    }

    fn pull(&self, name: &str) -> Result<ModelDir, HubError> {
        self.pull_with_events(name, None).0
    }

    fn pull_with_events(
        &self,
        name: &str,
        revision: Option<&str>,
    ) -> (Result<ModelDir, HubError>, Vec<PullEvent>) {
        let mut events = Vec::new();
        let request = self.request(name, revision);
        let outcome = owlet::hub::pull(&request, &mut |event| events.push(event));
        (outcome, events)
    }

    fn resolve(&self, name: &str) -> Result<ModelDir, HubError> {
        resolve(name, &self.locations(), Verify::IfChanged)
    }

    fn folder(&self) -> PathBuf {
        self.models.path().join(NAME)
    }

    fn partial(&self) -> PathBuf {
        self.models.path().join(format!("{NAME}.partial"))
    }
}

/// Bytes that repeat nowhere, so that a piece in the wrong place is seen.
fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            // Xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
