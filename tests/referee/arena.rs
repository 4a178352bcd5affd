//! Several cases in one Envoy: each proxy of each case has addresses and clusters of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use meshsim::conformance::{Case, CaseRequest};
use meshsim::envoy::{Loopback, Placement, bootstrap};
use meshsim::mesh::{Mesh, ProxyId};
use meshsim::routing::{Conn, Dial, listen, resolve, without_port};
use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::envoy::{Envoy, LogLine, access_log};
use crate::stub::{Arrival, Stub};

/// A case and its mesh.
pub(crate) struct Compiled {
    pub(crate) case: Case,
    pub(crate) mesh: Mesh,
}

impl Compiled {
    pub(crate) fn new(case: Case) -> Self {
        let (_, mesh, _) = case.compiled();
        Compiled { case, mesh }
    }

    /// The proxy that sends a request.
    pub(crate) fn sender(&self, request: &CaseRequest) -> Option<ProxyId> {
        self.mesh.proxy_named(&request.from)
    }
}

/// What became of one sending of a request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) log: LogLine,
    pub(crate) answer: crate::http::Message,
    /// With the cluster that it arrived for.
    pub(crate) arrivals: Vec<(String, crate::http::Message)>,
}

/// What became of a request.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// It is not one that the referee judges.
    NotPlayed,
    /// Nothing listens.
    Refused,
    /// The connection broke.
    Broken(String),
    /// Each sending.
    Answered(Vec<Seen>),
}

/// The networks in which proxies listen and upstreams are; the second number of the first differs
/// from process to process, so that several can run beside each other.
pub(crate) struct Addresses {
    listeners: u8,
    upstreams: u32,
}

impl Addresses {
    pub(crate) fn new() -> Self {
        let listeners = 16 + u8::try_from(std::process::id() % 100).unwrap_or_default();
        Addresses { listeners, upstreams: u32::from(Ipv4Addr::new(127, 128, 0, 1)) }
    }

    pub(crate) fn admin(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.listeners, 0, 1)
    }

    pub(crate) fn of_proxy(&self, number: usize) -> Ipv4Addr {
        let [high, low] = u16::try_from(number + 1).expect("an arena is not that big").to_be_bytes();
        Ipv4Addr::new(127, self.listeners + 100 * high, low, 1)
    }

    fn next_upstream(&mut self) -> Ipv4Addr {
        self.upstreams += 1;
        Ipv4Addr::from(self.upstreams)
    }
}

/// One proxy of one case, in the arena.
struct Place {
    case: usize,
    proxy: ProxyId,
    loopback: Loopback,
}

/// How clusters of different proxies are told apart.
fn mark(place: usize) -> String {
    format!("~{place}~")
}

/// Plays all requests of the cases, each as often as `times` says.
pub(crate) fn play(
    binary: &Path,
    stub: &Stub,
    cases: &[Compiled],
    times: fn(&Compiled, &CaseRequest) -> usize,
) -> Result<Vec<Vec<Fate>>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut addresses = Addresses::new();
    let mut clusters_at = BTreeMap::new();
    let (mut places, mut listeners, mut clusters) = (Vec::new(), Vec::new(), Vec::new());
    for (case, compiled) in cases.iter().enumerate() {
        for (index, proxy) in compiled.mesh.proxies.iter().enumerate() {
            let loopback = Loopback::new(proxy, addresses.of_proxy(places.len()), stub.port);
            let mut made = bootstrap(proxy, &Placement::Loopback(loopback.clone()));
            let mark = mark(places.len());
            places.push(Place { case, proxy: ProxyId::new(index), loopback });
            prepare(&mut made, &mark, &access_log(&Envoy::log_in(&folder)));
            listeners.extend(made["static_resources"]["listeners"].as_array().cloned().unwrap_or_default());
            for mut cluster in made["static_resources"]["clusters"].as_array().cloned().unwrap_or_default() {
                let name = cluster["name"].as_str().unwrap_or_default().replace(&mark, "");
                move_upstreams(&mut cluster, stub.port, &mut addresses, &mut |at| drop(clusters_at.insert(at, name.clone())));
                clusters.push(cluster);
            }
        }
    }
    // Listeners of several proxies may have one name.
    for (index, listener) in listeners.iter_mut().enumerate() {
        listener["name"] = format!("{index}").into();
    }
    let config = json!({"static_resources": {"listeners": listeners, "clusters": clusters}});
    stub.take();
    let envoy = Envoy::start(binary, folder, config, addresses.admin())?;
    let arena = Arena { cases, places: &places, clusters_at: &clusters_at, stub };
    Ok(arena.play(&envoy, times))
}

