//! `meshsim tls-check`: do clients and servers agree on mutual TLS?

use meshsim::analysis;
use meshsim::mesh::{CompileOptions, Mesh, compile};
use meshsim::report;
use meshsim::yaml;

use super::context::Context;
use super::exit::{Exit, Outcome, Stop};
use super::input::Input;
use super::release::Release;

/// Compare what a workload's proxy sends with what servers take, for each service port
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TlsCheckArgs {
    /// Who calls: a workload with a sidecar, or a gateway
    #[arg(value_name = "WORKLOAD|GATEWAY")]
    from: String,
    /// Host of one service, of which the lowest port is shown
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    release: Release,
}

const EXAMPLES: &str = "\
Examples:
  meshsim tls-check -f mesh/ --istio-version 1.1 productpage-v1
  meshsim tls-check -f mesh/ productpage-v1 reviews.default.svc.cluster.local";

/// Runs `meshsim tls-check`.
pub(crate) fn run(args: &TlsCheckArgs, cx: &mut Context) -> Outcome {
    let loaded = args.input.load(&[], cx)?;
    let options = CompileOptions { profile: args.release.profile.clone(), ..CompileOptions::default() };
    let (mesh, _) = compile(&loaded.objects, &options);
    let proxy = mesh.proxy_named(&args.from).ok_or_else(|| unknown("workload or gateway", &args.from, proxies(&mesh)))?;
    let mut rows = analysis::tls_check(&loaded.objects, &mesh, proxy);
    if let Some(service) = &args.service {
        let hosts: Vec<String> = rows.iter().map(|row| row.host.clone()).collect();
        rows.retain(|row| row.host == *service);
        rows.truncate(1);
        if rows.is_empty() {
            return Err(unknown("service", service, hosts));
        }
    }
    cx.print(&report::tls_check(&rows))?;
    let conflict = rows.iter().any(|row| row.status == "CONFLICT");
    Ok(if conflict { Exit::Findings } else { Exit::Good })
}

fn proxies(mesh: &Mesh) -> Vec<String> {
    let short = |name: &str, namespace: &str| name.strip_suffix(&format!(".{namespace}")).unwrap_or(name).to_owned();
    mesh.proxies.iter().map(|proxy| short(&proxy.spec.name, &proxy.spec.namespace)).collect()
}

fn unknown(what: &str, name: &str, known: Vec<String>) -> Stop {
    let near = yaml::nearest(name, known.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
    Stop::Unusable(vec![format!("no {what} `{name}` in the input{}", near.unwrap_or_default())])
}
