//! A status as OpenMetrics text. Names follow Prometheus' conventions: base units, `_total` for
//! what only grows.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::transport::live::{CameraStatus, State, Status};

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// Metrics that are not there yet, by name. A registry is made for each scrape: what is no more
/// (a camera's prompt, say) is gone from it.
#[derive(Default)]
struct Metrics {
    counters: BTreeMap<&'static str, (&'static str, Counters)>,
    gauges: BTreeMap<&'static str, (&'static str, Gauges)>,
}

impl Metrics {
    fn count(&mut self, name: &'static str, help: &'static str, labels: Labels, value: u64) {
        let (_, family) = self.counters.entry(name).or_insert_with(|| (help, Counters::default()));
        family.get_or_create(&labels).inc_by(value);
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, labels: Labels, value: f64) {
        let (_, family) = self.gauges.entry(name).or_insert_with(|| (help, Gauges::default()));
        family.get_or_create(&labels).set(value);
    }

    fn of_node(&mut self, status: &Status) {
        let about = vec![
            ("node", status.node.clone()),
            ("version", status.owlet.clone()),
            ("model", status.model.name.clone()),
            ("device", status.model.device.clone()),
            ("dtype", status.model.dtype.clone()),
        ];
        self.gauge("node_info", "What runs where", about, 1.0);
        let help = "The state that the node is in, as in its status";
        self.gauge("state", help, vec![("state", name_of(status.state))], 1.0);
        self.gauge("uptime_seconds", "Since the node was ready", vec![], status.uptime_secs);
        if let Some(bytes) = status.memory_bytes {
            self.gauge("memory_bytes", "Resident memory of the process", vec![], bytes as f64);
        }
        let version = status.prompts.version as f64;
        self.gauge("prompts_version", "Counts up with every prompt set", vec![], version);
        let prompts = status.prompts.names.len() as f64;
        self.gauge("prompts", "Prompts in use", vec![], prompts);
        for (outcome, count) in
            [("answered", status.requests.answered), ("refused", status.requests.refused)]
        {
            let labels = vec![("outcome", outcome.to_owned())];
            self.count("requests", "Single images that were asked about", labels, count);
        }
        let refused = status.refused_images.as_ref().map_or(0, |failure| failure.count);
        self.count("images_of_no_camera", "Images that belong to no camera", vec![], refused);
    }

    fn of_camera(&mut self, name: &str, camera: &CameraStatus) {
        let labels = || vec![("camera", name.to_owned())];
        let with = |key, value: &str| vec![("camera", name.to_owned()), (key, value.to_owned())];
        self.count("images_received", "Images that came", labels(), camera.received);
        self.count("images_bad", "Images that could not be read", labels(), camera.bad);
        let help = "Images that a newer one took the place of";
        self.count("images_dropped", help, labels(), camera.dropped);
        self.count("images_answered", "Images that were looked at", labels(), camera.answered);
        self.count("images_failed", "Images that the model failed on", labels(), camera.failed);
        let age = camera.newest_image_age_secs;
        self.gauge("newest_image_age_seconds", "Since the newest image came", labels(), age);
        if let Some(age) = camera.newest_output_age_secs {
            let help = "Since the newest detections went out";
            self.gauge("newest_output_age_seconds", help, labels(), age);
        }
        let detections = camera.detections as f64;
        self.gauge("detections", "Detections in the newest image", labels(), detections);
        if let Some(space) = &camera.space {
            self.count("located", "Detections with a place in space", labels(), space.located);
            for (reason, count) in &space.unlocated {
                let help = "Detections without a place in space";
                self.count("unlocated", help, with("reason", reason), *count);
            }
            for (reason, count) in &space.frames_without {
                let help = "Frames that found no depth, calibration or transform";
                self.count("frames_without_space", help, with("reason", reason), *count);
            }
        }
        for best in &camera.best_scores {
            let help = "Best score of a prompt in the newest image, whatever its threshold";
            self.gauge("best_score", help, with("prompt", &best.prompt), f64::from(best.score));
            let help = "What a score has to be above";
            self.gauge("threshold", help, with("prompt", &best.prompt), f64::from(best.threshold));
        }
        for (stage, milliseconds) in &camera.stages_ms {
            let help = "What the newest image took in each stage";
            self.gauge("stage_seconds", help, with("stage", stage), milliseconds / 1e3);
        }
    }

