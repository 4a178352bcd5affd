//! `meshsim check` and what belongs to it from the outside: formats, selection, baseline, exit codes.

use std::fs;
use std::path::Path;

use snapbox::cmd::{Command, OutputAssert, cargo_bin};
use snapbox::str;
use tempfile::TempDir;

/// A route to a subset that nobody defines, and to a host that does not exist.
const MESH: &str = "\
apiVersion: v1
kind: Service
metadata: {name: page}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: page}
spec:
  hosts: [page]
  http:
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: page, subset: v9}}]
  - route: [{destination: {host: nowhere}}]
";

fn meshsim(directory: &Path, args: &[&str]) -> OutputAssert {
    Command::new(cargo_bin!("meshsim"))
        .current_dir(directory)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("MESHSIM_OUTPUT")
        .args(args)
        .assert()
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory can be made");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("a file can be written");
    }
    directory
}

#[test]
fn findings_are_selected_ignored_and_counted() {
    let directory = directory(&[("mesh.yaml", MESH)]);
    for (args, code, last) in [
        (&[][..], 1, "2 errors in 1 file"),
        (&["--select", "MSH0301"], 1, "1 error in 1 file"),
        (&["--ignore", "MSH0301,undefined-host"], 0, "no findings in 1 file"),
        (&["--select", "MSH03", "--ignore", "undefined-subset"], 1, "1 error in 1 file"),
        (&["--fail-on", "never"], 0, "2 errors in 1 file"),
        (&["--select", "IST0112"], 0, "no findings in 1 file"),
    ] {
        let output = meshsim(directory.path(), &[&["check", "mesh.yaml", "-o", "concise"], args].concat()).code(code);
        let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        assert_eq!(text.lines().last(), Some(last), "{args:?}");
    }
}

