//! `meshsim check` on input that is wrong in every way that files can be: the message, the exit
//! code, and nothing else.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use snapbox::cmd::{Command, OutputAssert, cargo_bin};
use snapbox::str;
use tempfile::TempDir;

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: reviews\nspec:\n  ports:\n  - {name: http, port: 9080}\n";

/// A directory with these files.
fn files(files: &[(&str, &[u8])]) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory can be made");
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("it is below the directory")).expect("a directory can be made");
        fs::write(path, content).expect("a file can be written");
    }
    directory
}

fn meshsim(directory: &Path, args: &[&str]) -> Command {
    Command::new(cargo_bin!("meshsim")).current_dir(directory).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").args(args)
}

fn check(contents: &[(&str, &[u8])], args: &[&str]) -> OutputAssert {
    let directory = files(contents);
    meshsim(directory.path(), &[&["check"], args].concat()).assert()
}

#[test]
fn a_good_file_is_silent() {
    check(&[("a.yaml", SERVICE.as_bytes())], &["a.yaml"])
        .code(0)
        .stdout_eq(str![[r#"
no findings in 1 file

"#]])
        .stderr_eq(str![]);
}

#[test]
fn ordinary_objects_of_a_cluster_give_no_findings() {
    check(&[("cluster.yaml", include_bytes!("files/cluster.yaml"))], &["cluster.yaml"])
        .code(0)
        .stdout_eq(str![[r#"
no findings in 1 file

"#]])
        .stderr_eq(str![]);
}

#[test]
fn all_unreadable_paths_are_named_at_once() {
    check(
        &[
            ("mesh.yaml", SERVICE.as_bytes()),
            ("notes/readme.txt", b"text"),
            ("nested/deeper/a.yaml", SERVICE.as_bytes()),
            ("picture.yaml", b"\x89PNG\r\n\x1a\n\xff\xff"),
            ("utf16.yaml", b"\xff\xfea\0:\0"),
        ],
        &["mehs.yaml", "nowhere/at/all.yaml", "notes", "-f", "nested", "picture.yaml", "utf16.yaml"],
    )
    .code(2)
    .stdout_eq(str![])
    .stderr_eq(str![[r#"
note: notes: skipped readme.txt
error: nested: no .yaml, .yml or .json file in this directory; use -R to read the directories below
error: mehs.yaml: no such file or directory; did you mean `mesh.yaml`?
error: nowhere/at/all.yaml: no such file or directory
error: notes: no .yaml, .yml or .json file in this directory
error: picture.yaml: not YAML but binary: byte 0x89 at offset 0 is not UTF-8
error: utf16.yaml: not YAML but text in UTF-16; convert it to UTF-8

"#]]);
}

#[test]
fn no_input_is_wrong_usage() {
    check(&[], &[]).code(2).stdout_eq(str![]).stderr_eq(str![[r#"
error: no input; name files or directories, or `-f -` for standard input

"#]]);
}

#[test]
fn help_is_a_result_and_wrong_usage_an_error() {
    let directory = files(&[]);
    for (args, code, is_result) in [
        (["--help"].as_slice(), 0, true),
        (&["check", "--help"], 0, true),
        (&["--version"], 0, true),
        (&[], 2, false),
        (&["chekc"], 2, false),
        (&["check", "--no-such-flag"], 2, false),
        (&["-q", "-v", "check"], 2, false),
    ] {
        let output = meshsim(directory.path(), args).assert().code(code);
        let output = output.get_output();
        assert_eq!((output.stdout.is_empty(), output.stderr.is_empty()), (!is_result, is_result), "{args:?}");
    }
}

#[test]
fn an_empty_file_is_no_input() {
    check(&[("a.yaml", b""), ("b.yaml", b"# nothing\n---\n")], &["a.yaml", "b.yaml"]).code(2).stdout_eq(str![]).stderr_eq(str![
        [r#"
error: a.yaml: holds no document
error: b.yaml: holds no document

"#]
    ]);
}

#[test]
fn an_empty_file_among_others_is_a_warning() {
    check(&[("a.yaml", b""), ("b.yaml", SERVICE.as_bytes())], &["."])
        .code(0)
        .stdout_eq(str![[r#"
warning[MSH0006]: the file holds no document
 --> a.yaml:1:1
  |
1 |
  | ^

1 warning in 1 file

"#]])
        .stderr_eq(str![]);
}

#[test]
fn a_broken_document_loses_only_itself() {
    let broken = format!(
        "{SERVICE}---\nspec:\n\thosts: x\n---\na: {{{{ .Values.a }}}}\n---\nkind: [VirtualService\n---\n{}",
        SERVICE.replace("port:", "prt:")
    );
    check(&[("a.yaml", broken.as_bytes())], &["a.yaml"])
        .code(1)
        .stdout_eq(str![[r#"
error[MSH0001]: a tab indents this line; YAML allows spaces only
  --> a.yaml:10:1
   |
10 |     hosts: x
   | ^^^^
   |
   = effect: the document is left out; the others are read
   = help: replace the tabs by spaces

error[MSH0004]: the document is a template that has not been rendered
  --> a.yaml:12:4
   |
12 | a: {{ .Values.a }}
   |    ^^^^^^^^^^^^^^^
   |
   = effect: the document is left out; the others are read
   = help: render it first: `helm template CHART | meshsim check -f -`

error[MSH0001]: unclosed bracket '['
  --> a.yaml:14:7
   |
14 | kind: [VirtualService
   |       ^
   |
   = effect: the document is left out; the others are read
   = help: close the bracket, or put a comma between the entries

warning[MSH0108]: Service default/reviews is defined again
  --> a.yaml:19:9
   |
 4 |   name: reviews
   |         ------- first here
...
19 |   name: reviews
   |         ^^^^^^^ again here
   |
   = object: Service default/reviews
   = effect: the later definition replaces the earlier one

warning[MSH0103]: unknown field `spec.ports[0].prt`
  --> a.yaml:22:18
   |
22 |   - {name: http, prt: 9080}
   |                  ^^^
   |
   = object: Service default/reviews
   = help: did you mean `port`?
fix: write `port` (a guess: `--unsafe-fixes`)
   |
22 |   - {name: http, port: 9080}
   |                   +

3 errors, 2 warnings in 1 file

"#]])
        .stderr_eq(str![]);
}

#[test]
fn a_truncated_document_is_shown_where_it_ends() {
    let whole = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [\"a";
    check(&[("a.yaml", whole.as_bytes())], &["a.yaml"])
        .code(1)
        .stdout_eq(str![[r#"
error[MSH0001]: unclosed quote
 --> a.yaml:5:11
  |
5 |   hosts: ["a
  |           ^
  |
  = effect: the document is left out; the others are read
  = help: close the quote

1 error in 1 file

"#]])
        .stderr_eq(str![]);
}

#[test]
fn a_yaml_bomb_and_deep_nesting_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    check(
        &[("bomb.yaml", bomb.as_bytes()), ("deep.yaml", "[".repeat(20_000).as_bytes())],
        &["-o", "concise", "bomb.yaml", "deep.yaml"],
    )
    .code(1)
    .stdout_eq(str![[r#"
bomb.yaml:6:9: error[MSH0003] the document expands to more than 2 000 000 values here
deep.yaml:1:130: error[MSH0003] the document nests deeper than 128 levels here
2 errors in 2 files

"#]])
    .stderr_eq(str![]);
}

#[test]
fn duplicate_keys_and_objects_show_both_places() {
    let twice = format!("{SERVICE}  selector: {{app: a}}\n  selector: {{app: b}}\n---\n{SERVICE}");
    check(&[("a.yaml", twice.as_bytes())], &["a.yaml"])
        .code(1)
        .stdout_eq(str![[r#"
error[MSH0002]: `spec.selector` is given more than once
 --> a.yaml:9:3
  |
8 |   selector: {app: a}
  |   -------- first here
9 |   selector: {app: b}
  |   ^^^^^^^^ again here
  |
  = effect: kubectl refuses the document; clients that do not check take the last value

warning[MSH0108]: Service default/reviews is defined again
  --> a.yaml:14:9
   |
 4 |   name: reviews
   |         ------- first here
...
14 |   name: reviews
   |         ^^^^^^^ again here
   |
   = object: Service default/reviews
   = effect: the later definition replaces the earlier one

1 error, 1 warning in 1 file

"#]])
        .stderr_eq(str![]);
}

#[test]
fn findings_in_rendered_charts_name_the_template() {
    let chart =
        "---\n# Source: shop/templates/service.yaml\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {prts: []}\n";
    let directory = files(&[]);
    meshsim(directory.path(), &["check", "-f", "-"])
        .stdin(chart)
        .assert()
        .code(0)
        .stdout_eq(str![[r#"
warning[MSH0103]: unknown field `spec.prts`
 --> <stdin>:6:8
  |
6 | spec: {prts: []}
  |        ^^^^
  |
  = object: Service default/a
  = origin: shop/templates/service.yaml
  = help: did you mean `ports`?
fix: write `ports` (a guess: `--unsafe-fixes`)
  |
6 | spec: {ports: []}
  |         +

1 warning in 1 file

"#]])
        .stderr_eq(str![]);
}

#[test]
fn findings_in_kustomize_builds_name_the_file() {
    let built = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    config.kubernetes.io/origin: |\n      path: ../base/service.yaml\nspec: {prts: []}\n";
    let directory = files(&[]);
    meshsim(directory.path(), &["check", "-f", "-"])
        .stdin(built)
        .assert()
        .code(0)
        .stdout_eq(str![[r#"
warning[MSH0103]: unknown field `spec.prts`
 --> <stdin>:8:8
  |
8 | spec: {prts: []}
  |        ^^^^
  |
  = object: Service default/a
  = origin: ../base/service.yaml
  = help: did you mean `ports`?
fix: write `ports` (a guess: `--unsafe-fixes`)
  |
8 | spec: {ports: []}
  |         +

1 warning in 1 file

"#]])
        .stderr_eq(str![]);
}

#[test]
fn standard_input_is_read_once() {
    let directory = files(&[]);
    meshsim(directory.path(), &["check", "-f", "-", "-f", "-"]).stdin(SERVICE).assert().code(2).stdout_eq(str![]).stderr_eq(
        str![[r#"
error: standard input can be read only once

"#]],
    );
}

#[test]
fn directories_are_read_as_kubectl_reads_them_with_f_and_wholly_as_arguments() {
    let tree: &[(&str, &[u8])] = &[
        ("mesh/b.yml", b"apiVersion: v1\nkind: B\n"),
        ("mesh/a.json", b"{\"apiVersion\": \"v1\", \"kind\": \"A\"}"),
        ("mesh/readme.md", b"text"),
        ("mesh/kustomization.yaml", b"resources: [b.yml]"),
        ("mesh/canary.scenario.yaml", b"mesh: [b.yml]"),
        ("mesh/.hidden/h.yaml", b"apiVersion: v1\nkind: H\n"),
        ("mesh/sub/c.yaml", b"apiVersion: v1\nkind: C\n"),
    ];
    for (args, kinds) in [
        (["-f", "mesh"].as_slice(), "AB"),
        (&["-R", "-f", "mesh"], "ABC"),
        (&["mesh"], "ABC"),
        (&["mesh", "-f", "mesh/a.json"], "ABC"),
    ] {
        let output = check(tree, &[&["-q", "-o", "concise"], args].concat()).code(1);
        let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        let found: String = text.lines().filter_map(|line| line.split("has no kind ").nth(1)?.chars().next()).collect();
        let mut sorted: Vec<char> = found.chars().collect();
        sorted.sort_unstable();
        assert_eq!(sorted.iter().collect::<String>(), kinds, "{args:?}: {text}");
    }
}

#[test]
fn the_mesh_configuration_may_stand_alone() {
    check(
        &[("a.yaml", SERVICE.as_bytes()), ("mesh.yaml", b"rootNamespace: root\noutboundTrafficPolcy: {mode: REGISTRY_ONLY}\n")],
        &["a.yaml", "--mesh-config", "mesh.yaml", "-o", "concise"],
    )
    .code(0)
    .stdout_eq(str![[r#"
mesh.yaml:2:1: warning[MSH0103] unknown field `outboundTrafficPolcy`
1 warning in 1 file

"#]])
    .stderr_eq(str![]);
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let many = "apiVersion: v1\nkind: Sevice\n---\n".repeat(20_000);
    let directory = files(&[("a.yaml", many.as_bytes())]);
    let mut child = std::process::Command::new(cargo_bin!("meshsim"))
        .args(["check", "a.yaml"])
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut first = [0; 16];
    let mut stdout = child.stdout.take().expect("it is piped");
    stdout.read_exact(&mut first).expect("there are findings");
    drop(stdout);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn colours_are_for_terminals_unless_asked_for() {
    let directory = files(&[("a.yaml", b"a: 1\n")]);
    for (args, colored) in [(["check", "a.yaml"].as_slice(), false), (&["--color", "always", "check", "a.yaml"], true)] {
        let output = meshsim(directory.path(), args).assert().code(1);
        assert_eq!(output.get_output().stdout.contains(&0x1b), colored, "{args:?}");
    }
}
