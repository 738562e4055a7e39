//! One sqlite3 file: what is in it, and its messages in the order of their log times.
//!
//! A sound file is read through its own index on the time, message by message. In a damaged one
//! the rows that can be reached are listed once by row number, which costs 24 bytes of memory for
//! each, and then read in order.

mod salvage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use super::MESSAGE_LIMIT_BYTES;
use super::loss::{FileLosses, LossKind};
use salvage::Row;

/// Rows that are looked up in the index at once.
const BATCH_ROWS: usize = 256;

/// One topic of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) message_type: String,
    pub(super) encoding: String,
    pub(super) type_hash: String,
}

/// Number of messages on a topic, and times of the first and last one in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TopicTimes {
    pub(super) count: u64,
    pub(super) first: i64,
    pub(super) last: i64,
}

/// An sqlite3 file that was opened.
pub(super) struct SqliteFile {
    connection: Connection,
    topics: Vec<Topic>,
    /// The rows in order of time, where the file's own index cannot be used.
    rows: Option<Vec<Row>>,
    /// What is there of the last page, where the file ends in the middle of it.
    cut_page: Option<Vec<u8>>,
    pub(super) losses: FileLosses,
}

/// Whether an error says that the file is damaged, as opposed to the disk or the memory.
fn is_damage(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::PermissionDenied)
    )
}

/// Rows that come back in an order that no sound file has.
fn out_of_order() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some("rows are out of order".to_owned()))
}

/// `immutable` reads the file as it is on disk, without locks, journals or shared memory.
fn connect(path: &Path, immutable: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = if immutable {
        let mut uri = String::from("file:");
        for byte in path.as_os_str().as_encoded_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                    uri.push(char::from(*byte));
                }
                other => uri.push_str(&format!("%{other:02X}")),
            }
        }
        uri.push_str("?immutable=1");
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    // A file from elsewhere may bring views and triggers: nothing it defines is to be run.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

impl SqliteFile {
    /// Opens a file that starts with sqlite3's magic. What is wrong with it stands in
    /// [`losses`](Self::losses).
    ///
    /// # Errors
    /// Where it holds no table of messages that can be reached, or the file system fails.
    pub(super) fn open(path: &Path, name: &str) -> rusqlite::Result<Self> {
        let mut losses = FileLosses::new(name);
        let plain = connect(path, false).and_then(|connection| {
            let topics = topics(&connection, None)?;
            Ok((connection, topics))
        });
        let (connection, topics, is_sound) = match plain {
            Ok((connection, topics)) => (connection, topics, true),
            Err(error) if !is_damage(&error) => return Err(error),
            Err(error) => {
                // A file that is shorter than its header says, or that has a journal from a crash
                // beside it, is refused in the plain way.
                let connection = connect(path, true)?;
                connection.pragma_update(None, "writable_schema", true)?;
                losses.add(LossKind::PagesDamaged, None, None, error.to_string());
                let topics = topics(&connection, Some(&mut losses))?;
                (connection, topics, false)
            }
        };
        let cut_page = salvage::cut_page(path).ok().flatten();
        let mut file = Self { connection, topics, rows: None, cut_page, losses };
        if !is_sound || !file.has_time_index().unwrap_or(false) {
            file.list_rows(None)?;
        }
        Ok(file)
    }

    /// The topics of the file.
    pub(super) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    fn has_time_index(&self) -> rusqlite::Result<bool> {
        let sql = "SELECT 1 FROM pragma_index_list('messages') AS list, \
                   pragma_index_info(list.name) AS info \
                   WHERE info.seqno = 0 AND info.name = 'timestamp' LIMIT 1";
        Ok(self.connection.query_row(sql, [], |_| Ok(())).optional()?.is_some())
    }

    /// Times of the messages that can be read, by the id of the topic. Every row is looked at.
    pub(super) fn topic_times(&mut self) -> rusqlite::Result<BTreeMap<i64, TopicTimes>> {
        if self.rows.is_none() {
            match self.query_topic_times() {
                Ok(times) => return Ok(times),
                Err(error) if is_damage(&error) => self.give_up_index(&error, None)?,
                Err(error) => return Err(error),
            }
        }
        let mut times = BTreeMap::new();
        for row in self.rows.as_deref().unwrap_or_default() {
            let (first, last) = (row.timestamp, row.timestamp);
            let known = times.entry(row.topic).or_insert(TopicTimes { count: 0, first, last });
            known.count += 1;
            known.last = row.timestamp;
        }
        Ok(times)
    }

