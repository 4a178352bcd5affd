//! `meshsim route`: where does this request go, and why not elsewhere?

use std::net::IpAddr;
use std::path::PathBuf;

use meshsim::diagnostic::Severity;
use meshsim::draw::KeyStream;
use meshsim::mesh::{CompileOptions, Mesh, Proxy, compile};
use meshsim::report::{self, RouteQuestion, ShownOutcomes};
use meshsim::routing::authentication::carry;
use meshsim::routing::server::{Caller, Certificate};
use meshsim::routing::token::Token;
use meshsim::routing::{Chances, Dial, Request, resolve, sender};
use meshsim::text::{Style, plural};

use super::context::Context;
use super::exit::{Exit, Outcome, Stop};
use super::input::Input;
use super::release::Release;
use super::url::Target;

/// Explain where one request goes: listener, virtual host, every route with the condition that failed,
/// destinations, timeout, retries, faults
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RouteArgs {
    /// URL as for curl: `http://reviews:9080/reviews/0`; also `https://`, `tls://` and `tcp://`.
    /// A method may stand before it
    #[arg(value_name = "[METHOD] URL", num_args = 1..=2, required = true)]
    target: Vec<String>,
    #[command(flatten)]
    input: Input,
    /// Who sends it: a workload with a sidecar, or a gateway [default: the only gateway, if the host
    /// is no service of the mesh]
    #[arg(long, value_name = "WORKLOAD|GATEWAY")]
    from: Option<String>,
    /// Request header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Method [default: GET]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    method: Option<String>,
    /// TLS server name, instead of the URL's host
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// Show a client certificate that the proxy trusts
    #[arg(long)]
    client_cert: bool,
    /// Explain the server's side too: filter chain, mutual TLS, authorization rules
    #[arg(long)]
    server: bool,
    /// Identity that the server sees, instead of the service account of `--from`
    #[arg(long = "as", value_name = "NAMESPACE/ACCOUNT|SPIFFE-URI|plaintext", help_heading = "Caller")]
    identity: Option<String>,
    /// Address of the caller; at a gateway, of its client
    #[arg(long, value_name = "ADDRESS", help_heading = "Caller")]
    ip: Option<IpAddr>,
    /// Claim of a valid token that comes with the request, in the header `authorization` or where its
    /// issuer's RequestAuthentication looks; repeated values are a list, and JSON is taken as such. May
    /// be repeated
    #[arg(long = "claim", value_name = "NAME=VALUE", help_heading = "Caller")]
    claims: Vec<String>,
    /// Show every possible outcome with its exact probability
    #[arg(long, conflicts_with = "seed")]
    all: bool,
    /// Show the outcome of one draw
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    release: Release,
    /// How to print the explanation
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Tree)]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  meshsim route -f mesh/ --from productpage-v1 http://reviews:9080/reviews/0 -H 'end-user: jason'
  meshsim route -f mesh/ http://shop.example.com/cart --all
  meshsim route -f mesh/ --from web http://orders:8080/ --server --as plaintext";

/// How the explanation is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A tree
    Tree,
    /// JSON
    Json,
}

/// Runs `meshsim route`.
pub(crate) fn run(args: &RouteArgs, cx: &mut Context) -> Outcome {
    let (method, url) = match args.target.as_slice() {
        [method, url] => (Some(method), url),
        [url] => (None, url),
        _ => return Err(unusable("name one URL")),
    };
    if let (Some(one), Some(other)) = (method, &args.method) {
        return Err(unusable(format!("the method is given twice: `{one}` and `{other}`")));
    }
    let method = method.or(args.method.as_ref()).map_or("GET", String::as_str);
    let Asked { target, headers } = Asked::read(method, url, &args.headers)?;
    let loaded = args.input.load(&[] as &[PathBuf], cx)?;
    let options = CompileOptions { profile: args.release.profile.clone(), ..CompileOptions::default() };
    let (mesh, compiled) = compile(&loaded.objects, &options);
    let findings = loaded.diagnostics.iter().chain(&compiled);
    let errors = findings.filter(|finding| finding.severity == Severity::Error).count();
    if errors > 0 {
        cx.note(&format!("the configuration has {}; `meshsim check` shows them", plural(errors as u64, "error")));
    }
    let proxy = sender(&mesh, args.from.as_deref(), &target.host, "`--from`").map_err(unusable)?;
    let (mut request, dial) = ask(&target, method, headers, args, &mesh.proxies[proxy.index()]);
    let outcomes = match (args.all, args.seed) {
        (true, _) => ShownOutcomes::All,
        (false, Some(seed)) => ShownOutcomes::One(Chances::of(KeyStream::new(seed, 0).draw(0))),
        (false, None) => ShownOutcomes::None,
    };
    let (caller, token) = caller(args, &mesh).map_err(Stop::Unusable)?;
    if let Some(token) = &token {
        let issuers = mesh.proxies.iter().flat_map(|proxy| &proxy.inbound.authorization.issuers);
        let own = token.claims.get("iss").and_then(serde_json::Value::as_str);
        let mut known = issuers.filter(|issuer| own == Some(issuer.name.as_str()));
        let first = known.next();
        carry(&mut request, token, first.filter(|_| known.all(|other| !other.looks_at_defaults())));
    }
    let question = RouteQuestion {
        sources: &loaded.sources,
        mesh: &mesh,
        proxy,
        dial: &dial,
        request: &request,
        outcomes,
        caller: &caller,
        server: args.server,
    };
    cx.print(&match args.output {
        Format::Tree => report::route(&question, Style { colour: cx.color(), width: 110 }),
        Format::Json => report::route_json(&question),
    })?;
    Ok(Exit::Good)
}

