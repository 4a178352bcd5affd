//! `meshsim run` on scenarios that are wrong in every way that scenarios can be: the message, the
//! exit code, and nothing acted out.

use std::fs;
use std::path::Path;

use snapbox::cmd::{Command, OutputAssert, cargo_bin};
use snapbox::str;
use tempfile::TempDir;

const MESH: &str = include_str!("data/website.yaml");

/// A scenario beside `mesh/website.yaml`: two pods of web-v1 behind website, and curl.
fn directory(scenario: &str) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory can be made");
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("a file can be written");
    fs::create_dir(directory.path().join("mesh")).expect("a directory can be made");
    write("mesh/website.yaml", MESH);
    write("s.yaml", scenario);
    directory
}

fn meshsim(directory: &Path, args: &[&str]) -> Command {
    Command::new(cargo_bin!("meshsim")).current_dir(directory).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").args(args)
}

fn run(scenario: &str) -> OutputAssert {
    let directory = directory(scenario);
    let outcome = meshsim(directory.path(), &["run", "s.yaml"]).assert();
    assert!(!directory.path().join("output").exists(), "nothing is written for a scenario that is not run");
    outcome
}

/// The findings of a scenario on this mesh, one line each without the place.
fn findings(scenario: &str) -> Vec<String> {
    let directory = directory(&format!("mesh: [mesh/website.yaml]\n{scenario}"));
    let output = meshsim(directory.path(), &["run", "s.yaml"]).output().expect("the program can be started");
    let text = String::from_utf8(output.stderr).expect("findings are text");
    assert_eq!(output.status.code(), Some(1), "{text}");
    let starts = |line: &&str| line.starts_with("error[") || line.starts_with("warning[");
    text.lines().filter(starts).filter_map(|line| Some(line.split_once("]: ")?.1.to_owned())).collect()
}

const VISITOR: &str = "
clients:
- {name: visitor, from: curl, request: {url: 'http://website/'}, traffic: {rate: 10/s, duration: 1s}}
";