/// Gives clusters names of their own and replaces the access logs.
pub(crate) fn prepare(value: &mut Value, mark: &str, access_log: &Value) {
    match value {
        Value::Object(fields) => {
            let is_cluster = fields.contains_key("load_assignment");
            for (key, value) in fields.iter_mut() {
                match (key.as_str(), &mut *value) {
                    ("access_log", log) => *log = access_log.clone(),
                    ("cluster" | "cluster_name", Value::String(name)) => name.push_str(mark),
                    ("name", Value::String(name)) if is_cluster => name.push_str(mark),
                    ("weighted_clusters", weighted) => {
                        for leg in weighted["clusters"].as_array_mut().into_iter().flatten() {
                            if let Value::String(name) = &mut leg["name"] {
                                name.push_str(mark);
                            }
                        }
                    }
                    (_, value) => prepare(value, mark, access_log),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prepare(item, mark, access_log)),
        _ => {}
    }
}

/// Lets every endpoint of a cluster be the stub, at an address that no other cluster has.
fn move_upstreams(cluster: &mut Value, port: u16, addresses: &mut Addresses, place: &mut impl FnMut(IpAddr)) {
    for locality in cluster["load_assignment"]["endpoints"].as_array_mut().into_iter().flatten() {
        for endpoint in locality["lb_endpoints"].as_array_mut().into_iter().flatten() {
            let at = addresses.next_upstream();
            place(IpAddr::V4(at));
            endpoint["endpoint"]["address"] = json!({"socket_address": {"address": at.to_string(), "port_value": port}});
        }
    }
}

struct Arena<'a> {
    cases: &'a [Compiled],
    places: &'a [Place],
    clusters_at: &'a BTreeMap<IpAddr, String>,
    stub: &'a Stub,
}

/// Which sending of which request of which case.
type Sending = (usize, usize, usize);

enum Sent {
    Refused,
    Broken(String),
    Answered(Vec<Answer>),
}

impl Arena<'_> {
    fn play(&self, envoy: &Envoy, times: fn(&Compiled, &CaseRequest) -> usize) -> Vec<Vec<Fate>> {
        let mut tasks = Vec::new();
        for (index, compiled) in self.cases.iter().enumerate() {
            for (number, request) in compiled.case.requests.iter().enumerate() {
                let to = self.address(index, compiled, request);
                tasks.push(to.map(|to| Task { to, request, sending: (index, number), times: times(compiled, request) }));
            }
        }
        let mut sent = send_all(&tasks).into_iter();
        let answers = |sent: &Option<Sent>| if let Some(Sent::Answered(answers)) = sent { answers.len() } else { 0 };
        let count = sent.as_slice().iter().map(answers).sum();
        let (by_name, by_port) = logged(envoy.log(count));
        let arrivals = self.arrivals();
        let find = |sending: Sending, answer: Answer| {
            let log = by_name.get(&sending).or_else(|| by_port.get(&answer.port)).cloned().unwrap_or_default();
            Seen { log, answer: answer.message, arrivals: arrivals.get(&sending).cloned().unwrap_or_default() }
        };
        let fate = |case: usize, request: usize, sent: Option<Sent>| match sent {
            None => Fate::NotPlayed,
            Some(Sent::Refused) => Fate::Refused,
            Some(Sent::Broken(why)) => Fate::Broken(why),
            Some(Sent::Answered(answers)) => {
                let seen = answers.into_iter().enumerate().map(|(time, answer)| find((case, request, time), answer));
                Fate::Answered(seen.collect())
            }
        };
        let mut fates = Vec::new();
        for (case, compiled) in self.cases.iter().enumerate() {
            let requests = sent.by_ref().take(compiled.case.requests.len()).enumerate();
            fates.push(requests.map(|(request, sent)| fate(case, request, sent)).collect());
        }
        fates
    }

    /// Where a request is sent to; nothing if it is not HTTP in clear, or leaves through a sidecar's
    /// fallback.
    fn address(&self, case: usize, compiled: &Compiled, request: &CaseRequest) -> Option<SocketAddr> {
        let sender = compiled.sender(request)?;
        let proxy = &compiled.mesh.proxies[sender.index()];
        let place = self.places.iter().find(|place| place.case == case && place.proxy == sender)?;
        if request.dial.opening != Dial::http(0).opening {
            return None;
        }
        let dialled = request.dial.address.as_deref().or_else(|| resolve(proxy, without_port(&request.request.authority)));
        let at = match listen(proxy, &request.dial, &request.request.authority) {
            Conn::Http(http) => {
                let subnets = http.listener.chains.iter().flat_map(|chain| &chain.matcher.destination_subnets);
                let asked_for = subnets.chain(&http.listener.address).any(|known| Some(known.as_str()) == dialled);
                dialled.filter(|_| asked_for).and_then(|address| place.loopback.address(address))
            }
            Conn::Refused => None,
            Conn::Tcp(_) | Conn::Ended(_) => return None,
        };
        Some(SocketAddr::from((at.unwrap_or(place.loopback.first()), Loopback::port(request.dial.port))))
    }

    /// What arrived at the stub, by sending. Copies may arrive late.
    fn arrivals(&self) -> BTreeMap<Sending, Vec<(String, crate::http::Message)>> {
        let mut before = usize::MAX;
        while self.stub.count() != before {
            before = self.stub.count();
            thread::sleep(Duration::from_millis(50));
        }
        let mut by_sending: BTreeMap<Sending, Vec<_>> = BTreeMap::new();
        for Arrival { at, request } in self.stub.take() {
            let Some(sending) = request.header(client::NAME).and_then(sending) else { continue };
            let cluster = self.clusters_at.get(&at).cloned().unwrap_or_default();
            by_sending.entry(sending).or_default().push((cluster, request));
        }
        by_sending
    }
}

