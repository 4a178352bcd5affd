//! The house rules that the compiler does not enforce: modules use only what is declared above
//! them, `mod.rs` files hold no code, the library touches nothing outside, and the top level of
//! the repository stays as it is.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

const TOP_LEVEL: &[&str] =
    &["Cargo.toml", "Cargo.lock", "README.md", "LICENSE", "src", "scenarios", "benches", "tests", "output", "target"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `src`, sorted, with their paths from there.
fn sources() -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("directories of the repository can be listed") {
            let path = entry.expect("entries can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).expect("it was found below src").to_string_lossy().replace('\\', "/");
            (name, without_comments(&fs::read_to_string(&path).expect("sources are text")))
        })
        .collect()
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// The modules of the library in the order of their declaration.
fn layers(files: &[(String, String)]) -> Vec<String> {
    let (_, lib) = files.iter().find(|(name, _)| name == "lib.rs").expect("there is a library");
    let declaration = Regex::new(r"(?m)^pub mod (\w+);$").expect("a constant");
    declaration.captures_iter(lib).map(|found| found[1].to_owned()).collect()
}

fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Names that follow `crate::` in a file: modules, and macros with their `!`.
fn used(text: &str) -> Vec<String> {
    let path = Regex::new(r"\bcrate::(\w+!?|\{)").expect("a constant");
    let mut names = Vec::new();
    for found in path.captures_iter(text) {
        if &found[1] == "{" {
            names.extend(group(&text[found.get(0).expect("group 0 always is").end()..]));
        } else {
            names.push(found[1].to_owned());
        }
    }
    names
}

/// The first names of `a::b, c::{d, e}}`, up to the brace that closes the group.
fn group(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut word) = (0, Vec::new(), String::new());
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut word)),
            c if depth == 0 => word.push(c),
            _ => {}
        }
    }
    names.push(word);
    names
        .iter()
        .map(|name| name.trim().split("::").next().unwrap_or_default().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn a_module_uses_only_modules_declared_above_it() {
    let files = sources();
    let layers = layers(&files);
    assert!(layers.len() > 5, "{layers:?}");
    let height = |module: &str| layers.iter().position(|layer| layer == module);
    let exported = Regex::new(r"#\[macro_export\]\s*macro_rules! (\w+)").expect("a constant");
    let macros: Vec<(String, &str)> = files
        .iter()
        .flat_map(|(file, text)| exported.captures_iter(text).map(move |found| (format!("{}!", &found[1]), module_of(file))))
        .collect();
    let mut wrong = Vec::new();
    for (file, text) in &files {
        let Some(here) = height(module_of(file)) else { continue };
        for name in used(text) {
            let module = macros.iter().find(|(known, _)| *known == name).map_or(name.as_str(), |(_, module)| module);
            match height(module) {
                Some(there) if there <= here => {}
                Some(_) => wrong.push(format!("src/{file} uses `{module}`, which lib.rs declares below `{}`", layers[here])),
                None => wrong.push(format!("src/{file} uses `crate::{name}`, which is no module of lib.rs")),
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn mod_files_hold_declarations_and_re_exports_only() {
    let declaration =
        Regex::new(r"^(#\[[^\]]*\]\s*)*((pub(\([^)]*\))?\s+)?mod\s+\w+|pub(\([^)]*\))?\s+use\s[^;]+)$").expect("a constant");
    let mut wrong = Vec::new();
    for (file, text) in sources().iter().filter(|(file, _)| file.ends_with("mod.rs") || file == "lib.rs") {
        let code: String = text.lines().filter(|line| !line.starts_with("#!")).map(|line| format!("{line}\n")).collect();
        for statement in code.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            if !declaration.is_match(statement) {
                wrong.push(format!("src/{file}: {}", statement.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_library_touches_nothing_outside_of_itself() {
    let outside = Regex::new(r"\bstd::(fs|env|process|time)\b|\b(TcpStream|TcpListener|UdpSocket)\b|\bio::(stdin|stdout|stderr)\b|\b(e?print(ln)?|dbg)!").expect("a constant");
    let files = sources();
    let layers = layers(&files);
    let mut wrong = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| layers.iter().any(|layer| layer == module_of(file))) {
        // Tests may read files; they stand at the end of theirs.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        wrong.extend(outside.find_iter(code).map(|found| format!("src/{file}: {}", found.as_str())));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_top_level_of_the_repository_is_fixed() {
    let unexpected: Vec<String> = fs::read_dir(root())
        .expect("the repository can be listed")
        .map(|entry| entry.expect("entries can be read").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn names_after_crate_are_found_in_paths_groups_and_macros() {
    assert_eq!(used("use crate::a::b;\ncrate::record! {}\nuse crate::{c::{d, e}, f};"), ["a", "record!", "c", "f"]);
}
