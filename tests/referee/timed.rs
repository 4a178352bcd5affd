//! Timed cases, played live: upstreams that follow a script, requests at their instants, and what the
//! real Envoy logs with our configuration. The engine of runs is held to the same records by
//! `meshsim conformance`, so that agreement here is agreement with it.
//!
//! Left out are cases whose upstreams cannot be played with one socket (addresses that come and go, or
//! never answer), and requests that are sent many times over: what they record is a distribution.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use meshsim::conformance::Case;
use meshsim::envoy::{Loopback, Placement, bootstrap};
use meshsim::mesh::{Mesh, Proxy};
use meshsim::routing::Request;
use serde_json::{Value as Json, json};

use crate::arena::{Addresses, prepare};
use crate::client;
use crate::envoy::{self, Envoy, LogLine, access_log};
use crate::http::Reader;
use crate::readme;

/// Cases that are played at the same time.
const WAVE: usize = 10;
/// A busy machine is told from a mistake by playing a case again.
const TRIES: usize = 4;
/// By how much a duration may differ from what was measured, beyond the case's tolerance: Envoy's timers
/// count from the last time that it looked at the clock.
const SLACK_MS: u64 = 50;
/// Cases that send more than this are about shares.
const SENDINGS_MAX: u64 = 60;

/// A case with its record, and everything that is needed to play it.
struct Play {
    name: String,
    record: Json,
    case: Case,
    mesh: Mesh,
}

fn list(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn millis(value: &Json) -> u64 {
    value.as_u64().unwrap_or_default()
}

impl Play {
    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).expect("cases can be read");
        let record: Json = serde_yaml::from_str(&text).expect("cases are YAML");
        let name = path.file_stem().expect("files have names").to_string_lossy().into_owned();
        let case = Case::parse("timed", &name, &text).expect("it is a case");
        let (_, mesh, _) = case.compiled();
        Some(Play { name, record, case, mesh }).filter(Play::can_be_played)
    }

    fn can_be_played(&self) -> bool {
        let upstreams = self.record["upstreams"].to_string();
        let requests = list(&self.record["requests"]);
        let sendings: u64 = requests.iter().map(|request| request["repeat"].as_u64().unwrap_or(1)).sum();
        let odd = |request: &Json| ["conn", "abort_after_ms", "body_after_ms"].iter().any(|key| !request[*key].is_null());
        !upstreams.contains("blackhole")
            && !upstreams.contains("\"down\"")
            && !self.record["config"].to_string().contains("ServiceEntry")
            && self.items().all(|item| !item["script"].to_string().contains("refuse"))
            && sendings <= SENDINGS_MAX
            && !requests.iter().any(odd)
            && self.judged().count() > 0
    }

    fn items(&self) -> impl Iterator<Item = &Json> {
        self.record["upstreams"].as_object().into_iter().flat_map(|hosts| hosts.values()).flat_map(list)
    }

    /// The requests that are sent once.
    fn judged(&self) -> impl Iterator<Item = &Json> {
        list(&self.record["requests"]).iter().filter(|request| request["repeat"].is_null())
    }

    /// The addresses of a host's endpoints with their labels, in the order of the case.
    fn endpoints(&self, host: &str) -> Vec<(&str, &[(String, String)])> {
        let mut used: Vec<usize> = Vec::new();
        let mut all = Vec::new();
        for described in self.case.endpoints.iter().filter(|described| described.service == host) {
            let is_one = |index: &usize| {
                let pod = &self.mesh.pods[*index];
                self.mesh.workloads[pod.workload.index()].labels == described.labels && pod.locality == described.locality
            };
            let free: Vec<usize> = (0..self.mesh.pods.len()).filter(|index| !used.contains(index)).filter(is_one).collect();
            for index in free.into_iter().take(described.count as usize) {
                used.push(index);
                all.push((self.mesh.pods[index].ip.as_str(), described.labels.as_slice()));
            }
        }
        all
    }

    /// What each address does; those that are not named answer at once.
    fn scripts(&self) -> BTreeMap<String, Script> {
        let mut scripts = BTreeMap::new();
        for (host, items) in self.record["upstreams"].as_object().into_iter().flatten() {
            for item in list(items) {
                let wanted = item["subset_labels"].as_object();
                let has = |labels: &[(String, String)]| {
                    let mut wanted = wanted.into_iter().flatten();
                    wanted.all(|(key, value)| labels.iter().any(|(k, v)| k == key && Some(v.as_str()) == value.as_str()))
                };
                let meant = self.endpoints(host).into_iter().filter(|(_, labels)| has(labels));
                let chosen: Vec<&str> = match item["ordinal"].as_u64() {
                    Some(ordinal) => meant.skip(ordinal as usize).take(1).map(|(address, _)| address).collect(),
                    None => meant.map(|(address, _)| address).collect(),
                };
                scripts.extend(chosen.into_iter().map(|address| (address.to_owned(), Script::new(item))));
            }
        }
        scripts
    }
}

