//! `meshsim run` with options: what they overrule, where results go, which scenarios a folder holds.

use std::fs;
use std::path::Path;

use serde_json::Value;
use snapbox::cmd::{Command, cargo_bin};
use tempfile::TempDir;

const MESH: &str = include_str!("data/website.yaml");

const SCENARIO: &str = "\
description: Pages of a website.
mesh: [mesh]
readyMade: [website]
clients:
- {name: visitor, from: curl, request: {url: 'http://website/'}, traffic: {rate: 10/s, duration: 1s}}
expect:
- {of: {client: visitor}, count: 10, status: 200, labels: [green]}
";

/// A directory with these files beside `mesh/website.yaml`.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory can be made");
    for (name, text) in [("mesh/website.yaml", MESH)].iter().chain(files) {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("it is below the directory")).expect("a directory can be made");
        fs::write(path, text).expect("a file can be written");
    }
    directory
}

fn meshsim(directory: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let command = Command::new(cargo_bin!("meshsim")).current_dir(directory).args(args);
    let output = command.output().expect("the program can be started");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn result(directory: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let (code, stdout, stderr) = meshsim(directory, &[&["run", "s.yaml", "--no-charts", "-o", "json"], args].concat());
    (code, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}")))
}

#[test]
fn options_overrule_the_scenario() {
    let directory = directory(&[("s.yaml", SCENARIO)]);
    for (args, code, field, value) in [
        (&[][..], 0, "requests", Value::from(10)),
        (&["--requests", "3"], 1, "requests", Value::from(3)),
        (&["--until", "500ms"], 1, "requests", Value::from(5)),
        (&["--seed", "7"], 0, "seed", Value::from(7)),
        (&["--istio-version", "1.1"], 0, "istio", Value::from("1.1")),
        (&["--threads", "2"], 0, "requests", Value::from(10)),
    ] {
        let (exit, result) = result(directory.path(), args);
        assert_eq!((exit, &result[field]), (Some(code), &value), "{args:?}");
    }
}

#[test]
fn further_mesh_files_are_there_from_the_start() {
    let fault = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: website}
spec:
  hosts: [website]
  http:
  - fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: website}}]
";
    let directory = directory(&[("s.yaml", SCENARIO), ("fault.yaml", fault)]);
    let (code, result) = result(directory.path(), &["-f", "fault.yaml"]);
    assert_eq!(code, Some(1));
    assert_eq!(result["clients"][0]["outcomes"][0]["status"], 418, "{result:#}");
}

#[test]
fn a_circle_that_routes_may_keep_requests_out_of_is_only_a_warning() {
    let second = MESH.replace("web-v1", "web-v2").replace("website-version-1", "website-version-2");
    let scenario =
        format!("{SCENARIO}apps: [{{workloads: [web-v2], handlers: [{{calls: [{{call: {{url: 'http://website/'}}}}]}}]}}]\n");
    let route = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: website}
spec: {host: website, subsets: [{name: v1, labels: {version: website-version-1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: website}
spec: {hosts: [website], http: [{route: [{destination: {host: website, subset: v1}}]}]}
";
    let directory = directory(&[("s.yaml", &scenario), ("mesh/second.yaml", &second), ("mesh/route.yaml", route)]);
    let (code, _, stderr) = meshsim(directory.path(), &["run", "s.yaml", "--no-charts"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("warning[MSH0401] the calls go in a circle: web-v2 → web-v2"), "{stderr}");
    fs::write(directory.path().join("mesh/route.yaml"), route.replace("website-version-1", "website-version-2")).expect("it can");
    let (code, stdout, stderr) = meshsim(directory.path(), &["run", "s.yaml", "--no-charts"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("applications call one another without end") && stdout.contains("partial"), "{stderr}{stdout}");
}

#[test]
fn a_scenario_without_a_name_is_called_as_its_folder_or_file() {
    let directory =
        directory(&[("shop/scenario.yaml", &SCENARIO.replace("[mesh]", "[../mesh]")), ("one.scenario.yaml", SCENARIO)]);
    for (path, name) in [("shop", "shop"), ("shop/scenario.yaml", "shop"), ("one.scenario.yaml", "one")] {
        let (code, stdout, stderr) = meshsim(directory.path(), &["run", path, "--no-charts"]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.starts_with(&format!("{name}\n")), "{stdout}");
    }
}

#[test]
fn every_scenario_of_a_folder_is_run_in_the_order_of_names() {
    let failing = SCENARIO.replace("count: 10", "count: 11");
    let directory = directory(&[("b.scenario.yaml", SCENARIO), ("a.scenario.yaml", &failing), ("notes.yaml", "no: scenario")]);
    let (code, stdout, _) = meshsim(directory.path(), &["-q", "run", "."]);
    assert_eq!(code, Some(1), "one of them failed");
    assert!(stdout.starts_with("a\n") && stdout.contains("\nb\n"), "{stdout}");
    assert!(stdout.contains("0 passed, 1 failed") && stdout.contains("1 passed, 0 failed"), "{stdout}");
    assert!(directory.path().join("output/a/hits.svg").is_file() && directory.path().join("output/b/hits.svg").is_file());
}

#[test]
fn results_go_where_they_are_told_to_and_replace_what_was_there() {
    let directory = directory(&[("s.yaml", SCENARIO), ("results/s.json", "old")]);
    let args = ["run", "s.yaml", "--charts", "pictures", "-o", "json=results/s.json", "-o", "text=results/s.txt"];
    let (code, stdout, stderr) = meshsim(directory.path(), &args);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect("it was written");
    assert!(serde_json::from_str::<Value>(&read("results/s.json")).is_ok());
    assert!(read("results/s.txt").ends_with("1 passed, 0 failed, 0 skipped\n"));
    assert!(read("pictures/hits.svg").ends_with("</svg>\n"));
    let mut names: Vec<_> = fs::read_dir(directory.path().join("results")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["s.json", "s.txt"]);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let directory = directory(&[("s.yaml", SCENARIO), ("taken", "a file")]);
    let (code, _, stderr) = meshsim(directory.path(), &["run", "s.yaml", "--charts", "taken/below", "-o", "none"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("error: cannot write taken/below/"), "{stderr}");
}

#[test]
fn the_command_that_explains_a_failure_can_be_pasted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bookinfo-timeout-cascade");
    let (_, stdout, _) = meshsim(&folder, &["-q", "run", ".", "--no-charts"]);
    let line = stdout.lines().find_map(|line| line.trim().strip_prefix("meshsim route ")).expect("a failure is explained");
    let args: Vec<String> = shlex::split(line).expect("it is quoted for a shell");
    let args: Vec<&str> = ["route"].into_iter().chain(args.iter().map(String::as_str)).collect();
    let (code, explained, stderr) = meshsim(&folder, &args);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(explained.contains("header `end-user` is `jason`"), "{explained}");
}

#[test]
fn two_releases_are_compared_on_the_same_traffic() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compare = |releases: &str| {
        let args = ["-q", "run", "scenarios/lessons/default-retries", "--istio-version", releases];
        let (code, stdout, stderr) = meshsim(root, &args);
        assert_eq!(code, Some(0), "{stderr}");
        stdout
    };
    let found = compare("1.23..1.24");
    assert!(found.contains("on Istio 1.23 (before) and on 1.24 (after)"), "{found}");
    assert!(found.lines().any(|line| line.contains("503  URX") && line.trim_end().ends_with('0')), "{found}");
    assert!(compare("1.11..1.12").contains("no difference"), "nothing changed between these for this scenario");
}