#[test]
fn every_mistake_is_shown_at_once_with_its_place_and_a_suggestion() {
    run("\
istio: '9.9'
mesh: [mesh/website.yaml]
readyMade: [websit]
clients:
- name: visitor
  from: curll
  request: {url: 'http://website/'}
  traffic: {rates: 10/s, requests: 5}
timeline:
- phase: now
  delete: [Deployment/web-v2]
expect:
- of: {client: visitr, phase: noww, version: v7}
  status: 200
")
    .code(1)
    .stdout_eq(str![])
    .stderr_eq(str![[r#"
error[MSH0401]: `9.9` is no release of Istio
 --> s.yaml:1:8
  |
1 | istio: '9.9'
  |        ^^^^^
  |
  = help: write `1.0`, `1.24` or `latest`

error[MSH0402]: there is no ready-made application `websit`
 --> s.yaml:3:13
  |
3 | readyMade: [websit]
  |             ^^^^^^
  |
  = help: did you mean `website`?

error[MSH0402]: there is no gateway or workload `curll` for client `visitor`
 --> s.yaml:6:9
  |
6 |   from: curll
  |         ^^^^^
  |
  = help: did you mean `curl`?

error[MSH0103]: unknown field `clients[0].traffic.rates`
 --> s.yaml:8:13
  |
8 |   traffic: {rates: 10/s, requests: 5}
  |             ^^^^^
  |
  = help: did you mean `rate`?
fix: write `rate` (a guess: `--unsafe-fixes`)
  |
8 -   traffic: {rates: 10/s, requests: 5}
8 +   traffic: {rate: 10/s, requests: 5}
  |

error[MSH0402]: there is no object `Deployment/web-v2` at this time
  --> s.yaml:11:12
   |
11 |   delete: [Deployment/web-v2]
   |            ^^^^^^^^^^^^^^^^^
   |
   = help: did you mean `Deployment/web-v1`?

error[MSH0402]: there is no client `visitr`
  --> s.yaml:13:16
   |
13 | - of: {client: visitr, phase: noww, version: v7}
   |                ^^^^^^
   |
   = help: did you mean `visitor`?

error[MSH0402]: there is no phase `noww`
  --> s.yaml:13:31
   |
13 | - of: {client: visitr, phase: noww, version: v7}
   |                               ^^^^
   |
   = help: did you mean `now`?

error[MSH0402]: there is no version `v7`
  --> s.yaml:13:46
   |
13 | - of: {client: visitr, phase: noww, version: v7}
   |                                              ^^
   |
   = help: there is `website-version-1`

8 errors in 1 file

"#]]);
}

#[test]
fn numbers_that_cannot_be_acted_out_are_refused() {
    let client =
        |traffic: &str| format!("clients: [{{name: a, from: curl, request: {{url: 'http://website/'}}, traffic: {traffic}}}]");
    let app = |handler: &str| format!("{VISITOR}\napps: [{{workloads: [web-v1], handlers: [{handler}]}}]");
    let call = |fields: &str| app(&format!("{{calls: [{{call: {{url: 'http://website/x', share: 0%, {fields}}}}}]}}"));
    for (scenario, expected) in [
        (
            client("{rate: 0/s, duration: 1s}"),
            vec!["`clients[0].traffic.rate` must be a rate such as `100/s`, `30/m` or `5/h`, as a string, not the string `0/s`"],
        ),
        (
            client("{rate: -5/s, requests: 1}"),
            vec!["`clients[0].traffic.rate` must be a rate such as `100/s`, `30/m` or `5/h`, as a string, not the string `-5/s`"],
        ),
        (client("{rate: 1/s, duration: -1s}"), vec!["`clients[0].traffic.duration`: `-1s`: a duration cannot be negative"]),
        (client("{rate: 1/s, requests: -1}"), vec!["`clients[0].traffic.requests`: -1 is outside 0..18446744073709551615"]),
        (client("{requests: 1000000001}"), vec!["1 000 000 001 requests, more than the 1 000 000 000 that can be acted out"]),
        (
            client("{rate: 1000000000/s, duration: 1h}"),
            vec!["client `a` would send 3 600 000 000 000 requests, more than the 1 000 000 000 that can be acted out"],
        ),
        (
            client("{closedLoop: {users: 1000001}, requests: 1}"),
            vec!["1 000 001 concurrent users, more than the 1 000 000 that can be acted out"],
        ),
        (client("{closedLoop: {users: 0}, requests: 1}"), vec!["a closed loop without users sends nothing"]),
        (
            client("{closedLoop: {users: 1}, duration: 1s}"),
            vec!["a closed loop needs `requests` or `think`: answers that take no time would have no end"],
        ),
        (client("{closedLoop: {users: 1}, rate: 1/s, requests: 1}"), vec!["give `rate` or `closedLoop`, not both"]),
        (
            client("{rate: 1/s}"),
            vec![
                "the traffic of client `a` never ends: give it `requests` or `duration`, the last phase `for`, or the scenario `until`",
            ],
        ),
        (client("{}"), vec!["without `rate` or `closedLoop` all requests are sent at once; say how many `requests`"]),
        (format!("{VISITOR}\nproxyWorkers: 0"), vec!["`proxyWorkers` must be from 1 to 1024, not 0"]),
        (format!("{VISITOR}\nuntil: 0s"), vec!["`until` must be later than the beginning"]),
        (format!("{VISITOR}\nseed: -1"), vec!["`seed`: -1 is outside 0..18446744073709551615"]),
        (app("{reply: [{share: 60%}, {share: 50%}]}"), vec!["the shares of the answers add up to more than 100%"]),
        (
            app("{reply: [{share: 160%}]}"),
            vec![
                "`apps[0].handlers[0].reply[0].share` must be a share between 0% and 100%, such as `25%` or `1/3`, as a string, not the string `160%`",
            ],
        ),
        (app("{reply: [{status: 99}]}"), vec!["a final status is from 200 to 599, not 99"]),
        (
            app("{serviceTime: {uniform: [5ms, 1ms]}}"),
            vec![
                "`apps[0].handlers[0].serviceTime`: give exactly one of `exponential: MEAN`, `uniform: [LOW, HIGH]` or `choice` with shares that add up to 100%",
            ],
        ),
        (call("timeout: 0s"), vec!["a timeout of zero would end every request before it is sent"]),
        (call("attempts: 0"), vec!["with 0 attempts the call is never made; leave the call out, or say `share: 0%`"]),
        (call("headers: {a: '{cooky:b}'}"), vec!["`{cooky:b}` is neither `{cookie:NAME}` nor `{header:NAME}`"]),
    ] {
        assert_eq!(findings(&scenario), expected, "{scenario}");
    }
}

#[test]
fn timeouts_of_years_are_only_long() {
    let scenario = format!(
        "mesh: [mesh/website.yaml]\n{VISITOR}\napps: [{{workloads: [web-v1], handlers: [{{calls: [{{call: {{url: 'http://elsewhere.example.com/', timeout: 87600h}}}}]}}]}}]"
    );
    run_quietly(&scenario, 0);
}

#[test]
fn classes_of_users_that_get_nothing_are_found() {
    let users = |users: &str| {
        format!(
            "clients: [{{name: a, from: curl, request: {{url: 'http://website/'}}, traffic: {{requests: 1}}, users: {users}}}]"
        )
    };
    for (scenario, expected) in [
        (users("[{name: x, weight: 0}, {name: z, weight: 0}]"), vec!["no class of users of client `a` gets any request"]),
        (users("[{name: x, inTurn: 1}, {name: z}]"), vec!["either all classes of users have `inTurn` or none; `z` has not"]),
        (users("[{name: x}, {name: x}]"), vec!["two classes of users are called `x`"]),
    ] {
        assert_eq!(findings(&scenario), expected, "{scenario}");
    }
}

#[test]
fn a_circle_of_calls_is_printed_before_anything_runs() {
    run("\
mesh: [mesh/website.yaml]
apps:
- workloads: [web-v1]
  handlers:
  - path: /
    calls: [{call: {url: 'http://api/x'}}]
- workloads: [api]
  handlers:
  - path: /x
    calls: [{call: {url: 'http://website.default/'}}]
  - path: /y
    calls: [{call: {url: 'http://website/'}}]
clients:
- {name: visitor, from: curl, request: {url: 'http://website/'}, traffic: {requests: 1}}
")
    .code(1)
    .stdout_eq(str![])
    .stderr_eq(str![[r#"
error[MSH0401]: the calls go in a circle: api → web-v1 → api
  --> s.yaml:6:26
   |
 6 |     calls: [{call: {url: 'http://api/x'}}]
   |                          ^^^^^^^^^^^^^^ closes the circle
...
10 |     calls: [{call: {url: 'http://website.default/'}}]
   |                          -------------------------
   |
   = effect: a request would never be answered

1 error in 1 file

"#]]);
}

#[test]
fn calls_that_only_look_like_a_circle_are_no_circle() {
    let scenario = "
apps:
- workloads: [web-v1]
  handlers: [{path: /, calls: [{call: {url: 'http://api/x'}}]}]
- workloads: [api]
  handlers:
  - {path: /x}
  - {path: /y, calls: [{call: {url: 'http://website/'}}]}
";
    run_quietly(&format!("mesh: [mesh/website.yaml]\n{VISITOR}{scenario}"), 0);
}

#[test]
fn parts_without_effect_are_mentioned_and_the_scenario_runs() {
    let directory = directory(
        "\
mesh: [mesh/website.yaml]
readyMade: [bookinfo]
apps: [{workloads: [web-v9]}]
clients:
- {name: visitor, from: curl, request: {url: 'http://website/'}, traffic: {requests: 0}}
",
    );
    meshsim(directory.path(), &["run", "s.yaml", "--no-charts", "-o", "none"]).assert().code(0).stdout_eq(str![]).stderr_eq(
        str![[r#"
s.yaml:2:13: warning[MSH0403] no workload of the mesh uses the ready-made application `bookinfo`
s.yaml:3:21: warning[MSH0403] no workload of the mesh is `web-v9`, so the application is not used
s.yaml:5:86: warning[MSH0403] client `visitor` sends no requests

"#]],
    );
}

#[test]
fn all_missing_mesh_files_are_named_at_once() {
    run("\
mesh: [mesh/wbsite.yaml, mesh/website.yaml, nowhere]
timeline: [{apply: [mesh/later.yaml], for: 1s}]
")
    .code(2)
    .stdout_eq(str![])
    .stderr_eq(str![[r#"
error: mesh/wbsite.yaml: no such file or directory; did you mean `mesh/website.yaml`?
error: nowhere: no such file or directory
error: mesh/later.yaml: no such file or directory

"#]]);
}

#[test]
fn what_is_no_scenario_is_unusable_or_says_why() {
    let directory = directory("");
    for (args, code, message) in [
        (vec!["run", "s.yaml"], 2, "error: s.yaml: holds no document\n"),
        (vec!["run", "nothing.yaml"], 2, "error: nothing.yaml: no such file or directory\n"),
        (vec!["run", "mesh"], 2, "error: mesh: neither scenario.yaml nor a file ending in .scenario.yaml in this directory\n"),
    ] {
        meshsim(directory.path(), &args).assert().code(code).stdout_eq("").stderr_eq(message);
    }
    let mesh = meshsim(directory.path(), &["run", "mesh/website.yaml"]).output().expect("the program can be started");
    let text = String::from_utf8(mesh.stderr).expect("findings are text");
    assert_eq!((mesh.status.code(), text.matches("error[").count()), (Some(1), 1), "{text}");
    assert!(text.contains("and no scenario"), "{text}");
    assert_eq!(findings(&format!("{VISITOR}---\n[a, list]")), ["a scenario is one document; this is another"]);
    assert_eq!(findings("clients: [{name: x").len(), 1);
}

#[test]
fn bad_options_are_wrong_usage() {
    let directory = directory(&format!("mesh: [mesh/website.yaml]\n{VISITOR}"));
    for args in [
        &["--istio-version", "2.0"][..],
        &["--until", "0s"],
        &["--until", "soon"],
        &["--threads", "0"],
        &["--seed", "-1"],
        &["-o", "picture"],
        &["-o", "text="],
        &["--charts", "here", "--no-charts"],
    ] {
        meshsim(directory.path(), &[&["run", "s.yaml"], args].concat()).assert().code(2).stdout_eq("");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_prints_what_it_has_and_says_so() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let directory = directory(
        "\
mesh: [mesh/website.yaml]
clients:
- {name: visitor, from: curl, request: {url: 'http://website/'}, traffic: {rate: 1000/s, duration: 10h}}
expect:
- {of: {client: visitor}, count: 36000000}
",
    );
    let mut child = Command::new(cargo_bin!("meshsim"))
        .current_dir(directory.path())
        .args(["-v", "run", "s.yaml", "-o", "text", "-o", "json=result.json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let mut notes = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut note = String::new();
    while !note.contains("36 000 000 requests") {
        note.clear();
        assert_ne!(notes.read_line(&mut note).expect("notes are text"), 0, "the program ended before it ran anything");
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("there is a shell's kill");
    assert!(killed.success());
    let mut text = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut text).expect("a result is text");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(text.contains("INTERRUPTED"), "{text}");
    assert!(text.ends_with("0 passed, 0 failed, 1 skipped\n"), "{text}");
    let result = fs::read_to_string(directory.path().join("result.json")).expect("the result is written");
    let result: serde_json::Value = serde_json::from_str(&result).expect("the result is whole");
    assert_eq!(result["interrupted"], true);
    let left: Vec<_> = fs::read_dir(directory.path()).expect("it can be listed").map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    use std::process::{Command, Stdio};

    let directory = directory(&format!("mesh: [mesh/website.yaml]\n{VISITOR}"));
    let mut child = Command::new(cargo_bin!("meshsim"))
        .current_dir(directory.path())
        .args(["run", "s.yaml", "--no-charts", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_same_run_gives_the_same_bytes_from_anywhere_and_on_any_number_of_threads() {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bookinfo-timeout-cascade");
    let elsewhere = TempDir::new().expect("a temporary directory can be made");
    let run = |directory: &Path, path: &str, threads: &str| {
        let charts = elsewhere.path().join(format!("charts-{threads}"));
        let charts = charts.to_str().expect("it is text");
        let args = ["-q", "run", path, "--threads", threads, "--charts", charts, "-o", "text", "-o", "json"];
        let output = meshsim(directory, &args).output().expect("the program can be started");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let mut files: Vec<_> = fs::read_dir(charts).expect("there are charts").map(|file| file.unwrap().path()).collect();
        files.sort();
        let drawn: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a chart can be read")).collect();
        (output.stdout, drawn)
    };
    let here = run(&scenario, ".", "1");
    assert!(here == run(elsewhere.path(), scenario.to_str().expect("it is text"), "8"), "the bytes differ");
}

fn run_quietly(scenario: &str, code: i32) {
    let directory = directory(scenario);
    meshsim(directory.path(), &["run", "s.yaml", "--no-charts", "-o", "none"]).assert().code(code).stdout_eq("").stderr_eq("");
}

#[test]
fn the_schema_of_scenarios_can_be_printed() {
    let directory = directory("");
    let output = meshsim(directory.path(), &["schema", "scenario"]).output().expect("the program can be started");
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a schema is JSON");
    assert_eq!(schema["title"], "meshsim scenario");
    assert!(schema["definitions"]["Scenario"]["properties"]["timeline"].is_object());
}
