//! README.md is true: its examples are replayed, its pictures drawn again, its figures measured again.
//!
//! `UPDATE_README=1 cargo test --test it readme` writes what is true now.
#![cfg(unix)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CONFORMANCE: (&str, &str) = ("<!-- conformance: ", "<!-- conformance ends -->");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn update() -> bool {
    std::env::var_os("UPDATE_README").is_some()
}

/// A folder in which commands can be run as a reader would, without writing into the repository.
fn playground() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    for name in ["scenarios", "tests"] {
        std::os::unix::fs::symlink(root().join(name), folder.path().join(name)).expect("links can be made");
    }
    folder
}

/// What a command line prints on standard output.
fn output_of(line: &str, folder: &Path) -> String {
    let binaries = Path::new(env!("CARGO_BIN_EXE_meshsim")).parent().expect("a file lies in a folder");
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap_or_default());
    let run = Command::new("sh").args(["-c", line]).current_dir(folder).env("PATH", path).output().expect("there is a shell");
    String::from_utf8(run.stdout).expect("output is UTF-8")
}

/// The text with every example's output and every figure as they are now.
fn refreshed(text: &str, folder: &Path) -> String {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(out, "{line}");
        if line == "```console" {
            for inside in lines.by_ref().take_while(|line| *line != "```") {
                if let Some(command) = inside.strip_prefix("$ ") {
                    let _ = writeln!(out, "{inside}\n{}", output_of(command, folder).trim_end());
                }
            }
            out.push_str("```\n");
        } else if line.starts_with(CONFORMANCE.0) {
            let _ = lines.by_ref().find(|line| *line == CONFORMANCE.1);
            let _ = writeln!(out, "{}\n{}", conformance(folder), CONFORMANCE.1);
        }
    }
    out
}

/// What is compared: the key in the score, and the heading.
const COMPARED: [(&str, &str); 5] = [
    ("requests", "requests"),
    ("policies", "cluster settings"),
    ("verdicts", "verdicts"),
    ("findings", "findings"),
    ("timed", "timed cases"),
];

/// The score on the measured cases as a table. The folder `found` grows with every mistake that is
/// found, and is only asked to agree.
fn conformance(folder: &Path) -> String {
    let json = output_of("meshsim conformance tests/conformance -o json", folder);
    let score: serde_json::Value = serde_json::from_str(&json).expect("the score is JSON");
    let list = |key: &str| score[key].as_array().cloned().unwrap_or_default();
    let mut table = String::from("| group |");
    COMPARED.iter().for_each(|(_, heading)| table.push_str(&format!(" {heading} |")));
    table.push_str("\n|---|---:|---:|---:|---:|---:|\n");
    let mut sums = [(0, 0); COMPARED.len()];
    for group in list("groups").iter().filter(|group| group["name"] != "found") {
        let count = |key: &str, of: &str| group[key][of].as_u64().expect("the score counts");
        let tallies = COMPARED.map(|(key, _)| (count(key, "agree"), count(key, "total")));
        sums.iter_mut().zip(tallies).for_each(|(sum, tally)| *sum = (sum.0 + tally.0, sum.1 + tally.1));
        if tallies.iter().any(|(_, total)| *total > 0) {
            let _ = writeln!(table, "| {} |{}", group["name"].as_str().unwrap_or_default(), cells(&tallies));
        }
    }
    let _ = writeln!(table, "| **all** |{}", cells(&sums));
    table.trim_end().to_owned()
}

/// "agree of total" in each column; nothing where nothing was compared.
fn cells(tallies: &[(u64, u64)]) -> String {
    let cell = |(agree, total): &(u64, u64)| if *total == 0 { "  |".to_owned() } else { format!(" {agree} of {total} |") };
    tallies.iter().map(cell).collect()
}

#[test]
fn every_example_and_figure_in_the_readme_is_what_the_program_says() {
    let path = root().join("README.md");
    let text = fs::read_to_string(&path).expect("there is a README");
    let folder = playground();
    let now = refreshed(&text, folder.path());
    if update() {
        fs::write(&path, now).expect("the README can be written");
        return;
    }
    assert!(now.matches("\n$ meshsim ").count() >= 5, "the README has examples");
    let differing: Vec<String> = text
        .lines()
        .zip(now.lines())
        .filter(|(was, is)| was != is)
        .take(10)
        .map(|(was, is)| format!("- {was}\n+ {is}"))
        .collect();
    assert!(
        now == text,
        "README.md differs from what the program says; if the program is right, run `UPDATE_README=1 cargo test --test it readme`\n{}",
        differing.join("\n")
    );
}

/// The charts that are kept in the repository, by the scenario's folder.
fn pictures() -> Vec<PathBuf> {
    let mut pictures: Vec<PathBuf> = ignore::WalkBuilder::new(root().join("output"))
        .build()
        .map(|entry| entry.expect("folders can be read").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "svg"))
        .collect();
    pictures.sort();
    pictures
}

#[test]
fn the_pictures_in_the_repository_are_drawn_by_the_program() {
    let folder = playground();
    let pictures = pictures();
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let shown: Vec<&str> = readme.split("](output/").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(shown.len() >= 2, "the README shows pictures");
    for name in &shown {
        assert!(pictures.contains(&root().join("output").join(name)), "output/{name} is shown and does not exist");
    }
    let mut scenarios: Vec<&str> = pictures.iter().filter_map(|path| path.parent()?.file_name()?.to_str()).collect();
    scenarios.dedup();
    for scenario in &scenarios {
        output_of(&format!("meshsim -q run scenarios/{scenario} -o none"), folder.path());
    }
    for picture in pictures {
        let name = picture.strip_prefix(root()).expect("pictures lie in the repository");
        let drawn = fs::read(folder.path().join(name)).unwrap_or_else(|error| panic!("{} is not drawn: {error}", name.display()));
        if update() {
            fs::write(&picture, drawn).expect("pictures can be written");
        } else {
            let kept = fs::read(&picture).expect("pictures can be read");
            assert!(drawn == kept, "{} differs; `UPDATE_README=1 cargo test --test it readme` draws it again", name.display());
        }
    }
}
