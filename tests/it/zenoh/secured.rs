//! TLS, who may connect and who may do what: zenoh's own configuration file, which a node is given.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use zenoh::{Session, Wait};

use super::{Node, TOO_LONG, config, log_of, run};
use crate::golden_models::fixture;
use crate::spatial::repository;

/// How long somebody waits whom nobody will answer.
const UNANSWERED: Duration = Duration::from_secs(3);

/// A certificate for this machine with its key, and the operator's and a guest's password.
fn write_secrets(folder: &Path) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("passwords"), "operator:secret\nguest:welcome\n").unwrap();
}

/// The file that comes with Owlet, with what it names in this folder: guests may look and ask, and
/// set no prompts.
fn write_node_config(folder: &Path) {
    let text = fs::read_to_string(repository("config/zenoh-secured.json5")).unwrap();
    let there = format!("{}/", folder.display());
    assert_eq!(text.matches("\"/etc/owlet/").count(), 3);
    fs::write(folder.join("zenoh.json5"), text.replace("/etc/owlet/", &there)).unwrap();
}

/// A client that trusts the certificate, or does not know it.
fn connect(
    folder: &Path,
    endpoint: &str,
    login: [&str; 2],
    trusts: bool,
) -> zenoh::Result<Session> {
    let [user, password] = login.map(|word| format!("{word:?}"));
    let mut more = vec![
        ("connect/endpoints", format!("[{endpoint:?}]")),
        ("transport/auth/usrpwd/user", user),
        ("transport/auth/usrpwd/password", password),
    ];
    if trusts {
        let cert = folder.join("cert.pem").display().to_string();
        more.push(("transport/link/tls/root_ca_certificate", format!("{cert:?}")));
    }
    zenoh::open(config("client", &more)).wait()
}

/// What a get is answered, where it is.
fn ask(session: &Session, key: &str, payload: Option<&str>) -> Option<Value> {
    let mut get = session.get(key).timeout(UNANSWERED);
    if let Some(payload) = payload {
        get = get.payload(payload).encoding("text/plain");
    }
    let reply = get.wait().unwrap().recv().ok()?;
    let sample = reply.into_result().ok()?;
    Some(super::json(&sample.payload().to_bytes()))
}

#[test]
fn tls_passwords_and_access_control_of_a_file_of_zenohs_own_hold() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_secrets(folder);
    write_node_config(folder);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("tls/localhost:{port}");
    let mut process = run(&fixture("owlvit_tiny"), "secured")
        .env("XDG_CACHE_HOME", folder)
        .args(["--listen", &endpoint, "--prompt", "cat", "--param"])
        .arg(format!("zenoh_config={}", folder.join("zenoh.json5").display()))
        .spawn()
        .unwrap();
    let log = log_of(&mut process);
    // Whoever connects is told whether the node is there.
    let began = Instant::now();
    let operator = loop {
        match connect(folder, &endpoint, ["operator", "secret"], true) {
            Ok(session) => break session,
            Err(error) => {
                let said = log.lock().unwrap();
                assert!(began.elapsed() < TOO_LONG, "{error}\n{said}");
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let node = Node { name: "secured".to_owned(), process, session: operator, log, cache: None };
    while ask(&node.session, "owlet/secured/status", None).is_none() {
        assert!(began.elapsed() < TOO_LONG, "{}", node.log());
    }

    let set = ask(&node.session, "owlet/secured/prompts", Some("prompts: [dog]"));
    assert_eq!(set.expect("the operator is answered")["version"], 2, "{}", node.log());
    let guest = connect(folder, &endpoint, ["guest", "welcome"], true).unwrap();
    assert_eq!(ask(&guest, "owlet/secured/prompts", Some("prompts: [cow]")), None);
    let lesson = r#"{"name": "cow"}"#;
    assert_eq!(ask(&guest, "owlet/secured/teach", Some(lesson)), None);
    guest.put("owlet/secured/prompts", "prompts: [cow]").wait().unwrap();
    let status = ask(&guest, "owlet/secured/status", None).expect("a guest may look");
    assert_eq!(status["prompts"]["names"], json!(["dog"]), "{status:#}");
    assert_eq!(status["prompts"]["version"], 2, "{status:#}");

    // Nobody comes in with another password, or without trusting the certificate.
    assert!(connect(folder, &endpoint, ["operator", "guessed"], true).is_err());
    assert!(connect(folder, &endpoint, ["operator", "secret"], false).is_err());
}