    fn query_topic_times(&self) -> rusqlite::Result<BTreeMap<i64, TopicTimes>> {
        let sql = "SELECT topic_id, count(*), min(timestamp), max(timestamp) FROM messages \
                   GROUP BY topic_id";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            Ok((row.get(0)?, TopicTimes { count, first: row.get(2)?, last: row.get(3)? }))
        })?;
        rows.collect()
    }

    /// Times of the first and last message, in nanoseconds; two searches in the index.
    pub(super) fn time_range(&mut self) -> rusqlite::Result<Option<(i64, i64)>> {
        if self.rows.is_none() {
            let sql = "SELECT (SELECT min(timestamp) FROM messages), \
                       (SELECT max(timestamp) FROM messages)";
            let found = self.connection.query_row(sql, [], |row| {
                Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
            });
            match found {
                Ok(range) => return Ok(range),
                Err(error) if is_damage(&error) => self.give_up_index(&error, None)?,
                Err(error) => return Err(error),
            }
        }
        let rows = self.rows.as_deref().unwrap_or_default();
        Ok(rows.first().zip(rows.last()).map(|(first, last)| (first.timestamp, last.timestamp)))
    }

    /// Notes that the index is damaged and lists the rows that come after `after`.
    fn give_up_index(
        &mut self,
        error: &rusqlite::Error,
        after: Option<Row>,
    ) -> rusqlite::Result<()> {
        self.losses.add(LossKind::PagesDamaged, None, None, error.to_string());
        self.connection.pragma_update(None, "writable_schema", true)?;
        self.list_rows(after)
    }

    fn list_rows(&mut self, after: Option<Row>) -> rusqlite::Result<()> {
        let mut rows = salvage::reachable_rows(&self.connection, &mut self.losses)?;
        rows.sort_unstable();
        if let Some(after) = after {
            rows.retain(|row| *row > after);
        }
        self.rows = Some(rows);
        Ok(())
    }

    /// The next rows in order of time after `after`; empty at the end.
    fn rows_after(&self, after: Option<Row>) -> rusqlite::Result<Vec<Row>> {
        let read = |sql: &str, params: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<Vec<Row>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map(params, |row| {
                Ok(Row { timestamp: row.get(0)?, id: row.get(1)?, topic: row.get(2)? })
            })?;
            let rows: Vec<Row> = rows.collect::<rusqlite::Result<_>>()?;
            // A damaged index may lead back to where it was: that would never end.
            let key = |row: &Row| (row.timestamp, row.id);
            let is_rising = rows.windows(2).all(|pair| key(&pair[0]) < key(&pair[1]));
            let goes_on = after.zip(rows.first()).is_none_or(|(after, row)| key(&after) < key(row));
            if is_rising && goes_on { Ok(rows) } else { Err(out_of_order()) }
        };
        let Some(Row { timestamp, id, .. }) = after else {
            let sql =
                "SELECT timestamp, id, topic_id FROM messages ORDER BY timestamp, id LIMIT ?1";
            return read(sql, params![BATCH_ROWS as i64]);
        };
        // Two steps, each a search in the index, so that many messages of one time cost no more.
        let sql = "SELECT timestamp, id, topic_id FROM messages \
                   WHERE timestamp = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let same_time = read(sql, params![timestamp, id, BATCH_ROWS as i64])?;
        if !same_time.is_empty() {
            return Ok(same_time);
        }
        let sql = "SELECT timestamp, id, topic_id FROM messages \
                   WHERE timestamp > ?1 ORDER BY timestamp, id LIMIT ?2";
        read(sql, params![timestamp, BATCH_ROWS as i64])
    }

    /// The content of one row; `None` where it cannot be had, which is then counted as lost.
    fn data(&mut self, row: Row) -> rusqlite::Result<Option<Vec<u8>>> {
        // The length is asked for first: a damaged row may claim any.
        let sql = "SELECT length(data), CASE WHEN length(data) <= ?2 THEN data END \
                   FROM messages WHERE id = ?1";
        let read = self.connection.prepare_cached(sql).and_then(|mut statement| {
            statement.query_row(params![row.id, MESSAGE_LIMIT_BYTES as i64], |found| {
                let len: Option<i64> = found.get(0)?;
                Ok((len, found.get_ref(1)?.as_blob().ok().map(<[u8]>::to_vec)))
            })
        });
        let cut_page = self.cut_page.as_deref();
        let reason = match read {
            Ok((_, Some(data))) if cut_page.is_some_and(|page| salvage::ends_in(page, &data)) => {
                "the file ends in the middle of it".to_owned()
            }
            Ok((_, Some(data))) => return Ok(Some(data)),
            Ok((len, None)) => format!("content of {} bytes is no blob", len.unwrap_or(0)),
            Err(error) if is_damage(&error) => error.to_string(),
            Err(error) => return Err(error),
        };
        let what = format!("row {}: {reason}", row.id);
        self.losses.add(LossKind::MessageDamaged, None, Some(1), what);
        Ok(None)
    }
}

