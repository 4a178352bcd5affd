//! `meshsim export`: what would a proxy be configured with?

use std::net::Ipv4Addr;

use meshsim::envoy::{self, Loopback, Placement};
use meshsim::mesh::{CompileOptions, Mesh, Proxy, compile};
use meshsim::report;
use serde_json::Value;

use super::context::Context;
use super::exit::{Exit, Outcome, Stop};
use super::input::Input;
use super::release::Release;

/// Print what a proxy would be configured with: an Envoy bootstrap, or tables as `istioctl
/// proxy-config` prints them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArgs {
    /// What to print
    #[arg(value_enum, value_name = "WHAT")]
    what: What,
    #[command(flatten)]
    input: Input,
    /// Whose configuration: a workload with a sidecar, or a gateway
    #[arg(long, value_name = "WORKLOAD|GATEWAY")]
    proxy: String,
    /// Place listeners and endpoints on the loopback interface, from this address on
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1")]
    loopback: Option<Ipv4Addr>,
    #[command(flatten)]
    release: Release,
    /// How to print it [default: yaml for a bootstrap, else text]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

const EXAMPLES: &str = "\
Examples:
  meshsim export routes -f mesh/ --proxy productpage-v1
  meshsim export envoy -f mesh/ --proxy productpage-v1 --loopback > envoy.yaml && envoy -c envoy.yaml";

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// A static bootstrap that Envoy loads
    Envoy,
    /// Listeners and their filter chains
    Listeners,
    /// Route tables
    Routes,
    /// Clusters
    Clusters,
    /// Endpoints of clusters
    Endpoints,
}

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table
    Text,
    /// YAML in Envoy's terms
    Yaml,
    /// JSON in Envoy's terms
    Json,
}

/// Where what goes to no service of the mesh arrives on the loopback interface.
const PASSTHROUGH_PORT: u16 = 15_999;

/// Runs `meshsim export`.
pub(crate) fn run(args: &ExportArgs, cx: &mut Context) -> Outcome {
    let format = args.output.unwrap_or(if args.what == What::Envoy { Format::Yaml } else { Format::Text });
    if (args.what, format) == (What::Envoy, Format::Text) {
        return Err(Stop::Unusable(vec!["a bootstrap is no table; print it with `-o yaml` or `-o json`".to_owned()]));
    }
    let loaded = args.input.load(&[], cx)?;
    let options = CompileOptions { profile: args.release.profile.clone(), ..CompileOptions::default() };
    let (mesh, _) = compile(&loaded.objects, &options);
    let proxy = meshsim::routing::named(&mesh, &args.proxy).map_err(|why| Stop::Unusable(vec![why]))?;
    let proxy = &mesh.proxies[proxy.index()];
    let text = match format {
        Format::Text => table(args.what, &mesh, proxy),
        Format::Json => json(&configuration(args, proxy, cx)),
        Format::Yaml => yaml(&configuration(args, proxy, cx)),
    };
    cx.print(&text)?;
    Ok(Exit::Good)
}

fn table(what: What, mesh: &Mesh, proxy: &Proxy) -> String {
    match what {
        What::Envoy | What::Listeners => report::listeners(proxy),
        What::Routes => report::routes(mesh, proxy),
        What::Clusters => report::clusters(mesh, proxy),
        What::Endpoints => report::endpoints(proxy),
    }
}

fn configuration(args: &ExportArgs, proxy: &Proxy, cx: &mut Context) -> Value {
    let placement = match args.loopback {
        Some(first) => Placement::Loopback(placed(proxy, first, cx)),
        None => Placement::Mesh,
    };
    match args.what {
        What::Envoy => envoy::bootstrap(proxy, &placement),
        What::Listeners => proxy.listeners.iter().map(|listener| envoy::listener(proxy, listener, &placement)).collect(),
        What::Routes => proxy.route_tables.iter().map(envoy::route_table).collect(),
        What::Clusters => proxy.clusters.iter().map(|cluster| envoy::cluster(cluster, &placement)).collect(),
        What::Endpoints => proxy.clusters.iter().map(|cluster| envoy::endpoints(cluster, &placement)).collect(),
    }
}

/// The mesh on the loopback interface; says what became of which address.
fn placed(proxy: &Proxy, first: Ipv4Addr, cx: &mut Context) -> Loopback {
    let loopback = Loopback::new(proxy, first, PASSTHROUGH_PORT);
    cx.note(&format!(
        "listeners on every address listen on {first}, ports below 1024 are moved up by 10000; TLS to endpoints is off"
    ));
    for (address, placed) in loopback.addresses() {
        cx.detail(&format!("{placed} stands for {address}"));
    }
    loopback
}

fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).expect("JSON is YAML")
}
