//! Mistakes that the referee found, played again.

use std::fs;
use std::path::{Path, PathBuf};

use meshsim::conformance::Case;
use serde_json::{Map, Value as Json};

use crate::arena::{Compiled, play};
use crate::envoy;
use crate::judge::{judge, record, times};
use crate::stub::Stub;

/// The cases of this referee; others beside them were measured otherwise.
const TAG: &str = "referee";

fn cases() -> Vec<(PathBuf, Compiled)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/found");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).expect("the folder can be listed").flatten().map(|e| e.path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("cases can be read");
        let name = path.file_stem().expect("files have names").to_string_lossy().into_owned();
        let case = Case::parse("found", &name, &text).unwrap_or_else(|error| panic!("{name}: {error}"));
        case.tags.iter().any(|tag| tag == TAG).then(|| (path, Compiled::new(case)))
    };
    paths.into_iter().filter_map(read).collect()
}

#[test]
fn what_was_wrong_once_is_right() {
    let binary = match envoy::binary() {
        Ok(binary) => binary,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let (paths, cases): (Vec<PathBuf>, Vec<Compiled>) = cases().into_iter().unzip();
    assert!(cases.len() >= 5, "{} cases are tagged", cases.len());
    let fates = play(&binary, &Stub::start(), &cases, times).expect("Envoy takes the cases");
    let writes = std::env::var_os("MESHSIM_REFEREE_RECORD").is_some();
    let mut wrong = Vec::new();
    for ((path, compiled), fates) in paths.iter().zip(&cases).zip(&fates) {
        let played = || compiled.case.requests.iter().zip(fates);
        if writes {
            let records = played().filter_map(|(request, fate)| Some((request.id.clone(), record(compiled, request, fate)?)));
            write(path, records.collect());
        }
        wrong.extend(played().filter_map(|(request, fate)| {
            Some(format!("{} {}: {}", compiled.case.name, request.id, judge(compiled, request, fate)?))
        }));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Puts what was seen at the end of a case.
fn write(path: &Path, records: Map<String, Json>) {
    let text = fs::read_to_string(path).expect("cases can be read");
    let question = text.split("\nexpect:").next().unwrap_or_default().trim_end();
    let expect = serde_yaml::to_string(&serde_json::json!({"expect": {"requests": records}})).expect("JSON is YAML");
    // To older readers of YAML, `on` is a truth value.
    let expect = expect.replace(" on: ", " 'on': ");
    fs::write(path, format!("{question}\n{expect}")).expect("cases can be written");
}
