//! The rows of a damaged file that can still be reached.

use rusqlite::{Connection, params};

use super::super::loss::{FileLosses, LossKind};
use super::{is_damage, out_of_order};

/// Where a message stands; its order is the order of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) timestamp: i64,
    pub(super) id: i64,
    pub(super) topic: i64,
}

/// Row numbers beyond this are not looked for: rosbag2 counts from 1.
const LAST_ID: i64 = 1 << 48;

/// Lists the rows in the order of their numbers. A page that cannot be read takes its rows with
/// it; behind it the next number that can be found is looked for in growing steps.
///
/// # Errors
/// Where the disk fails.
pub(super) fn reachable_rows(
    connection: &Connection,
    losses: &mut FileLosses,
) -> rusqlite::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut after = i64::MIN;
    loop {
        let error = match rows_after(connection, after, &mut rows) {
            Ok(()) => return Ok(rows),
            Err(error) if is_damage(&error) => error,
            Err(error) => return Err(error),
        };
        let last = rows.last().map_or(after, |row| row.id.max(after)).max(0);
        let Some(found) = next_reachable(connection, last) else {
            let what = format!("rows after {last}: {error}");
            losses.add(LossKind::PagesDamaged, None, None, what);
            return Ok(rows);
        };
        let gap = u64::try_from(found - last).unwrap_or(0);
        let what = format!("rows {} to {found}: {error}", last + 1);
        losses.add(LossKind::PagesDamaged, None, Some(gap), what);
        after = found;
    }
}

/// Adds rows up to the first that cannot be read.
fn rows_after(connection: &Connection, after: i64, found: &mut Vec<Row>) -> rusqlite::Result<()> {
    let sql = "SELECT timestamp, id, topic_id FROM messages WHERE id > ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![after])?;
    let mut last = after;
    while let Some(row) = rows.next()? {
        let id = row.get(1)?;
        if id <= last {
            return Err(out_of_order());
        }
        last = id;
        // A damaged row may hold text where a number belongs: it is passed over.
        if let (Ok(timestamp), Ok(topic)) = (row.get(0), row.get(2)) {
            found.push(Row { timestamp, id, topic });
        }
    }
    Ok(())
}

/// The least number from which on rows can be read again, all rows up to `last` being read.
fn next_reachable(connection: &Connection, last: i64) -> Option<i64> {
    let is_reachable = |after: i64| {
        let sql = "SELECT id FROM messages WHERE id > ?1 ORDER BY id LIMIT 1";
        let search = connection.prepare_cached(sql);
        search
            .and_then(|mut search| search.query_row(params![after], |row| row.get::<_, i64>(0)))
            .ok()
    };
    let (mut damaged, mut step) = (last, 1);
    let mut sound = loop {
        let probe = last + step;
        if probe > LAST_ID {
            return None;
        }
        if is_reachable(probe).is_some() {
            break probe;
        }
        damaged = probe;
        step *= 2;
    };
    while sound - damaged > 1 {
        let middle = damaged + (sound - damaged) / 2;
        match is_reachable(middle) {
            Some(_) => sound = middle,
            None => damaged = middle,
        }
    }
    Some(sound)
}