#[test]
fn several_formats_go_to_files_and_one_to_standard_output() {
    let directory = directory(&[("mesh.yaml", MESH)]);
    let args = ["check", "mesh.yaml", "-o", "concise", "-o", "sarif=out/a.sarif", "-o", "junit=out/a.xml", "-o", "json=a.json"];
    meshsim(directory.path(), &args).code(1).stdout_eq(str![[r#"
mesh.yaml:13:48: error[MSH0301] [..]
mesh.yaml:14:34: error[MSH0302] [..]
2 errors in 1 file

"#]]);
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect("the file was written");
    assert!(read("out/a.sarif").contains("\"ruleId\": \"MSH0301\""));
    assert!(read("out/a.xml").contains("failures=\"2\""));
    assert!(read("a.json").contains("\"schema\": \"meshsim.findings/1\""));
    meshsim(directory.path(), &["check", "mesh.yaml", "-o", "json", "-o", "sarif"]).code(2).stderr_eq(str![[r#"
error: only one format goes to standard output; name files for others: `-o sarif=FILE`

"#]]);
    meshsim(directory.path(), &["check", "mesh.yaml", "-o", "xml"]).code(2);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_of_use() {
    let directory = directory(&[("mesh.yaml", MESH), ("blocked", "")]);
    meshsim(directory.path(), &["check", "mesh.yaml", "-o", "sarif=blocked/a.sarif"]).code(2).stderr_eq(str![[r#"
error: cannot write blocked/a.sarif: [..]

"#]]);
}

#[test]
fn a_baseline_leaves_only_what_is_new() {
    let directory = directory(&[("mesh.yaml", MESH)]);
    meshsim(directory.path(), &["check", "mesh.yaml", "--write-baseline", "known.json"]).code(0).stdout_eq(str![[r#"
known.json: 2 findings

"#]]);
    let shifted = format!(
        "# one line more\n{}",
        MESH.replace("- route", "- route: [{destination: {host: other}}]\n    match: [{uri: {prefix: /b}}]\n  - route")
    );
    fs::write(directory.path().join("mesh.yaml"), shifted).expect("a file can be written");
    meshsim(directory.path(), &["check", "mesh.yaml", "-o", "concise", "--baseline", "known.json"]).code(1).stdout_eq(str![[
        r#"
mesh.yaml:15:34: error[MSH0302] [..]`other.default[..]
1 error in 1 file (2 in the baseline)

"#
    ]]);
    fs::write(directory.path().join(".meshsim.yaml"), "baseline: known.json\nignore: [MSH0302]\n")
        .expect("a file can be written");
    meshsim(directory.path(), &["check", "mesh.yaml"])
        .code(0)
        .stdout_eq(str![[r#"
no findings in 1 file (1 in the baseline)

"#]])
        .stderr_eq(str![[r#"
note: 1 finding of the baseline can go: write it anew

"#]]);
    meshsim(directory.path(), &["check", "mesh.yaml", "--no-config", "-o", "concise"]).code(1);
    meshsim(directory.path(), &["check", "mesh.yaml", "--baseline", "mesh.yaml"]).code(2);
    meshsim(directory.path(), &["check", "mesh.yaml", "--baseline", "none.json"]).code(2);
}

#[test]
fn a_configuration_with_mistakes_is_an_error_of_use() {
    for (config, message) in
        [("failOn: warnings\n", "failOn"), ("ignored: [MSH0302]\n", "ignored"), ("ignore: [undefined-hosts]\n", "undefined-host")]
    {
        let directory = directory(&[("mesh.yaml", MESH), (".meshsim.yaml", config)]);
        let output = meshsim(directory.path(), &["check", "mesh.yaml"]).code(2);
        let text = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(text.contains(message) && text.contains("this is no configuration of a check"), "{text}");
    }
}

#[test]
fn comments_suppress_findings_and_are_found_when_they_do_not() {
    let text = MESH.replace(
        "  - route: [{destination: {host: nowhere}}]",
        "  # meshsim:ignore MSH0302 not yet deployed\n  - route: [{destination: {host: nowhere}}]",
    );
    let text = text.replace("  hosts: [page]", "  hosts: [page] # meshsim:ignore MSH0302");
    let directory = directory(&[("mesh.yaml", &text)]);
    meshsim(directory.path(), &["check", "mesh.yaml", "-o", "concise"]).code(1).stdout_eq(str![[r#"
mesh.yaml:10:17: warning[MSH0701] the comment suppresses `MSH0302`, which is not found here
mesh.yaml:13:48: error[MSH0301] [..]
1 error, 1 warning in 1 file (1 suppressed)

"#]]);
}

#[test]
fn codes_are_explained_by_any_of_their_names() {
    let directory = directory(&[]);
    for word in ["MSH0301", "undefined-subset", "KIA1107", "msh0301"] {
        let output = meshsim(directory.path(), &["explain", word]).code(0);
        assert!(String::from_utf8_lossy(&output.get_output().stdout).starts_with("error[MSH0301] undefined-subset\n"));
    }
    meshsim(directory.path(), &["explain", "undefined-subsets"]).code(2).stderr_eq(str![[r#"
error: `undefined-subsets` is no code of a finding; did you mean `undefined-subset`?

"#]]);
}

#[test]
fn packages_get_completions_and_manual_pages() {
    let directory = directory(&[]);
    for (shell, word) in
        [("bash", "_meshsim"), ("zsh", "#compdef meshsim"), ("fish", "complete -c meshsim"), ("powershell", "meshsim")]
    {
        let output = meshsim(directory.path(), &["completions", shell]).code(0);
        assert!(String::from_utf8_lossy(&output.get_output().stdout).contains(word), "{shell}");
    }
    meshsim(directory.path(), &["man", "man1"]).code(0);
    let page = fs::read_to_string(directory.path().join("man1/meshsim-check.1")).expect("there is a page for each subcommand");
    assert!(page.contains("baseline") && directory.path().join("man1/meshsim.1").exists());
}

/// A rule with a fix that is safe, one that is a guess, and a comment that suppresses nothing.
const FIXABLE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: page, labels: {version: 1.10}} # ten, not one
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: page}
spec:
  hosts: [page]
  http: # meshsim:ignore MSH0302
  - tiemout: 3s
    route: [{destination: {host: page}}]
";

#[test]
fn a_preview_changes_nothing_and_is_a_patch() {
    let directory = directory(&[("mesh.yaml", FIXABLE)]);
    meshsim(directory.path(), &["check", "mesh.yaml", "--diff"]).code(1).stdout_eq(str![[r#"
--- mesh.yaml
+++ mesh.yaml
@@ -1,6 +1,6 @@
 apiVersion: v1
 kind: Service
-metadata: {name: page, labels: {version: 1.10}} # ten, not one
+metadata: {name: page, labels: {version: "1.10"}} # ten, not one
 spec: {ports: [{name: http, port: 80}]}
 ---
 apiVersion: networking.istio.io/v1
@@ -8,6 +8,6 @@
 metadata: {name: page}
 spec:
   hosts: [page]
-  http: # meshsim:ignore MSH0302
+  http:
   - tiemout: 3s
     route: [{destination: {host: page}}]

"#]]);
    assert_eq!(fs::read_to_string(directory.path().join("mesh.yaml")).expect("it is there"), FIXABLE);
}

#[test]
fn fixes_keep_everything_else_and_guesses_wait_to_be_asked_for() {
    let safe = FIXABLE.replace("1.10", "\"1.10\"").replace("http: # meshsim:ignore MSH0302", "http:");
    let guessed = safe.replace("tiemout", "timeout");
    for (args, expected, left) in
        [(&["--fix"][..], &safe, "1 warning in 1 file"), (&["--fix", "--unsafe-fixes"], &guessed, "no findings in 1 file")]
    {
        let directory = directory(&[("mesh.yaml", FIXABLE)]);
        let args = [&["check", "mesh.yaml", "-o", "concise"], args].concat();
        let output = meshsim(directory.path(), &args).code(0);
        let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        assert_eq!(text.lines().last(), Some(left), "{args:?}");
        assert_eq!(&fs::read_to_string(directory.path().join("mesh.yaml")).expect("it is there"), expected, "{args:?}");
        meshsim(directory.path(), &[&args[..], &["-q"]].concat()).code(0).stderr_eq("");
    }
    let directory = directory(&[("mesh.yaml", &guessed)]);
    meshsim(directory.path(), &["check", "mesh.yaml", "--diff"]).code(0).stdout_eq("");
    meshsim(directory.path(), &["check", "mesh.yaml", "--unsafe-fixes"]).code(2);
}

#[test]
fn what_is_no_file_of_its_own_is_not_written() {
    let helm = format!("---\n# Source: chart/templates/page.yaml\n{}", FIXABLE.split("---\n").next().expect("a document"));
    let directory = directory(&[("mesh.yaml", &helm)]);
    let output = meshsim(directory.path(), &["check", "mesh.yaml", "--fix"]).code(1);
    let notes = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(notes.contains("mesh.yaml is no file of its own"), "{notes}");
    assert_eq!(fs::read_to_string(directory.path().join("mesh.yaml")).expect("it is there"), helm);
}

#[test]
fn every_rule_has_a_witness_or_a_proof() {
    let text = MESH.replace(
        "  - route: [{destination: {host: nowhere}}]",
        "  - match: [{uri: {exact: /a/b}}]\n    route: [{destination: {host: page}}]",
    );
    let directory = directory(&[("mesh.yaml", &text)]);
    let output = meshsim(directory.path(), &["check", "mesh.yaml", "--witnesses"]).code(1);
    let shown = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(shown.contains("  mesh.yaml:12:13  live  GET http://page.default.svc.cluster.local/a from "), "{shown}");
    assert!(shown.contains("  mesh.yaml:14:13  dead  every request is taken by mesh.yaml:12:13\n"), "{shown}");
    assert!(shown.contains("\n1 live, 1 dead, 0 undecided, 0 unused\n"), "{shown}");
    let output = meshsim(directory.path(), &["check", "mesh.yaml", "--witnesses", "-o", "json"]).code(1);
    let json: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).expect("this is JSON");
    assert_eq!(json["rules"][0]["witness"]["path"], "/a");
    assert_eq!(json["rules"][1]["shadowedBy"][0]["line"], 12);
    meshsim(directory.path(), &["check", "mesh.yaml", "--witnesses", "-o", "junit"]).code(2);
}
