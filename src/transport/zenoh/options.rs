//! From parameters to zenoh's configuration.

use zenoh::Config;

use super::super::live::SpaceOutputs;
use super::error::ZenohError;
use super::keys::Keys;
use super::publishers::Outputs;
use super::session::SessionOptions;

/// What a session is opened with. The parameters of the same names describe each field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZenohOptions {
    /// Name of the node.
    pub node: String,
    /// How to take part in zenoh.
    pub session: SessionOptions,
    /// Key expressions of images.
    pub images: Vec<String>,
    /// Whether detections also go out as CDR.
    pub cdr: bool,
    /// Whether places in space are looked for: what they need is subscribed to.
    pub locates: bool,
    /// What goes out beside places.
    pub space: SpaceOutputs,
}

/// Options that were checked.
pub(super) struct Prepared {
    pub(super) config: Config,
    pub(super) keys: Keys,
    pub(super) outputs: Outputs,
    pub(super) locates: bool,
}

/// # Errors
/// Every problem.
pub(super) fn prepare(options: &ZenohOptions) -> Result<Prepared, ZenohError> {
    let mut problems = Vec::new();
    let config = options.session.file_or(Config::default(), &mut problems);
    let config = options.session.over(config, &mut problems);
    match Keys::new(&options.node, &options.images) {
        Ok(keys) if problems.is_empty() => {
            let outputs = Outputs { cdr: options.cdr, space: options.space };
            Ok(Prepared { config, keys, outputs, locates: options.locates })
        }
        Ok(_) => Err(ZenohError::Refused { problems }),
        Err(more) => {
            problems.extend(more);
            Err(ZenohError::Refused { problems })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let options = ZenohOptions {
            node: "owlet".to_owned(),
            session: SessionOptions {
                config: Some("/nonexistent/zenoh.json5".into()),
                mode: None,
                connect: vec!["tcp/localhost:7447".into(), "nowhere".into(), "quic/a:1".into()],
                listen: vec!["tcp".into()],
            },
            images: vec!["a//b".into()],
            ..ZenohOptions::default()
        };
        let Err(ZenohError::Refused { problems }) = prepare(&options) else { panic!("refused") };
        let starts: Vec<_> =
            problems.iter().map(|problem| problem.split(':').next().unwrap_or("")).collect();
        assert_eq!(
            starts,
            [
                "zenoh_config",
                "zenoh_connect[1]",
                "zenoh_connect[2]",
                "zenoh_listen[0]",
                "zenoh_images[0]"
            ],
            "{problems:?}"
        );
        assert!(problems[2].contains("unixsock-stream"), "{problems:?}");
    }

    #[test]
    fn parameters_win_over_the_file_and_the_rest_of_it_stays() {
        let file = tempfile::NamedTempFile::with_suffix(".json5").unwrap();
        let text = "{mode: 'client', connect: {endpoints: ['tcp/a:1']}, \
                    scouting: {multicast: {enabled: false}}}";
        std::fs::write(file.path(), text).unwrap();
        let options = ZenohOptions {
            node: "owlet".to_owned(),
            session: SessionOptions {
                config: Some(file.path().to_owned()),
                connect: vec!["tcp/b:2".into()],
                ..SessionOptions::default()
            },
            ..ZenohOptions::default()
        };
        let prepared = prepare(&options).unwrap_or_else(|error| panic!("{error}"));
        let json = |key| prepared.config.get_json(key).unwrap();
        assert_eq!(json("mode"), "\"client\"");
        assert_eq!(json("connect/endpoints"), "[\"tcp/b:2\"]");
        assert_eq!(json("scouting/multicast/enabled"), "false");
    }
}
