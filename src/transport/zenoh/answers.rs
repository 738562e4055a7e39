//! Answers to queries.

use serde::Serialize;
use serde_json::json;
use zenoh::Wait;
use zenoh::bytes::Encoding;
use zenoh::query::Query;

use super::publishers::to_json;

/// A query that gets one answer: where nobody gives it, the client is told so.
pub(super) struct QueryAnswer(Option<Query>);

impl QueryAnswer {
    pub(super) fn new(query: Query) -> Self {
        Self(Some(query))
    }

    /// The answer as JSON; an error goes out as zenoh's error reply.
    pub(super) fn send<T: Serialize, E: Serialize>(mut self, answer: Result<&T, &E>) {
        let Some(query) = self.0.take() else { return };
        let sent = match answer {
            Ok(answer) => query
                .reply(query.key_expr(), to_json(answer))
                .encoding(Encoding::APPLICATION_JSON)
                .wait(),
            Err(error) => reply_error(&query, to_json(error)),
        };
        log(sent);
    }

    /// An error reply with this reason.
    pub(super) fn refuse(mut self, reason: &str) {
        if let Some(query) = self.0.take() {
            log(reply_error(&query, to_json(&json!({ "error": reason }))));
        }
    }
}

impl Drop for QueryAnswer {
    fn drop(&mut self) {
        if let Some(query) = self.0.take() {
            let reason = json!({ "error": "the node ended before it had an answer" });
            log(reply_error(&query, to_json(&reason)));
        }
    }
}

fn reply_error(query: &Query, json: Vec<u8>) -> zenoh::Result<()> {
    query.reply_err(json).encoding(Encoding::APPLICATION_JSON).wait()
}

fn log(sent: zenoh::Result<()>) {
    if let Err(error) = sent {
        tracing::debug!("zenoh: an answer was not sent: {error}");
    }
}
