//! How the figures came about, so that they can be had again.

use std::fmt::Write as _;

use serde_json::Value;

use super::page::{escape, heading};

/// How figures came about.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// The command that gives the same figures again; where music and artifacts lie is left to the reader.
    pub command: &'a str,
    /// What was fitted on, in words.
    pub data: &'a str,
    /// What is digested, and its digest.
    pub digests: &'a [(&'a str, String)],
    /// All that decided the training.
    pub training: &'a Value,
}

pub(super) fn section(page: &mut String, Provenance { command, data, digests, training }: &Provenance<'_>) {
    heading(page, "How it was made");
    let _ = writeln!(
        page,
        "<p>Fitted on {}.</p>\n<div class=\"wide\"><table class=\"texts\"><thead><tr><th>what</th><th>digest</th></tr></thead>",
        escape(data)
    );
    for (what, digest) in *digests {
        let _ = writeln!(page, "<tr><td>{}</td><td><code>{}</code></td></tr>", escape(what), escape(digest));
    }
    let training = serde_json::to_string_pretty(training).unwrap_or_default();
    let _ = writeln!(
        page,
        "</table></div>\n<p>The same figures again, with the music and, where it is named, the artifact of these digests:</p>\n<pre>{}</pre>\n\
         <p>All that decided the training:</p>\n<pre>{}</pre>",
        escape(command),
        escape(&training)
    );
}