    fn register(self, registry: &mut Registry) {
        for (name, (help, family)) in self.counters {
            registry.register(name, help, family);
        }
        for (name, (help, family)) in self.gauges {
            registry.register(name, help, family);
        }
    }
}

/// As the status has it.
fn name_of(state: State) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => name,
        _ => format!("{state:?}"),
    }
}

/// A status as OpenMetrics text; every name begins with `owlet_`.
#[must_use]
pub fn open_metrics(status: &Status) -> String {
    let mut metrics = Metrics::default();
    metrics.of_node(status);
    for (name, camera) in &status.cameras {
        metrics.of_camera(name, camera);
    }
    let mut registry = Registry::with_prefix("owlet");
    metrics.register(&mut registry);
    let mut text = String::new();
    // Writing into a string fails only where a value's own formatting does, and these have none.
    if encode(&mut text, &registry).is_err() {
        tracing::error!("the metrics of this moment cannot be written");
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::transport::live::{BestScore, Failure, ModelStatus, PromptsStatus, RequestCounts};

    /// A node with one camera, whose name has to be escaped.
    pub(in crate::transport::metrics) fn status() -> Status {
        let camera: CameraStatus = serde_json::from_value(serde_json::json!({
            "key": "/front/image", "received": 9, "bad": 1, "dropped": 2, "answered": 6,
            "failed": 0, "newest_image_age_secs": 0.25, "newest_output_age_secs": 0.5,
            "detections": 3, "best_scores": [], "stages_ms": {"image_tower": 12.5},
        }))
        .unwrap();
        let best_scores =
            vec![BestScore { prompt: "a \"mug\"".to_owned(), score: 0.5, threshold: 0.25 }];
        let newest = "expected a camera's name".to_owned();
        Status {
            node: "owlet".to_owned(),
            owlet: "0.1.0".to_owned(),
            state: State::Finding,
            why: Vec::new(),
            uptime_secs: 4.5,
            memory_bytes: Some(1 << 20),
            model: ModelStatus {
                name: "owlet-nano".to_owned(),
                device: "cpu".to_owned(),
                dtype: "f32".to_owned(),
            },
            prompts: PromptsStatus { version: 7, names: vec!["a \"mug\"".to_owned()] },
            connected: None,
            transforms: None,
            waits_for: Vec::new(),
            cameras: [("front".to_owned(), CameraStatus { best_scores, ..camera })].into(),
            refused_images: Some(Failure { count: 5, newest, age_secs: 1.0 }),
            requests: RequestCounts { answered: 3, refused: 1 },
        }
    }

    #[test]
    fn a_status_is_written_with_base_units_and_escaped_labels() {
        let text = open_metrics(&status());
        for line in [
            "owlet_node_info{node=\"owlet\",version=\"0.1.0\",model=\"owlet-nano\",\
             device=\"cpu\",dtype=\"f32\"} 1.0",
            "owlet_state{state=\"finding\"} 1.0",
            "owlet_uptime_seconds{} 4.5",
            "owlet_memory_bytes{} 1048576.0",
            "owlet_prompts_version{} 7.0",
            "owlet_requests_total{outcome=\"refused\"} 1",
            "owlet_images_of_no_camera_total{} 5",
            "owlet_images_received_total{camera=\"front\"} 9",
            "owlet_images_dropped_total{camera=\"front\"} 2",
            "owlet_best_score{camera=\"front\",prompt=\"a \\\"mug\\\"\"} 0.5",
            "owlet_stage_seconds{camera=\"front\",stage=\"image_tower\"} 0.0125",
            "# TYPE owlet_images_bad counter",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        // A metric is described once, whatever the number of its samples.
        let helps: Vec<_> = text.lines().filter(|line| line.starts_with("# HELP")).collect();
        assert!(helps.windows(2).all(|pair| pair[0] != pair[1]), "{text}");
    }
}