/// The actions of one endpoint.
#[derive(Debug, Clone, Default)]
struct Script {
    by_path: BTreeMap<String, Sequence>,
    otherwise: Sequence,
    refuses: bool,
}

#[derive(Debug, Clone, Default)]
struct Sequence {
    script: Vec<Json>,
    then: Json,
    used: usize,
}

impl Sequence {
    /// An action that is always done, or a script with what is done afterwards.
    fn new(value: &Json) -> Self {
        if value["script"].is_null() && value["then"].is_null() {
            return Sequence { then: value.clone(), ..Sequence::default() };
        }
        Sequence { script: list(&value["script"]).to_vec(), then: value["then"].clone(), used: 0 }
    }

    fn next(&mut self) -> Json {
        self.used += 1;
        self.script.get(self.used - 1).unwrap_or(&self.then).clone()
    }
}

impl Script {
    fn new(item: &Json) -> Self {
        let paths = item["by_path"].as_object().into_iter().flatten();
        let otherwise =
            if item["script"].is_null() && item["then"].is_null() { Sequence::default() } else { Sequence::new(item) };
        let refuses = otherwise.then["refuse"] == true;
        Script { by_path: paths.map(|(path, value)| (path.clone(), Sequence::new(value))).collect(), otherwise, refuses }
    }

    fn next(&mut self, path: &str) -> Json {
        self.by_path.get_mut(path).unwrap_or(&mut self.otherwise).next()
    }
}

type Scripts = Arc<Mutex<BTreeMap<IpAddr, Script>>>;

/// Starts the upstream of all endpoints; gives its port.
fn upstream(scripts: Scripts) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let scripts = Arc::clone(&scripts);
            // A connection that breaks is what a script may want.
            thread::spawn(move || drop(serve(&stream, &scripts)));
        }
    });
    port
}

