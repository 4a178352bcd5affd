//! A service with two versions, for tests of the command line.

use std::fs;
use std::path::Path;

use snapbox::cmd::{Command, OutputAssert, cargo_bin};

/// Service `app` and a Deployment for each of its two versions.
pub(crate) const APP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {selector: {app: app}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-v1}
spec: {selector: {matchLabels: {app: app}}, template: {metadata: {labels: {app: app, version: v1}}, spec: {containers: [{name: app, image: app}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-v2}
spec: {selector: {matchLabels: {app: app}}, template: {metadata: {labels: {app: app, version: v2}}, spec: {containers: [{name: app, image: app}]}}}
";

/// Writes files below a folder.
pub(crate) fn write(directory: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders can be made");
        fs::write(path, text).expect("a file can be written");
    }
}

/// Runs the program in a folder.
pub(crate) fn meshsim(directory: &Path, args: &[&str]) -> OutputAssert {
    Command::new(cargo_bin!("meshsim"))
        .current_dir(directory)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .args(args)
        .assert()
}
