//! The lessons of `scenarios/lessons`: each asks, lets the reader predict, and shows the answer.
//! That the answers are true is checked with all other scenarios.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn lessons() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/lessons");
    let entries = fs::read_dir(root).expect("lessons can be listed").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.join("scenario.yaml").is_file()).collect();
    folders.sort();
    folders
}

fn name(folder: &Path) -> String {
    folder.file_name().expect("lessons have names").to_string_lossy().into_owned()
}

fn page(folder: &Path) -> String {
    fs::read_to_string(folder.join("README.md")).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

#[test]
fn every_lesson_asks_before_it_answers_and_is_in_the_list() {
    let list = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/lessons/README.md")).expect("a list");
    let folders = lessons();
    assert!(folders.len() >= 37, "{}", folders.len());
    for folder in folders {
        let (name, page) = (name(&folder), page(&folder));
        let mut rest = page.as_str();
        for part in [
            "# ",
            &format!("meshsim run scenarios/lessons/{name}\n"),
            "**Predict first.**",
            "<details>",
            "</details>",
            "**Try.**",
        ] {
            let at = rest.find(part).unwrap_or_else(|| panic!("{name}: `{part}` is missing or in the wrong place"));
            rest = &rest[at + part.len()..];
        }
        assert!(list.contains(&format!("[{name}]({name})")), "{name} is not in the list");
    }
}

#[test]
fn commands_of_lessons_besides_the_run_itself_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in lessons() {
        for line in page(&folder).lines().filter(|line| line.starts_with("meshsim ") && !line.starts_with("meshsim run ")) {
            let words = shlex::split(line).expect("a command");
            let done =
                Command::new(env!("CARGO_BIN_EXE_meshsim")).args(&words[1..]).current_dir(root).output().expect("it starts");
            assert_ne!(done.status.code(), Some(2), "{line}\n{}", String::from_utf8_lossy(&done.stderr));
        }
    }
}
