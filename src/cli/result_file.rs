//! Files of results. A file is whole or it is not there: it is written beside its place and then
//! moved.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::exit::Stop;

/// Writes a file, and the folders it lies in.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Stop> {
    write_as_it_comes(path, |out| out.write_all(bytes))
}

/// Writes a file whose text is made while it is written.
pub(crate) fn write_as_it_comes(path: &Path, tell: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Stop> {
    attempt(path, tell).map_err(|error| Stop::Unusable(vec![format!("cannot write {}: {error}", path.display())]))
}

fn attempt(path: &Path, tell: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("this is no name of a file"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    // The process id keeps two runs at once from writing into one another's file.
    let beside = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let written = fs::File::create(&beside).and_then(|file| {
        let mut out = io::BufWriter::new(file);
        tell(&mut out)?;
        out.flush()
    });
    written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        // What went wrong is told already; a leftover that cannot be removed either adds nothing.
        let _ = fs::remove_file(&beside);
    })
}

/// Writes new texts into files that are there: all of them or, if one cannot be written, none.
/// Permissions stay.
pub(crate) fn rewrite(files: &[(&Path, &str)]) -> Result<(), Stop> {
    let mut ready: Vec<(PathBuf, &Path)> = Vec::new();
    let mut attempt = || {
        for (path, text) in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
            ready.push((beside.clone(), path));
            let failed = |error| (*path, error);
            let permissions = fs::metadata(path).map_err(failed)?.permissions();
            if permissions.readonly() {
                return Err((*path, io::Error::from(io::ErrorKind::PermissionDenied)));
            }
            fs::write(&beside, text).map_err(failed)?;
            fs::set_permissions(&beside, permissions).map_err(failed)?;
        }
        ready.iter().try_for_each(|(beside, path)| fs::rename(beside, path).map_err(|error| (*path, error)))
    };
    let outcome = attempt();
    outcome.map_err(|(path, error)| {
        for (beside, _) in &ready {
            // What went wrong is told already; a leftover that cannot be removed either adds nothing.
            let _ = fs::remove_file(beside);
        }
        Stop::Unusable(vec![format!("cannot write {}: {error}; nothing was changed", path.display())])
    })
}

/// A name that is safe as one part of a path, whatever somebody called a scenario.
pub(crate) fn safe_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = name.chars().map(safe).collect();
    match name.trim_matches(['.', '-']) {
        "" => "scenario".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::safe_name;

    #[test]
    fn names_of_scenarios_lead_nowhere_else() {
        for (name, safe) in
            [("bookinfo", "bookinfo"), ("../etc", "etc"), ("a b/c", "a-b-c"), ("..", "scenario"), ("v1.2", "v1.2")]
        {
            assert_eq!(safe_name(name), safe);
        }
    }
}