/// The topics of a file, if it is a bag. With `losses`, those that can be reached are enough.
fn topics(
    connection: &Connection,
    mut losses: Option<&mut FileLosses>,
) -> rusqlite::Result<Vec<Topic>> {
    // A view or virtual table of that name could run code or never end.
    let sql = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'messages'";
    let sql: String = connection.query_row(sql, [], |row| row.get(0))?;
    if !sql.trim_start().to_ascii_uppercase().starts_with("CREATE TABLE") {
        return Err(rusqlite::Error::InvalidQuery);
    }
    let has_hash = connection
        .query_row(
            "SELECT 1 FROM pragma_table_info('topics') WHERE name = 'type_description_hash'",
            [],
            |_| Ok(()),
        )
        .optional()?
        .is_some();
    let hash = if has_hash { "type_description_hash" } else { "''" };
    let sql =
        format!("SELECT id, name, type, serialization_format, {hash} FROM topics ORDER BY id");
    let mut statement = connection.prepare(&sql)?;
    let found = statement.query_map([], |row| {
        Ok(Topic {
            id: row.get(0)?,
            name: row.get(1)?,
            message_type: super::full_type_name(&row.get::<_, String>(2)?),
            encoding: row.get(3)?,
            type_hash: row.get(4)?,
        })
    })?;
    let mut topics = Vec::new();
    for topic in found {
        match (topic, losses.as_deref_mut()) {
            (Ok(topic), _) => topics.push(topic),
            (Err(error), Some(losses)) if is_damage(&error) && !topics.is_empty() => {
                let what = format!("topics after the first {}: {error}", topics.len());
                losses.add(LossKind::PagesDamaged, None, None, what);
                break;
            }
            (Err(error), _) => return Err(error),
        }
    }
    Ok(topics)
}

/// One message of a file.
pub(super) struct Message {
    pub(super) topic: i64,
    pub(super) timestamp: i64,
    pub(super) data: Vec<u8>,
}

/// A pass over the messages of a file on some of its topics.
pub(super) struct Cursor {
    file: SqliteFile,
    topics: BTreeSet<i64>,
    /// Rows that come next, last one first.
    batch: Vec<Row>,
    after: Option<Row>,
    /// How many of the listed rows were taken.
    taken: usize,
}

impl Cursor {
    /// Starts before the first message.
    pub(super) fn new(file: SqliteFile, topics: BTreeSet<i64>) -> Self {
        Self { file, topics, batch: Vec::new(), after: None, taken: 0 }
    }

    /// The losses that were met so far.
    pub(super) fn losses(&mut self) -> &mut FileLosses {
        &mut self.file.losses
    }

    /// Time of the next message, in nanoseconds.
    ///
    /// # Errors
    /// Where the file system fails.
    pub(super) fn peek(&mut self) -> rusqlite::Result<Option<i64>> {
        while self.batch.is_empty() {
            let mut rows = match &self.file.rows {
                Some(rows) => {
                    let rows: Vec<Row> =
                        rows.iter().skip(self.taken).take(BATCH_ROWS).copied().collect();
                    self.taken += rows.len();
                    rows
                }
                None => match self.file.rows_after(self.after) {
                    Ok(rows) => rows,
                    Err(error) if is_damage(&error) => {
                        self.file.give_up_index(&error, self.after)?;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            let Some(last) = rows.last() else { return Ok(None) };
            self.after = Some(*last);
            rows.retain(|row| self.topics.contains(&row.topic));
            rows.reverse();
            self.batch = rows;
        }
        Ok(self.batch.last().map(|row| row.timestamp))
    }

    /// The next message.
    ///
    /// # Errors
    /// Where the file system fails.
    pub(super) fn next(&mut self) -> rusqlite::Result<Option<Message>> {
        while self.peek()?.is_some() {
            let Some(row) = self.batch.pop() else { break };
            if let Some(data) = self.file.data(row)? {
                let Row { timestamp, topic, .. } = row;
                return Ok(Some(Message { topic, timestamp, data }));
            }
        }
        Ok(None)
    }
}
