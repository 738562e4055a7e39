//! What every page of Owlet is made of.
//!
//! Markup is made by `maud`, which escapes every value. Style and script are constants of this
//! crate, and the page's own content security policy allows those two texts by their hashes and
//! pictures as data, and nothing else: what a prompt or a topic is called cannot run.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Writes what follows the body of a section, piece by piece.
pub(in crate::report) type Rest<'a> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'a;

/// A section of a page.
pub(in crate::report) struct Part<'a> {
    /// Its anchor.
    pub(in crate::report) id: &'static str,
    /// Its heading.
    pub(in crate::report) title: &'static str,
    pub(in crate::report) body: Markup,
    pub(in crate::report) rest: Option<&'a Rest<'a>>,
}

/// Writes a whole page.
pub(in crate::report) fn write_document(
    out: &mut dyn Write,
    title: &str,
    header: Markup,
    parts: Vec<Part<'_>>,
) -> io::Result<()> {
    put(out, html! { (DOCTYPE) })?;
    writeln!(out, "\n<html lang=\"en\">")?;
    put(out, head(title))?;
    writeln!(out, "<body>")?;
    put(out, header)?;
    put(
        out,
        html! {
            nav aria-label="Sections" {
                @for part in &parts {
                    a href={ "#" (part.id) } { (part.title) }
                }
            }
        },
    )?;
    writeln!(out, "<main>")?;
    for Part { id, title, body, rest } in parts {
        writeln!(out, "<section id=\"{id}\" aria-labelledby=\"{id}-title\">")?;
        put(
            out,
            html! {
                h2 id={ (id) "-title" } { (title) }
                (body)
            },
        )?;
        if let Some(rest) = rest {
            rest(out)?;
        }
        writeln!(out, "</section>")?;
    }
    writeln!(out, "</main>")?;
    put(out, html! { script { (PreEscaped(SCRIPT)) } })?;
    writeln!(out, "</body>\n</html>")
}

/// Writes one piece.
pub(in crate::report) fn put(out: &mut dyn Write, markup: Markup) -> io::Result<()> {
    out.write_all(markup.into_string().as_bytes())?;
    out.write_all(b"\n")
}

fn head(title: &str) -> Markup {
    let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; \
         form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// A name that a user gave: isolated, so that its writing direction cannot reorder what is around.
pub(in crate::report) fn name(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// A number that is seen first.
pub(in crate::report) fn tile(label: &str, value: &str) -> Markup {
    html! { div { dt { (label) } dd { (value) } } }
}

/// One of a list of facts.
pub(in crate::report) fn fact(label: &str, value: &Markup) -> Markup {
    html! { div { dt { (label) } dd { (value) } } }
}

/// A picture with boxes drawn in.
pub(in crate::report) struct Drawn<'a> {
    pub(in crate::report) jpeg: &'a [u8],
    pub(in crate::report) width: u32,
    pub(in crate::report) height: u32,
    /// What it shows, for those who cannot see it.
    pub(in crate::report) alt: &'a str,
}

/// A picture of a gallery with its caption: a click on it opens it by its first anchor, and its
/// second one is where one comes back to.
pub(in crate::report) fn figure_of(
    (anchor, thumb): &(String, String),
    drawn: &Drawn<'_>,
    caption: &Markup,
) -> Markup {
    html! {
        li id=(thumb) {
            figure id=(anchor) {
                a.open href={ "#" (anchor) } {
                    img src={ "data:image/jpeg;base64," (BASE64.encode(drawn.jpeg)) }
                        alt=(drawn.alt) width=(drawn.width) height=(drawn.height);
                }
                figcaption { (caption) }
                a.close href={ "#" (thumb) } aria-label="Close" { "×" }
            }
        }
    }
}

/// The command line that made the page.
pub(in crate::report) fn command(words: &[String]) -> Markup {
    let words: Vec<_> = words.iter().map(|word| shell_quoted(word)).collect();
    html! { pre { code { (words.join(" ")) } } }
}

/// A word as a POSIX shell takes it.
fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_can_be_pasted_into_a_shell() {
        assert_eq!(shell_quoted("--prompt"), "--prompt");
        assert_eq!(shell_quoted("a cat"), "'a cat'");
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
        assert_eq!(shell_quoted(""), "''");
        assert_eq!(shell_quoted("$(x)"), "'$(x)'");
    }
}
