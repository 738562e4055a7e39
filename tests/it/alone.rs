//! Tests that need a process of their own: they measure memory, and all others share one process.

use std::process::Command;

/// Set in the process that does the work.
const ALONE: &str = "OWLET_TEST_ALONE";

/// Whether this is the process that does the work of the test with this full name; elsewhere that
/// process is run, and has to succeed.
pub(crate) fn is_alone(name: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let done = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        // The program's commands run on its main thread, and the test on another, to which glibc
        // gives a heap of many pieces with more left between them.
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("1 passed"), "{name} is not the name of this test: {said}");
    false
}

/// A line of what the system says of this process' memory, in KiB: `RssAnon:` is what it has beside
/// files, `VmHWM:` the most that it ever had.
pub(crate) fn memory_kib(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.trim_end_matches("kB").trim().parse().unwrap()
}
