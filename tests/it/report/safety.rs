//! Nothing in a report can act, whatever a prompt or a topic is called.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use owlet::report::{LossSummary, ReportBuilder};
use sha2::{Digest, Sha256};

use super::{JPEG, between, count_of, frame, options, page, prompt_set, run, tags};

#[test]
fn nothing_a_user_names_can_break_out_of_its_place() {
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></style></script><script>alert(1)</script>",
        "<!-- ",
        "]]><svg onload=alert(1)>",
        "javascript:alert(1)",
        "&lt;b&gt;",
    ];
    let prompts = prompt_set(1, &hostile);
    let everywhere = hostile.join(" ");
    let mut bad = options(&prompts);
    bad.title = everywhere.clone();
    bad.notes = vec![everywhere.clone()];
    bad.command_line = vec![everywhere.clone()];
    bad.version = everywhere.clone();
    for field in [&mut bad.model.name, &mut bad.model.device, &mut bad.model.architecture] {
        field.clone_from(&everywhere);
    }
    bad.recording.path = everywhere.clone();
    bad.recording.storage = everywhere.clone();
    bad.recording.topics[0].name = everywhere.clone();
    bad.recording.topics[0].message_type = everywhere.clone();
    let mut report = ReportBuilder::new(bad);
    for number in 0..20 {
        let mut frame = frame(&prompts, number, &[(number as usize % hostile.len(), 0.5)]);
        frame.camera = everywhere.as_str().into();
        report.add_frame(&frame, || Some(JPEG.to_vec()));
    }
    report.add_skipped(&everywhere, None, &everywhere);
    report.add_loss(LossSummary {
        source: everywhere.clone(),
        reason: everywhere.clone(),
        messages: None,
    });
    let hostile_page = page(&report);
    let seen = |page: &str| -> BTreeSet<(String, String)> {
        let names = |(tag, attributes): (String, Vec<String>)| {
            attributes.into_iter().map(move |attribute| (tag.clone(), attribute))
        };
        tags(page).into_iter().flat_map(names).collect()
    };
    // The same elements and attributes as a page of harmless names, and no other.
    let mut harmless = run(options(&prompt_set(1, &["a cat", "a remote"])));
    harmless.add_skipped("t", None, "r");
    let known = seen(&page(&harmless));
    let found = seen(&hostile_page);
    assert!(found.is_subset(&known), "{:?}", found.difference(&known).collect::<Vec<_>>());
    assert_eq!(count_of(&hostile_page, "script"), 1);
    assert!(!hostile_page.contains("<!--"));
    assert!(hostile_page.contains("&amp;lt;b&amp;gt;"), "what looks escaped is escaped again");
}

#[test]
fn the_page_loads_nothing_and_its_policy_allows_its_own_two_texts_only() {
    let page = page(&run(options(&prompt_set(1, &["a cat", "a remote"]))));
    for (tag, attributes) in tags(&page) {
        assert!(tag != "link" && tag != "iframe" && tag != "object", "{tag}");
        assert!(!attributes.iter().any(|name| name == "style" || name.starts_with("on")), "{tag}");
    }
    for part in page.split("src=\"").skip(1) {
        assert!(part.starts_with("data:image/jpeg;base64,"));
    }
    for part in page.split("href=\"").skip(1) {
        assert!(part.starts_with('#'), "{}", &part[..40]);
    }
    for load in ["http:", "https:", "url(", "@import", "fetch(", "import("] {
        assert!(!page.contains(load), "{load}");
    }
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    let hash = |text: &str| BASE64.encode(Sha256::digest(text));
    let style = hash(between(&page, "<style>", "</style>"));
    let script = hash(between(&page, "<script>", "</script>"));
    assert!(policy.starts_with("default-src 'none'; img-src data:; "));
    assert!(policy.contains(&format!("style-src 'sha256-{style}'")), "{policy}");
    assert!(policy.contains(&format!("script-src 'sha256-{script}'")), "{policy}");
}