fn serve(stream: &TcpStream, scripts: &Scripts) -> io::Result<()> {
    let at = stream.local_addr()?.ip();
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(stream.try_clone()?);
    loop {
        let request = reader.request()?;
        let path = request.path.split('?').next().unwrap_or_default();
        let action = {
            let mut scripts = scripts.lock().unwrap_or_else(PoisonError::into_inner);
            scripts.entry(at).or_default().next(path)
        };
        if !act(stream, &action, request.method == "HEAD")? {
            return stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Does what the script says; `false` ends the connection.
fn act(mut stream: &TcpStream, action: &Json, to_head: bool) -> io::Result<bool> {
    for status in list(&action["informational"]) {
        write!(stream, "HTTP/1.1 {status} Early\r\n\r\n")?;
    }
    thread::sleep(Duration::from_millis(millis(&action["delay_ms"])));
    let is_set = |key: &str| !action[key].is_null() && action[key] != false;
    if is_set("reset") || is_set("close") {
        return Ok(false);
    }
    if is_set("garbage") {
        stream.write_all(b"this is no HTTP\r\n\r\n")?;
        return Ok(true);
    }
    let status = action["status"].as_u64().unwrap_or(200);
    let mut head = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in action["headers"].as_object().into_iter().flatten() {
        head.push_str(&format!("{name}: {}\r\n", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    if matches!(status, 204 | 304) {
        write!(stream, "{head}\r\n")?;
        return Ok(!is_set("close_after"));
    }
    let body = "x".repeat(usize::try_from(action["body_bytes"].as_u64().unwrap_or(2)).unwrap_or_default());
    write!(stream, "{head}content-length: {}\r\n\r\n", body.len())?;
    let (first, rest) = body.split_at(body.len().min(1));
    if to_head {
        return Ok(true);
    }
    stream.write_all(first.as_bytes())?;
    if is_set("headers_then_reset") || is_set("headers_then_close") {
        thread::sleep(Duration::from_millis(30));
        return Ok(false);
    }
    thread::sleep(Duration::from_millis(millis(&action["headers_then_stall_ms"])));
    stream.write_all(rest.as_bytes())?;
    Ok(!is_set("close_after"))
}

/// One sending at its instant.
struct Sending {
    at_ms: u64,
    to: SocketAddr,
    request: Request,
    name: String,
}

/// A port where nothing listens.
const REFUSING: u16 = 1;

/// Plays several cases in one Envoy. The answer's body and the log line of each request that is judged,
/// by case and request.
fn play(binary: &Path, plays: &[&Play]) -> BTreeMap<(usize, String), (String, LogLine)> {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    let addresses = Addresses::new();
    let scripts: Scripts = Arc::default();
    let port = upstream(Arc::clone(&scripts));
    let (mut listeners, mut clusters, mut sendings, mut number) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (index, play) in plays.iter().enumerate() {
        let written = play.scripts();
        for proxy in &play.mesh.proxies {
            let loopback = Loopback::new(proxy, addresses.of_proxy(number), port);
            let mut made = bootstrap(proxy, &Placement::Loopback(loopback.clone()));
            prepare(&mut made, &format!("~{number}~"), &access_log(&Envoy::log_in(&folder)));
            number += 1;
            let placed: BTreeMap<String, &Script> =
                written.iter().filter_map(|(address, script)| Some((loopback.address(address)?.to_string(), script))).collect();
            for (address, script) in &placed {
                let at = address.parse().expect("it was an address");
                scripts.lock().unwrap_or_else(PoisonError::into_inner).insert(at, (*script).clone());
            }
            listeners.extend(list(&made["static_resources"]["listeners"]).to_vec());
            for mut cluster in list(&made["static_resources"]["clusters"]).to_vec() {
                let refuses = |address: &str| placed.get(address).is_some_and(|script| script.refuses);
                move_ports(&mut cluster, port, &refuses);
                clusters.push(cluster);
            }
            sendings.extend(play.sendings(index, proxy, loopback.first()));
        }
    }
    for (index, listener) in listeners.iter_mut().enumerate() {
        listener["name"] = format!("{index}").into();
    }
    // The case's clock starts when the clusters are made, so they come when Envoy is ready for them.
    let (told, next) = (folder.path().join("clusters.json"), folder.path().join("next.json"));
    let source = json!({"resource_api_version": "V3", "path_config_source": {"path": told}});
    fs::write(&told, cluster_update(1, Vec::new()).to_string()).expect("a file can be written");
    fs::write(&next, cluster_update(2, clusters).to_string()).expect("a file can be written");
    let config = json!({
        "node": {"id": "referee", "cluster": "referee"},
        "dynamic_resources": {"cds_config": source},
        "static_resources": {"listeners": listeners},
    });
    let envoy = Envoy::start(binary, folder, config, addresses.admin()).expect("Envoy takes the cases");
    fs::rename(next, told).expect("a file can be moved");
    envoy.has_clusters(2);
    let count = sendings.len();
    let bodies = send(sendings);
    let mut seen = BTreeMap::new();
    for line in envoy.log(count) {
        let Some(name) = line.text("name").map(str::to_owned) else { continue };
        let mut parts = name.splitn(3, '/');
        let (Some(index), Some("0"), Some(id)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let body = bodies.get(&name).cloned().unwrap_or_default();
        seen.insert((index.parse().unwrap_or_default(), id.to_owned()), (body, line));
    }
    seen
}

/// What tells Envoy its clusters.
fn cluster_update(version: u32, mut clusters: Vec<Json>) -> Json {
    for cluster in &mut clusters {
        cluster["@type"] = "type.googleapis.com/envoy.config.cluster.v3.Cluster".into();
    }
    json!({"version_info": version.to_string(), "resources": clusters})
}

/// Sends endpoints of a cluster to the upstream, or to where nothing listens.
fn move_ports(cluster: &mut Json, port: u16, refuses: &impl Fn(&str) -> bool) {
    for locality in cluster["load_assignment"]["endpoints"].as_array_mut().into_iter().flatten() {
        for endpoint in locality["lb_endpoints"].as_array_mut().into_iter().flatten() {
            let socket = &mut endpoint["endpoint"]["address"]["socket_address"];
            let refused = socket["address"].as_str().is_some_and(refuses);
            socket["port_value"] = if refused { REFUSING } else { port }.into();
        }
    }
}

impl Play {
    fn sendings(&self, index: usize, proxy: &Proxy, first: Ipv4Addr) -> Vec<Sending> {
        let mut all = Vec::new();
        for (asked, written) in self.case.requests.iter().zip(list(&self.record["requests"])) {
            if self.mesh.proxy_named(&asked.from).map(|id| &self.mesh.proxies[id.index()].spec) != Some(&proxy.spec) {
                continue;
            }
            for nth in 0..written["repeat"].as_u64().unwrap_or(1) {
                let mut request = asked.request.clone();
                if let Some(bytes) = written["body_bytes"].as_u64() {
                    request.headers.push(("x-body-bytes".to_owned(), bytes.to_string()));
                }
                all.push(Sending {
                    at_ms: millis(&written["at_ms"]) + nth * millis(&written["every_ms"]),
                    to: SocketAddr::from((first, Loopback::port(asked.dial.port))),
                    request,
                    name: format!("{index}/{nth}/{}", asked.id),
                });
            }
        }
        all
    }
}

/// Sends everything at its instant, each from a thread of its own; gives the bodies that came back.
fn send(mut sendings: Vec<Sending>) -> BTreeMap<String, String> {
    sendings.sort_by_key(|sending| sending.at_ms);
    let bodies = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for sending in &sendings {
            let bodies = &bodies;
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(sending.at_ms));
                if let Ok(answer) = client::send(sending.to, &sending.request, &sending.name) {
                    let body = String::from_utf8_lossy(&answer.message.body).into_owned();
                    bodies.lock().unwrap_or_else(PoisonError::into_inner).insert(sending.name.clone(), body);
                }
            });
        }
    });
    bodies.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What differs between a log line and a record.
fn difference(record: &Json, tolerance: u64, body: &str, line: &LogLine) -> Option<String> {
    let told = |key: &str| line.text(key).unwrap_or("-").to_owned();
    let text = |key: &str| record[key].as_str().unwrap_or("-").to_owned();
    for key in ["flags", "details"] {
        if !record[key].is_null() && told(key) != text(key) {
            return Some(format!("{key}: measured {}, now {}", text(key), told(key)));
        }
    }
    for key in ["status", "attempts"] {
        if record[key].as_u64().is_some_and(|number| number != line.number(key)) {
            return Some(format!("{key}: measured {}, now {}", record[key], line.number(key)));
        }
    }
    if record["body"].as_str().is_some_and(|expected| expected != body) {
        return Some(format!("body: measured {}, now {body:?}", record["body"]));
    }
    let took = line.number("duration");
    let slack = tolerance + SLACK_MS;
    let (least, most) = (millis(&record["duration_ms"][0]), record["duration_ms"][1].as_u64()?);
    let fits = (least.saturating_sub(slack)..=most + slack).contains(&took);
    (!fits).then(|| format!("duration_ms: measured {}, now {took}", record["duration_ms"]))
}

impl Play {
    /// Whether what was logged is what was measured.
    fn differences(&self, index: usize, seen: &BTreeMap<(usize, String), (String, LogLine)>) -> Vec<String> {
        let tolerance = millis(&self.record["expect"]["tolerance_ms"]);
        let judged = self.judged().filter_map(|request| {
            let id = request["id"].as_str()?;
            let expected = &self.record["expect"]["requests"][id];
            let Some((body, line)) = seen.get(&(index, id.to_owned())) else { return Some(format!("{id}: not logged")) };
            let alternatives =
                if expected["one_of"].is_null() { std::slice::from_ref(expected) } else { list(&expected["one_of"]) };
            let mut all: Vec<String> = Vec::new();
            for one in alternatives {
                all.push(difference(one, tolerance, body, line)?);
            }
            all.into_iter().next().map(|why| format!("{id}: {why}"))
        });
        judged.collect()
    }
}

/// Why this machine cannot keep time: others use it. `MESHSIM_REFEREE_BUSY` plays all the same.
fn busy() -> Option<String> {
    let load: f64 = fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()?;
    let cores = thread::available_parallelism().ok()?.get();
    let is_busy = load > 2.0 * cores as f64 && std::env::var_os("MESHSIM_REFEREE_BUSY").is_none();
    is_busy.then(|| format!("a load of {load} is too much for {cores} cores to keep time"))
}

#[test]
fn what_happens_over_time_happens_with_our_configuration() {
    let binary = match envoy::binary() {
        Ok(binary) => binary,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    if let Some(why) = busy() {
        println!("skipped: {why}");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/timed");
    let mut paths: Vec<_> = fs::read_dir(folder).expect("the folder can be listed").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let plays: Vec<Play> = paths.iter().filter_map(|path| Play::read(path)).collect();
    let situations: usize = plays.iter().map(|play| play.judged().count()).sum();
    let mut open: Vec<&Play> = plays.iter().collect();
    let mut wrong = Vec::new();
    for _ in 0..TRIES {
        wrong.clear();
        let mut again = Vec::new();
        for wave in open.chunks(WAVE) {
            let seen = play(&binary, wave);
            for (index, play) in wave.iter().enumerate() {
                let differences = play.differences(index, &seen);
                if !differences.is_empty() {
                    wrong.extend(differences.into_iter().map(|why| format!("{} {why}", play.name)));
                    again.push(*play);
                }
            }
        }
        open = again;
    }
    println!("{} timed cases, {situations} situations, {} disagreements", plays.len(), wrong.len());
    assert!(situations >= 40, "only {situations} situations can be played");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    readme::says("situations", &format!("{situations} situations of {} timed cases", plays.len()));
}
