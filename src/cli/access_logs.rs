//! Reading access logs.

use std::path::PathBuf;

use meshsim::diagnostic::{Code, Diagnostic};
use meshsim::replay::{LogEntry, LogError};
use meshsim::report;
use meshsim::source::{FileId, Sources, Span};
use meshsim::text::plural;

use super::context::Context;
use super::exit::Stop;
use super::input::{Depth, Reader};

/// Unreadable lines that are shown one by one.
const BROKEN_SHOWN: usize = 10;

/// Reads logs, and complains about lines that are no entry.
pub(crate) fn read(logs: &[PathBuf], cx: &mut Context) -> Result<Vec<(usize, LogEntry)>, Stop> {
    let mut reader = Reader::default();
    let files: Vec<FileId> = logs.iter().flat_map(|log| reader.read(log, Depth::One)).collect();
    let texts = reader.finish(cx)?.sources;
    let (entries, findings) = entries(&texts, &files);
    complain(&texts, &findings, cx);
    Ok(entries)
}

/// The requests with their lines, and a finding for each line that is none.
fn entries(texts: &Sources, logs: &[FileId]) -> (Vec<(usize, LogEntry)>, Vec<Diagnostic>) {
    let (mut entries, mut findings) = (Vec::new(), Vec::new());
    for file in logs {
        let Some(source) = texts.get(*file) else { continue };
        let mut start = 0;
        for (index, line) in source.text().split_inclusive('\n').enumerate() {
            let end = start + line.trim_end().len();
            match LogEntry::parse(line) {
                Ok(entry) => entries.push((index + 1, entry)),
                Err(LogError::NotHttp) => {}
                Err(_) if line.trim().is_empty() => {}
                Err(why) => {
                    let place = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
                    let span = Span { file: *file, start: place(start), end: place(end.max(start + 1)) };
                    findings.push(Diagnostic::new(Code::UnreadableLogLine, why.to_string()).at(span));
                }
            }
            start += line.len();
        }
    }
    (entries, findings)
}

fn complain(texts: &Sources, findings: &[Diagnostic], cx: &mut Context) {
    let shown = &findings[..findings.len().min(BROKEN_SHOWN)];
    if !shown.is_empty() {
        cx.findings(&report::findings_concise(texts, shown, cx.color()));
    }
    if findings.len() > BROKEN_SHOWN {
        cx.note(&format!("{} are no entry of an access log", plural(findings.len() as u64, "line")));
    }
}
