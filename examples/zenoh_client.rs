//! A robot without ROS that asks an Owlet node over zenoh. Needs nothing of Owlet but its keys.
//!
//! usage: cargo run --example zenoh_client -- PICTURE --prompt TEXT [--prompt TEXT]
//!            [--node owlet] [--connect tcp/127.0.0.1:7447]
//!
//! Prints three lines of JSON: the prompts that are in use now, what the node finds in the picture
//! when it is asked (`detect`), and what it publishes when the picture comes as a frame of a camera.
#![allow(clippy::print_stdout, reason = "printing is what it does")]

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use clap::Parser;
use serde_json::{Value, json};
use zenoh::qos::CongestionControl;
use zenoh::{Config, Session, Wait};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Args {
    /// JPEG or PNG.
    picture: PathBuf,
    /// What to look for.
    #[arg(long, required = true)]
    prompt: Vec<String>,
    /// Name of the node.
    #[arg(long, default_value = "owlet")]
    node: String,
    /// Endpoint of the router.
    #[arg(long, default_value = "tcp/127.0.0.1:7447")]
    connect: String,
}

/// The answer to a query.
fn ask(session: &Session, key: &str, payload: &[u8], encoding: &str) -> anyhow::Result<Value> {
    let get = session.get(key).payload(payload).encoding(encoding).timeout(PATIENCE);
    let reply = get.wait().map_err(|error| anyhow!(error))?;
    let reply = reply.recv().map_err(|_| anyhow!("{key}: nobody answers"))?;
    match reply.into_result() {
        Ok(sample) => Ok(serde_json::from_slice(&sample.payload().to_bytes())?),
        Err(error) => bail!("{key}: {}", String::from_utf8_lossy(&error.payload().to_bytes())),
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let node = format!("owlet/{}", args.node);
    let picture = std::fs::read(&args.picture)?;
    let is_png = args.picture.extension().is_some_and(|ending| ending == "png");
    let encoding = if is_png { "image/png" } else { "image/jpeg" };

    let mut config = Config::default();
    for (key, value) in [
        ("mode", json!("client")),
        ("connect/endpoints", json!([args.connect])),
        ("scouting/multicast/enabled", json!(false)),
    ] {
        config.insert_json5(key, &value.to_string()).map_err(|error| anyhow!(error))?;
    }
    let session = zenoh::open(config).wait().map_err(|error| anyhow!(error))?;

    let prompts = json!({ "prompts": args.prompt }).to_string();
    let key = format!("{node}/prompts");
    println!("{}", ask(&session, &key, prompts.as_bytes(), "application/json")?);
    println!("{}", ask(&session, &format!("{node}/detect"), &picture, encoding)?);

    let stamp_ns = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    let detections = session
        .declare_subscriber(format!("{node}/detections/example"))
        .wait()
        .map_err(|error| anyhow!(error))?;
    session
        .put(format!("{node}/camera/example/image"), picture)
        .encoding(encoding)
        .congestion_control(CongestionControl::Block) // a single frame must arrive
        .attachment(json!({ "stamp_ns": stamp_ns, "frame_id": "example" }).to_string())
        .wait()
        .map_err(|error| anyhow!(error))?;
    loop {
        let sample = detections.recv_timeout(PATIENCE).map_err(|error| anyhow!(error))?;
        let sample = sample.context("no detections came")?;
        let found: Value = serde_json::from_slice(&sample.payload().to_bytes())?;
        if found["stamp_ns"] == stamp_ns {
            println!("{found}");
            return Ok(());
        }
    }
}
