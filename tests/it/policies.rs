//! Cluster policies against measured cases.

use std::path::{Path, PathBuf};

use meshsim::conformance::effective_policy;
use meshsim::mesh::{CompileOptions, DescribedEndpoints, Profile, ProxyKind, ProxySelection, ProxySpec, compile};
use meshsim::resource::decode;
use meshsim::source::Sources;
use meshsim::yaml::{self, Limits, Node, Value};
use serde_json::{Map, Value as Json};

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(b, _) => (*b).into(),
        Value::Int(i, _) => (*i).into(),
        Value::Float(f, _) => (*f).into(),
        Value::Str(s) => s.clone().into(),
        Value::Seq(items) => items.iter().map(json).collect::<Vec<_>>().into(),
        Value::Map(entries) => entries.iter().map(|(k, v)| (k.value.clone(), json(v))).collect::<Map<_, _>>().into(),
    }
}

fn text(v: &Json, key: &str) -> String {
    v[key].as_str().unwrap_or_default().to_owned()
}

fn labels(v: &Json) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = v
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
        .collect();
    out.sort();
    out
}

fn cases(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for group in std::fs::read_dir(dir).unwrap().flatten().filter(|e| e.path().is_dir()) {
        files.extend(std::fs::read_dir(group.path()).unwrap().flatten().map(|e| e.path()));
    }
    files.retain(|f| f.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    files
}

#[test]
fn policies_agree_with_measured_ones() {
    let Ok(dir) = std::env::var("MESHSIM_CONFORMANCE") else {
        println!("skipped: MESHSIM_CONFORMANCE names no directory of cases");
        return;
    };
    let mut tally: std::collections::BTreeMap<String, (usize, usize)> = Default::default();
    for file in cases(Path::new(&dir)) {
        let mut sources = Sources::new();
        let id = sources.add(file.display().to_string(), std::fs::read_to_string(&file).unwrap());
        let (documents, _) = yaml::parse(&sources, id, Limits::default());
        let case = json(&documents[0].root);
        let Some(policies) = case["expect"]["policies"].as_object() else { continue };
        let config = sources.add("config", text(&case, "config"));
        let (documents, _) = yaml::parse(&sources, config, Limits::default());
        let (objects, _) = decode(&documents, "default");
        let endpoints = case["endpoints"].as_array().into_iter().flatten().map(|e| DescribedEndpoints {
            service: text(e, "service"),
            labels: labels(&e["labels"]),
            count: e["count"].as_u64().unwrap_or(1) as u32,
            port: e["port"].as_u64().unwrap() as u16,
            locality: text(e, "locality"),
            ready: e["ready"].as_bool().unwrap_or(true),
            ips: Vec::new(),
        });
        let specs = case["proxies"].as_object().into_iter().flatten().map(|(name, p)| {
            let labels = labels(&p["labels"]);
            let get = |key: &str| labels.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str());
            let locality =
                [get("topology.kubernetes.io/region"), get("topology.kubernetes.io/zone"), get("topology.istio.io/subzone")]
                    .join("/");
            ProxySpec {
                name: name.clone(),
                kind: if p["kind"] == "gateway" { ProxyKind::Gateway } else { ProxyKind::Sidecar },
                namespace: text(p, "namespace"),
                locality: if locality == "//" { String::new() } else { locality },
                labels,
                service_account: String::new(),
            }
        });
        let options = CompileOptions {
            profile: Profile::latest(),
            cluster_domain: "cluster.local".to_owned(),
            proxies: ProxySelection::Described(specs.collect()),
            endpoints: endpoints.collect(),
        };
        let (mesh, _) = compile(&objects, &options);
        for (name, clusters) in policies {
            let proxy = mesh.proxies.iter().find(|p| p.spec.name == *name).unwrap();
            for (cluster, expected) in clusters.as_object().unwrap() {
                let actual = effective_policy(&mesh, proxy, cluster);
                let group = file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
                let entry = tally.entry(group).or_default();
                entry.1 += 1;
                if actual == *expected {
                    entry.0 += 1;
                } else {
                    println!("{} {name} {cluster}", file.file_name().unwrap().to_string_lossy());
                    match (actual.as_object(), expected.as_object()) {
                        (Some(a), Some(e)) => {
                            let keys: std::collections::BTreeSet<_> = a.keys().chain(e.keys()).collect();
                            for key in keys.into_iter().filter(|k| a.get(*k) != e.get(*k)) {
                                println!(
                                    "   {key}\n      expected {:?}\n      got      {:?}",
                                    e.get(key).map(Json::to_string),
                                    a.get(key).map(Json::to_string)
                                );
                            }
                        }
                        _ => println!("      expected {expected}\n      got      {actual}"),
                    }
                }
            }
        }
    }
    println!("{tally:#?}");
    assert!(tally.values().all(|(agree, all)| agree == all));
}
