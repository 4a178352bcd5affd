//! What must hold for every request, on the meshes of measured cases: nothing panics, probabilities
//! add up to one, and whatever is drawn is among the outcomes that were enumerated.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use meshsim::conformance::{Case, CaseRequest};
use meshsim::mesh::{Mesh, ProxyId};
use meshsim::routing::{
    Chances, Conn, Dial, Inside, Opening, Probability, Received, Request, Scheme, decide, explain, listen, normalise, outcomes,
    play,
};
use proptest::prelude::*;

struct Stage {
    mesh: Mesh,
    requests: Vec<CaseRequest>,
}

/// The meshes of the cases about realistic configurations, faults, mirrors and weights.
static STAGES: LazyLock<Vec<Stage>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut stages = Vec::new();
    for group in ["realistic", "fault", "cors-mirror", "weights", "tls"] {
        let entries = fs::read_dir(root.join(group)).expect("the cases are there");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("entries can be read").path()).collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).expect("cases can be read");
            let case = Case::parse(group, "case", &text).expect("cases are cases");
            if case.requests.is_empty() {
                continue;
            }
            stages.push(Stage { mesh: case.compiled().1, requests: case.requests });
        }
    }
    stages
});

/// A request of a case, changed at random: its path, headers, host, method and port.
fn requests() -> impl Strategy<Value = (usize, ProxyId, Dial, Request)> {
    let pick = any::<prop::sample::Index>;
    let header = (
        prop::sample::select(vec!["origin", "cookie", "x-a", "accept", "content-type", "x-forwarded-proto", "host"]),
        "[ -~]{0,12}",
    );
    let changed = (
        prop::option::of("/[a-z/.;%2eF\\\\?&=|]{0,24}"),
        prop::collection::vec(header, 0..4),
        prop::option::of("[a-zA-Z0-9.:*\\[\\]-]{0,16}"),
        prop::option::of(prop::sample::select(vec!["OPTIONS", "HEAD", "POST", "CONNECT", "brew"])),
        prop::option::of(prop::sample::select(vec![0_u16, 80, 443, 8080, 65535])),
        prop::option::of(prop::sample::select(vec![Inside::Bytes, Inside::Silence])),
    );
    (pick(), pick(), changed).prop_map(|(stage, request, (path, headers, authority, method, port, inside))| {
        let index = stage.index(STAGES.len());
        let stage = &STAGES[index];
        let asked = &stage.requests[request.index(stage.requests.len())];
        let proxy = stage.mesh.proxy_named(&asked.from).expect("cases name their proxies");
        let (mut dial, mut request) = (asked.dial.clone(), asked.request.clone());
        request.path = path.unwrap_or(request.path);
        request.authority = authority.unwrap_or(request.authority);
        request.method = method.map_or(request.method, str::to_owned);
        request.headers.extend(headers.into_iter().map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
        dial.port = port.unwrap_or(dial.port);
        if let Some(inside) = inside {
            dial.opening = Opening::Clear(inside);
        }
        (index, proxy, dial, request)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_draw_is_among_the_outcomes_and_they_add_up_to_one(
        (stage, proxy, dial, request) in requests(),
        stream: u64, delay: u64, abort: u64,
    ) {
        let mesh = &STAGES[stage].mesh;
        let all = outcomes(mesh, proxy, &dial, &request);
        let explanation = explain(mesh, proxy, &dial, &request);
        let decision = decide(mesh, proxy, &dial, &request, Chances { stream, delay, abort });
        prop_assert_eq!(decision.is_some(), matches!(explanation.connection, Conn::Http(_)));
        prop_assert_eq!(decision.is_some(), !all.is_empty());
        let Some(decision) = decision else { return Ok(()) };
        let sum = all.iter().fold(Probability::new(0, 1), |sum, (_, probability)| sum + *probability);
        prop_assert_eq!(sum, Probability::ONE);
        let http = explanation.http.expect("the connection is HTTP");
        prop_assert_eq!(http.selection, decision.selection);
        if let Ok(received) = Received::new(mesh.proxies[proxy.index()].spec.kind, &request) {
            let drawn = play(mesh, proxy, &received, &decision);
            prop_assert!(all.iter().any(|(outcome, _)| *outcome == drawn), "{drawn:?} not in {all:?}");
        }
    }

    #[test]
    fn a_normalised_path_stays_as_it_is(path in "/[ -~]{0,32}") {
        let Ok(once) = normalise(&path) else { return Ok(()) };
        let twice = normalise(&once).expect("what came out of normalisation can go in again");
        // An escaped percent sign may complete an escape; nothing else changes again.
        prop_assert!(twice == once || once.contains('%') || once.contains(';'), "{path} {once} {twice}");
    }
}

#[test]
fn a_request_in_clear_is_what_cases_send_by_default() {
    let stage = &STAGES[0];
    let asked = &stage.requests[0];
    let proxy = stage.mesh.proxy_named(&asked.from).expect("cases name their proxies");
    assert_eq!(asked.request.scheme, Scheme::Http);
    assert!(matches!(listen(&stage.mesh.proxies[proxy.index()], &asked.dial, &asked.request.authority), Conn::Http(_)));
}
