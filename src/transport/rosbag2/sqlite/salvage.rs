//! The rows of a damaged file that can still be reached.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

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

/// After so many holes in one file the search is given up.
const MOST_GAPS: usize = 10_000;

/// Row numbers further apart than this are damaged themselves and count nothing.
const LARGEST_GAP: u64 = 1 << 20;

/// What is there of the last page of a file that ends in the middle of a page. sqlite3 takes the
/// missing part for zeros, so that a message that stands in it would look whole.
///
/// # Errors
/// Where the file system fails.
pub(super) fn cut_page(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let mut size = [0; 2];
    file.seek(SeekFrom::Start(16))?;
    file.read_exact(&mut size)?;
    // 65536 does not fit the field and is written as 1.
    let page_size = match u16::from_be_bytes(size) {
        1 => 65_536,
        size => u64::from(size),
    };
    let len = file.metadata()?.len();
    let part = len.checked_rem(page_size).unwrap_or(0);
    if part == 0 {
        return Ok(None);
    }
    let mut page = Vec::new();
    file.seek(SeekFrom::Start(len - part))?;
    file.read_to_end(&mut page)?;
    Ok(Some(page))
}

/// Whether a message may end in the missing part of a cut page. Then zeros stand at its end, and
/// before them what stands at the end of the page as far as it is there: all of it behind the four
/// bytes that link pages, or less where the message starts in the same page.
pub(super) fn ends_in(cut_page: &[u8], message: &[u8]) -> bool {
    fn without_zeros(bytes: &[u8]) -> &[u8] {
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &bytes[..end]
    }
    let there = without_zeros(message);
    let linked = cut_page.get(4..).unwrap_or_default();
    message.last() == Some(&0)
        && (there.ends_with(without_zeros(linked)) || without_zeros(cut_page).ends_with(there))
}

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
    for _ in 0..MOST_GAPS {
        let error = match rows_after(connection, &mut after, &mut rows) {
            Ok(()) => return Ok(rows),
            Err(error) if is_damage(&error) => error,
            Err(error) => return Err(error),
        };
        let last = after.max(0);
        let Some(found) = next_reachable(connection, last) else {
            let what = format!("rows after {last}: {error}");
            losses.add(LossKind::PagesDamaged, None, None, what);
            return Ok(rows);
        };
        // Numbers rise by one, unless it is they that are damaged.
        let gap = u64::try_from(found - last).ok().filter(|gap| *gap <= LARGEST_GAP);
        let what = format!("rows {} to {found}: {error}", last + 1);
        losses.add(LossKind::PagesDamaged, None, gap, what);
        after = found;
    }
    let what = format!("rows after {after}: more than {MOST_GAPS} gaps; the search was given up");
    losses.add(LossKind::PagesDamaged, None, None, what);
    Ok(rows)
}

/// Adds rows up to the first that cannot be read, and moves `after` to the last one seen, so that
/// whatever a damaged tree leads to, the search moves on.
fn rows_after(
    connection: &Connection,
    after: &mut i64,
    found: &mut Vec<Row>,
) -> rusqlite::Result<()> {
    let sql = "SELECT timestamp, id, topic_id FROM messages WHERE id > ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![*after])?;
    while let Some(row) = rows.next()? {
        let id = row.get(1)?;
        if id <= *after {
            return Err(out_of_order());
        }
        *after = id;
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
            .filter(|id| *id > after)
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