fn name(sending: Sending) -> String {
    format!("{}-{}-{}", sending.0, sending.1, sending.2)
}

fn sending(name: &str) -> Option<Sending> {
    let mut numbers = name.split('-').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// A request to send.
struct Task<'a> {
    to: SocketAddr,
    request: &'a CaseRequest,
    sending: (usize, usize),
    times: usize,
}

impl Task<'_> {
    fn send(&self) -> Sent {
        let mut answers = Vec::new();
        for time in 0..self.times {
            match client::send(self.to, &self.request.request, &name((self.sending.0, self.sending.1, time))) {
                Ok(answer) => answers.push(answer),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Sent::Refused,
                Err(error) => return Sent::Broken(error.to_string()),
            }
        }
        Sent::Answered(answers)
    }
}

/// Clients that send at the same time.
const CLIENTS: usize = 16;

/// Sends everything; what is no task is not sent.
fn send_all(tasks: &[Option<Task<'_>>]) -> Vec<Option<Sent>> {
    let next = AtomicUsize::new(0);
    let sent: Mutex<Vec<Option<Sent>>> = Mutex::new(tasks.iter().map(|_| None).collect());
    let client = || {
        while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < tasks.len()) {
            let result = tasks[index].as_ref().map(Task::send);
            sent.lock().unwrap_or_else(PoisonError::into_inner)[index] = result;
        }
    };
    thread::scope(|scope| (0..CLIENTS).for_each(|_| drop(scope.spawn(client))));
    sent.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The access log by sending, and by the client's port where a line names no request.
fn logged(lines: Vec<LogLine>) -> (BTreeMap<Sending, LogLine>, BTreeMap<u16, LogLine>) {
    let (mut by_name, mut by_port) = (BTreeMap::new(), BTreeMap::new());
    for line in lines {
        let port = line.text("client").and_then(|client| client.rsplit(':').next()?.parse().ok());
        match (line.text("name").and_then(sending), port) {
            (Some(sending), _) => drop(by_name.insert(sending, line)),
            (None, Some(port)) => drop(by_port.insert(port, line)),
            (None, None) => {}
        }
    }
    (by_name, by_port)
}

/// A text without the marks that tell clusters apart.
pub(crate) fn without_marks(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('~') {
        let digits = rest[start + 1..].bytes().take_while(u8::is_ascii_digit).count();
        let end = start + 1 + digits;
        out.push_str(&rest[..start]);
        if digits > 0 && rest[end..].starts_with('~') {
            rest = &rest[end + 1..];
        } else {
            out.push('~');
            rest = &rest[start + 1..];
        }
    }
    out + rest
}
