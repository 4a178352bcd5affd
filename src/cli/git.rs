//! Files of git revisions, through the git that is installed.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use super::exit::Stop;
use super::input::holds_objects;

/// Whether a word names a commit of the repository around the working directory.
pub(crate) fn is_revision(word: &str) -> bool {
    let mut git = Command::new("git");
    git.args(["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{word}^{{commit}}")]);
    git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The mesh files of a revision below some paths, as `revision:path` and text.
pub(crate) fn files(revision: &str, paths: &[String]) -> Result<Vec<(String, String)>, Stop> {
    let listed = output(Command::new("git").args(["ls-tree", "-r", "-z", "--name-only", revision, "--"]).args(paths), revision)?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let names: Vec<String> =
        listed.split('\0').filter(|name| holds_objects(std::path::Path::new(name))).map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Stop::Unusable(vec![format!("{revision}: no .yaml, .yml or .json file in {}", paths.join(", "))]));
    }
    let mut git =
        Command::new("git").args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(absent)?;
    let (Some(mut stdin), Some(mut stdout)) = (git.stdin.take(), git.stdout.take()) else {
        return Err(Stop::Unusable(vec!["git gives no output".to_owned()]));
    };
    let asked: String = names.iter().map(|name| format!("{revision}:./{name}\n")).collect();
    // Questions and answers flow at once, or both sides would wait for the other.
    let writer = thread::spawn(move || stdin.write_all(asked.as_bytes()));
    let mut bytes = Vec::new();
    stdout.read_to_end(&mut bytes)?;
    let _ = writer.join();
    let _ = git.wait();
    unpacked(&bytes, &names, revision)
}

/// `<hash> blob <size>\n<content>\n` for each name, in order.
fn unpacked(mut bytes: &[u8], names: &[String], revision: &str) -> Result<Vec<(String, String)>, Stop> {
    let broken = |name: &str| Stop::Unusable(vec![format!("{revision}:{name}: git cannot read it")]);
    let mut files = Vec::new();
    for name in names {
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| broken(name))?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let size: usize = head.rsplit(' ').next().and_then(|size| size.parse().ok()).ok_or_else(|| broken(name))?;
        let content = bytes.get(end + 1..end + 1 + size).ok_or_else(|| broken(name))?;
        bytes = bytes.get(end + size + 2..).unwrap_or_default();
        let text = String::from_utf8(content.to_vec())
            .map_err(|_| Stop::Unusable(vec![format!("{revision}:{name}: not text in UTF-8")]))?;
        files.push((format!("{revision}:{name}"), text));
    }
    Ok(files)
}

fn output(git: &mut Command, revision: &str) -> Result<Vec<u8>, Stop> {
    let done = git.stdin(Stdio::null()).output().map_err(absent)?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let why = String::from_utf8_lossy(&done.stderr);
    Err(Stop::Unusable(vec![format!("{revision}: {}", why.trim().trim_start_matches("fatal: "))]))
}

fn absent(error: std::io::Error) -> Stop {
    Stop::Unusable(vec![format!("cannot start git: {error}")])
}