/// What is asked, as it was typed.
struct Asked {
    target: Target,
    headers: Vec<(String, String)>,
}

impl Asked {
    /// Reads everything, so that one invocation names all mistakes.
    fn read(method: &str, url: &str, lines: &[String]) -> Result<Self, Stop> {
        let mut problems = Vec::new();
        if !is_token(method) {
            problems.push(format!("`{method}` is no method"));
        }
        let target = Target::parse(url).map_err(|problem| problems.push(problem)).ok();
        let mut headers = Vec::new();
        for line in lines {
            match header(line) {
                Ok(header) => headers.push(header),
                Err(problem) => problems.push(problem),
            }
        }
        match target {
            Some(target) if problems.is_empty() => Ok(Asked { target, headers }),
            _ => Err(Stop::Unusable(problems)),
        }
    }
}

/// Who calls, and with which token, as the options say it.
fn caller(args: &RouteArgs, mesh: &Mesh) -> Result<(Caller, Option<Token>), Vec<String>> {
    let mut problems = Vec::new();
    let certificate = match args.identity.as_deref() {
        None => Certificate::Own,
        Some("plaintext") => Certificate::None,
        Some(uri) if uri.starts_with("spiffe://") => Certificate::Of(uri.to_owned()),
        Some(account) => match account.split_once('/') {
            Some((namespace, account)) if !namespace.is_empty() && !account.is_empty() && !account.contains('/') => {
                Certificate::Of(mesh.identity(namespace, account))
            }
            _ => {
                problems.push(format!("--as `{account}`: write `namespace/account`, `spiffe://…` or `plaintext`"));
                Certificate::Own
            }
        },
    };
    let mut claims = serde_json::Map::new();
    for claim in &args.claims {
        match claim.split_once('=') {
            Some((name, value)) if !name.is_empty() => add_claim(&mut claims, name, value),
            _ => problems.push(format!("--claim `{claim}`: write `name=value`")),
        }
    }
    let token = (!claims.is_empty()).then(|| Token { claims, ..Token::default() });
    if problems.is_empty() { Ok((Caller { certificate, address: args.ip }, token)) } else { Err(problems) }
}

fn add_claim(claims: &mut serde_json::Map<String, serde_json::Value>, name: &str, value: &str) {
    use serde_json::Value;
    let structured = || serde_json::from_str(value).ok().filter(|value: &Value| value.is_object() || value.is_array());
    let value = structured().unwrap_or_else(|| Value::from(value));
    let merged = match claims.remove(name) {
        None => value,
        Some(Value::Array(mut all)) => {
            all.push(value);
            Value::Array(all)
        }
        Some(first) => Value::Array(vec![first, value]),
    };
    claims.insert(name.to_owned(), merged);
}

fn unusable(why: impl Into<String>) -> Stop {
    Stop::Unusable(vec![why.into()])
}

/// `name: value`, as curl takes it; `name;` is an empty header.
fn header(line: &str) -> Result<(String, String), String> {
    let split = line.split_once(':').or_else(|| line.strip_suffix(';').map(|name| (name, "")));
    let (name, value) = split.ok_or_else(|| format!("header `{line}`: write `name: value`"))?;
    let name = name.trim();
    if !is_token(name) {
        return Err(format!("header `{line}`: `{name}` is no name of a header"));
    }
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// Methods and names of headers are tokens (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The request and what is dialled. A Host header replaces the URL's host in the request, but not the
/// address that is dialled.
fn ask(target: &Target, method: &str, mut headers: Vec<(String, String)>, args: &RouteArgs, proxy: &Proxy) -> (Request, Dial) {
    let host = headers.iter().rposition(|(name, _)| name == "host").map(|index| headers.remove(index).1);
    let request = Request {
        method: method.to_owned(),
        scheme: target.scheme(),
        authority: host.unwrap_or_else(|| target.authority()),
        path: target.path.clone(),
        headers,
    };
    let address = resolve(proxy, &target.host).unwrap_or(&target.host).to_owned();
    let dial = Dial { port: target.port, address: Some(address), opening: target.opening(args.sni.as_deref(), args.client_cert) };
    (request, dial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_curl_takes_them() {
        for (line, name, value) in [("End-User: jason", "end-user", "jason"), ("a:b:c", "a", "b:c"), ("x-empty;", "x-empty", "")]
        {
            assert_eq!(header(line), Ok((name.to_owned(), value.to_owned())), "{line}");
        }
    }

    #[test]
    fn one_invocation_names_all_mistakes_of_a_request() {
        let lines = ["bad", ": x", "a b: c", "good: x"].map(str::to_owned);
        let Err(Stop::Unusable(problems)) = Asked::read("G T", "ftp://a", &lines) else { panic!("the request is odd") };
        assert_eq!(problems.len(), 5, "{problems:?}");
    }
}
