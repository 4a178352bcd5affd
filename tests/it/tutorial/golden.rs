//! Golden vectors: one configuration, one stream of requests, one expected result. Statistical ones
//! are held to intervals that a correct program misses once in a million runs.

use std::collections::BTreeMap;

use meshsim::analysis::tls_check;
use meshsim::diagnostic::Code;
use meshsim::time::Duration;

use super::a::{self, COOKIES};
use super::b::{ALL_V1, READER, START, bookinfo, stars, tour};
use super::k::{self, QA};
use super::n::version_2;
use super::r::{JASON_V2, states};
use crate::support::interval;
use crate::support::lab::text_of;
use crate::support::run::{all_scenarios, one_pod_each, scenario, story};
use crate::support::tally::Ask;

fn visitors(requests: u32) -> String {
    format!(
        "
clients:
  - name: visitor
    from: istio-ingressgateway
    request: {{url: \"http://www.example.com/\"}}
    traffic: {{rate: 100/s, requests: {requests}}}
"
    )
}

#[test]
fn g01_two_analytics_share_6000_requests_equally_and_alternate_for_each_app_pod() {
    let files = ["namespace.yaml", "workloads-1.0.yaml", "gateway.yaml", "steps/1-analytics-1.1.yaml"];
    let pods = one_pod_each(&text_of("aks-voting-app/mesh/workloads-1.0.yaml"));
    let report = a::voting(&files, &visitors(6000)).file("mesh/workloads-1.0.yaml", &pods).run();
    assert_eq!(report.calls().to("voting-analytics").versions(), BTreeMap::from([("1.0", 3000), ("1.1", 3000)]));
    for pod in report.calls().to("voting-app").workloads().into_keys() {
        let pod = pod.split('.').next().unwrap();
        let calls = report.calls().from(pod).to("voting-analytics");
        assert_eq!(calls.versions(), BTreeMap::from([("1.0", 1000), ("1.1", 1000)]), "{pod}");
    }
}

#[test]
fn g02_the_lock_down_leaves_analytics_1_1_only_and_every_tls_row_is_ok() {
    let report = scenario("aks-voting-app/scenario.yaml");
    let calls = report.calls().phase("locked-down").client("visitor").to("voting-analytics");
    assert_eq!(calls.versions(), BTreeMap::from([("1.1", 1000)]));
    let lab =
        a::lab(&["namespace.yaml", "workloads-1.0.yaml", "gateway.yaml", "steps/1-analytics-1.1.yaml", "steps/2-lock-down.yaml"]);
    let rows = tls_check(&lab.objects, &lab.mesh, lab.proxy_id("voting-app-1-0"));
    assert!(rows.iter().filter(|row| row.host.contains(".voting.")).all(|row| row.status == "OK"), "{rows:?}");
}

#[test]
fn g03_of_twenty_cookies_seven_lead_to_2_0() {
    let users: String = COOKIES
        .iter()
        .enumerate()
        .map(|(n, (cookie, _))| {
            let headers = cookie.map(|c| format!("headers: {{cookie: \"{c}\"}}, ")).unwrap_or_default();
            format!("      - {{name: \"{n}\", {headers}inTurn: 1}}\n")
        })
        .collect();
    let rest = visitors(20).replace("    traffic", &format!("    users:\n{users}    traffic"));
    let files = [
        "namespace.yaml",
        "workloads-1.0.yaml",
        "gateway.yaml",
        "steps/1-analytics-1.1.yaml",
        "steps/2-lock-down.yaml",
        "steps/3-feature-flag.yaml",
        "steps/4-workloads-2.0.yaml",
    ];
    let report = a::voting(&files, &rest).run();
    let versions: Vec<&str> = (0..COOKIES.len())
        .map(|n| *report.calls().user(&n.to_string()).to("voting-app").versions().keys().next().unwrap())
        .collect();
    for ((cookie, open), version) in COOKIES.iter().zip(&versions) {
        assert_eq!(*version, if *open { "2.0" } else { "1.0" }, "{cookie:?}");
    }
    assert_eq!(versions.iter().filter(|v| **v == "2.0").count(), 7);
    assert_eq!(versions.len(), 20);
}

#[test]
fn g04_no_call_crosses_from_one_generation_to_the_other() {
    let canary = || scenario("aks-voting-app/scenario.yaml").calls().phase("canary");
    assert_eq!(canary().client("tester").to("voting-app").versions(), BTreeMap::from([("2.0", 1000)]));
    assert_eq!(canary().client("visitor").to("voting-app").versions(), BTreeMap::from([("1.0", 1000)]));
    for (source, service, version) in [
        ("voting-app-2-0", "voting-analytics", "1.1"),
        ("voting-app-1-0", "voting-analytics", "2.0"),
        ("voting-app-1-0", "voting-storage", "2.0"),
        ("voting-app-2-0", "voting-storage", "1.0"),
        ("voting-analytics-1-1", "voting-storage", "2.0"),
        ("voting-analytics-2-0", "voting-storage", "1.0"),
    ] {
        assert_eq!(canary().from(source).to(service).version(version).arrived(), 0, "{source} to {service} {version}");
    }
}

#[test]
fn g05_everyone_is_on_2_0_and_deleting_1_0_costs_nothing() {
    let report = scenario("aks-voting-app/scenario.yaml");
    assert_eq!(report.calls().phase("everyone-2.0").to("voting-app").versions(), BTreeMap::from([("2.0", 2000)]));
    report.pages().phase("old-pods-deleted").all(2000, 200);
}

#[test]
fn g06_one_pod_in_five_gets_exactly_200_of_1000() {
    let report = k::website(&["steps/3-canary.yaml"], &visitors(1000)).run();
    assert_eq!(report.pages().label("blue").count(), 200);
}

#[test]
fn g07_a_pinned_subset_holds_at_the_gateway_and_not_in_the_mesh() {
    let phase = || scenario("website-canary/scenario.yaml").pages().phase("canary-deployed");
    assert_eq!(phase().client("visitor").label("blue").count(), 0);
    assert_eq!(phase().client("in-mesh").label("blue").count(), 200);
}

#[test]
fn g08_testers_get_503_until_the_subset_is_there_and_then_the_canary() {
    let phase = |name| scenario("website-canary/scenario.yaml").pages().phase(name);
    phase("header-too-early").client("tester").all(1000, 503);
    phase("header-too-early").client("visitor").label("green").all(1000, 200);
    phase("header").client("tester").label("blue").all(1000, 200);
    phase("header").client("visitor").label("green").all(1000, 200);
    assert_eq!(QA.iter().filter(|(_, _, canary)| *canary).count(), 4);
}

#[test]
fn g09_twenty_percent_of_10000_whatever_the_header() {
    let files = ["steps/3-canary.yaml", "steps/5-subsets-both.yaml", "steps/6-weights-20-80.yaml"];
    let plain = k::website(&files, &visitors(10_000)).run().pages().label("blue").count();
    assert!(interval::of(20, 10_000).contains(&plain), "{plain}");
    let with_header = visitors(10_000).replace("com/\"}", "com/\", headers: {qa: canary-test}}");
    let tester = k::website(&files, &with_header).run().pages().label("blue").count();
    assert_eq!(tester, plain, "the same draws");
}

#[test]
fn g10_a_wildcard_host_with_mesh_is_rejected() {
    let lab = k::lab(&["steps/1-subset-version-1.yaml", "steps/refused-wildcard-in-mesh.yaml"]);
    assert_eq!(lab.found(Code::RejectedObject).len(), 1, "{:?}", lab.findings);
}

#[test]
fn g11_the_loop_of_1000_heads_in_four_phases() {
    let report = scenario("nginx-gray-release/scenario.yaml");
    assert_eq!(version_2("v1"), 0);
    assert!(interval::of(30, 1000).contains(&version_2("v2-30")));
    assert!(interval::of(80, 1000).contains(&version_2("v2-80")));
    assert_eq!(version_2("v2-100"), 1000);
    for phase in &report.phases[..4] {
        assert_eq!(phase.ends.since(phase.begins), Duration::from_secs(1000));
    }
}

#[test]
fn g12_without_rules_each_kind_of_stars_is_a_third() {
    let phase = || tour().pages().phase("no-rules");
    assert_eq!(["none", "black", "red"].map(|label| phase().label(label).count()), [1000; 3]);
}

#[test]
fn g13_on_v1_there_are_no_stars_and_no_ratings() {
    let report = bookinfo(ALL_V1, READER).run();
    report.pages().label("none").all(1000, 200);
    assert_eq!(report.calls().to("ratings").arrived(), 0);
}

#[test]
fn g14_only_the_session_of_jason_sees_black_stars() {
    let rest = "
clients:
  - name: reader
    from: istio-ingressgateway
    request: {url: \"http://bookinfo.example.com/productpage\"}
    users:
      - {name: jason, cookies: {session: jason}, inTurn: 1}
      - {name: Jason, cookies: {session: Jason}, inTurn: 1}
      - {name: anonymous, inTurn: 1}
      - {name: raw-header, headers: {end-user: jason}, inTurn: 1}
    traffic: {rate: 10/s, requests: 40}
";
    let report = bookinfo(JASON_V2, rest).run();
    let seen = ["jason", "Jason", "anonymous", "raw-header"].map(|user| stars(&report, user));
    assert_eq!(seen, ["black", "none", "none", "none"]);
}

#[test]
fn g15_one_late_page_takes_6_s_and_leaves_two_answers_unread() {
    let rest =
        READER.replace("productpage\"}", "productpage\", cookies: {session: jason}}").replace("requests: 1000", "requests: 1");
    let report = bookinfo(&[JASON_V2, &["steps/ratings-delay.yaml"]].concat(), &rest).run();
    report.pages().label("reviews-unavailable").all(1, 200);
    report.pages().took(Duration::from_secs(6));
    report.calls().from("productpage-v1").to("details").all(1, 200);
    report.calls().from("productpage-v1").to("reviews").flags("DC").all(2, 0);
    let ratings = report.calls().from("reviews-v2").to("ratings");
    assert_eq!(ratings.arrived(), 2);
    ratings.all(2, 200);
    assert_eq!(report.ended_at.nanos(), 10_000_000_000, "the second orphan ends at 10 s");
}

#[test]
fn g16_a_thousand_other_pages_are_instant() {
    let others = || states().pages().phase("S3").client("others");
    others().label("none").all(1000, 200);
    others().took(Duration::ZERO);
}

#[test]
fn g17_an_abort_costs_the_ratings_only() {
    let jason = || states().pages().phase("S4").client("jason");
    jason().label("ratings-unavailable").all(1000, 200);
    jason().took(Duration::ZERO);
    assert!(!jason().labels().contains("black"));
    states().calls().phase("S4").client("jason").to("ratings").flags("FI").all(1000, 500);
}

#[test]
fn g18_half_and_then_all_pages_are_red() {
    let red = |phase| states().pages().phase(phase).client("others").label("red").count();
    assert!(interval::of(50, 1000).contains(&red("S6")));
    assert_eq!(red("S7"), 1000);
}

#[test]
fn g19_three_fixes_and_the_era_in_which_the_first_one_failed() {
    for (state, label, ms) in [("F1", "ratings-unavailable", 2500), ("F2", "red", 2000), ("F3", "black", 2000)] {
        let jason = || states().pages().phase(state).client("jason");
        jason().label(label).all(1000, 200);
        jason().took(Duration::from_millis(ms));
    }
    let old = || scenario("bookinfo-timeout-cascade/before-1.3.scenario.yaml").pages().phase("delay-7s").user("jason");
    old().label("reviews-unavailable").all(50, 200);
    old().took(Duration::from_secs(5));
}

#[test]
fn g20_every_half_second_of_delay_gives_the_closed_form() {
    let halves: Vec<u64> = (0..=30).map(|half| half * 500).filter(|ms| ![2500, 3000, 10_000].contains(ms)).collect();
    let steps: String = halves
        .iter()
        .map(|ms| {
            // A delay of 0 s is refused, as Istio refuses it.
            let fault = if *ms == 0 { "null".to_owned() } else { format!("{{delay: {{percentage: {{value: 100}}, fixedDelay: {ms}ms}}}}") };
            format!("  - {{phase: \"{ms}\", for: 60s, patch: [{{object: VirtualService/ratings, set: {{\"spec.http[0].fault\": {fault}}}}}]}}\n")
        })
        .collect();
    let text = format!(
        "
istio: latest
seed: 1
readyMade: [bookinfo]
mesh: [mesh/bookinfo.yaml, mesh/gateway.yaml, mesh/subsets.yaml, mesh/all-v1.yaml, mesh/steps/reviews-jason-v2.yaml, mesh/steps/ratings-delay-7s.yaml]
clients:
  - name: jason
    from: istio-ingressgateway
    request: {{url: \"http://bookinfo.example.com/productpage\", cookies: {{session: jason}}}}
    traffic: {{rate: 1/s, requests: 3}}
timeline:
{steps}"
    );
    let report = story("bookinfo-timeout-cascade", &text).run();
    for ms in halves {
        let page = || report.pages().phase(&ms.to_string());
        let (time, label) = if ms < 3000 { (ms, "black") } else { (6000, "reviews-unavailable") };
        page().label(label).all(3, 200);
        page().took(Duration::from_millis(time));
    }
}

/// A service named after its workload, with port 80 for HTTP, and a client pod.
fn service(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: {name}, image: {name}, ports: [{{containerPort: 80}}]}}]}}
---
"
    )
}

const DEFAULT_NAMESPACE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
";

#[test]
fn g21_t01_a_timeout_of_half_a_second_on_reviews_makes_a_page_of_one_second() {
    let rules = |timeout: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {{name: reviews}}
spec: {{hosts: [reviews], http: [{{{timeout}route: [{{destination: {{host: reviews, subset: v2}}}}]}}]}}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {{name: ratings}}
spec:
  hosts: [ratings]
  http: [{{fault: {{delay: {{percentage: {{value: 100}}, fixedDelay: 2s}}}}, route: [{{destination: {{host: ratings, subset: v1}}}}]}}]
"
        )
    };
    let page = READER.replace("requests: 1000", "requests: 10");
    let without = bookinfo(ALL_V1, &page).istio("latest").with_mesh("rules.yaml", &rules("")).run();
    without.pages().label("black").all(10, 200);
    without.pages().took(Duration::from_secs(2));
    let with = bookinfo(ALL_V1, &page).istio("latest").with_mesh("rules.yaml", &rules("timeout: 0.5s, ")).run();
    with.pages().label("reviews-unavailable").all(10, 200);
    with.pages().took(Duration::from_secs(1));
    let api = page.replace("/productpage", "/api/v1/products/0/reviews");
    bookinfo(ALL_V1, &api).istio("latest").with_mesh("rules.yaml", &rules("timeout: 0.5s, ")).run().pages().all(10, 504);
}

#[test]
fn g21_t04_half_of_the_calls_late_makes_three_kinds_of_pages() {
    let page = scenario("bookinfo-timeout-cascade/partial-faults.scenario.yaml").pages().phase("half-late");
    let times = page.times_ms();
    assert!(interval::of(50, 1000).contains(&times[&0]), "{times:?}");
    assert!(interval::of(25, 1000).contains(&times[&3000]), "{times:?}");
    assert!(interval::of(25, 1000).contains(&times[&6000]), "{times:?}");
}

#[test]
fn g21_t06_default_retries_hid_half_broken_ratings_between_1_1_and_1_23() {
    let faulty = text_of("bookinfo/mesh/bookinfo.yaml")
        .replace("name: ratings-v1", "name: ratings-v-faulty")
        .replace("{app: ratings, version: v1}", "{app: ratings, version: v-faulty}");
    let v3 = "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v3}}]}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v3, labels: {version: v3}}]}
";
    for (istio, per_million) in [("1.0", 500_000), ("1.1", 125_000), ("1.23", 125_000), ("1.24", 500_000), ("latest", 500_000)] {
        let report = bookinfo(START, READER).istio(istio).file("mesh/bookinfo.yaml", &faulty).with_mesh("v3.yaml", v3).run();
        let errors = report.pages().label("ratings-unavailable").count();
        assert!(interval::five_deviations(per_million, 1000).contains(&errors), "{istio}: {errors}");
    }
}

#[test]
fn g21_t09_retries_do_not_see_the_fault_of_their_own_route() {
    let rule = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: helloworld}
spec:
  hosts: [helloworld]
  http:
    - fault: {abort: {percentage: {value: 50}, httpStatus: 500}}
      retries: {attempts: 5, retryOn: 5xx}
      route: [{destination: {host: helloworld}}]
";
    let mesh = [DEFAULT_NAMESPACE, &service("helloworld"), &service("client"), rule].concat();
    let text = "
seed: 1
clients:
  - name: caller
    from: client
    request: {url: \"http://helloworld/hello\"}
    traffic: {rate: 100/s, requests: 1000}
";
    let report = story("", text).with_mesh("mesh.yaml", &mesh).run();
    let failed = report.pages().status(500).count();
    assert!(interval::of(50, 1000).contains(&failed), "{failed}");
}

#[test]
fn g21_t11_the_third_thread_burns_its_calls_at_a_full_connection_pool() {
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: httpbin}
spec:
  host: httpbin
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}}}
";
    let mesh = [DEFAULT_NAMESPACE, &service("httpbin"), &service("fortio"), rule].concat();
    let threads = |count: u32| {
        let clients: String = (0..count)
            .map(|n| {
                format!("  - {{name: thread-{n}, from: fortio, request: {{url: \"http://httpbin/get\"}}, traffic: {{closedLoop: {{users: 1}}, requests: 10}}}}\n")
            })
            .collect();
        let text = format!("seed: 1\napps: [{{workloads: [httpbin], handlers: [{{serviceTime: 10ms}}]}}]\nclients:\n{clients}");
        story("", &text).with_mesh("mesh.yaml", &mesh).run()
    };
    threads(1).pages().all(10, 200);
    threads(2).pages().all(20, 200);
    let three = threads(3);
    assert_eq!(three.pages().statuses(), BTreeMap::from([(200, 20), (503, 10)]));
    assert_eq!(three.pages().flags("UO").count(), 10);
}

#[test]
fn g21_t15_traffic_fails_over_from_locality_to_locality_and_each_step_costs_one_call() {
    let localities = ["region1.zone1", "region1.zone2", "region2.zone3", "region3.zone4"];
    let pod = |name: &str, app: &str, locality: &str| {
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{name: {name}}}}}
  template:
    metadata: {{labels: {{app: {app}, name: {name}, istio-locality: {locality}}}}}
    spec: {{containers: [{{name: app, image: app, ports: [{{containerPort: 80}}]}}]}}
---
"
        )
    };
    let mut mesh = DEFAULT_NAMESPACE.to_owned();
    mesh += "
apiVersion: v1
kind: Service
metadata: {name: helloworld}
spec: {selector: {app: helloworld}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: helloworld}
spec:
  host: helloworld
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN, localityLbSetting: {enabled: true, failover: [{from: region1, to: region2}]}}
    outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 10m, maxEjectionPercent: 100}
---
";
    mesh += &pod("client", "client", localities[0]);
    let mut apps = "apps:\n".to_owned();
    for (n, locality) in localities.iter().enumerate() {
        let name = format!("hello-{}", n + 1);
        mesh += &pod(&name, "helloworld", locality);
        // The n-th locality breaks n hundred seconds into the run.
        let breaks = if n < 3 { format!("{{everyOther: {}s, status: 503}}, ", (n + 1) * 100) } else { String::new() };
        apps += &format!("  - {{workloads: [{name}], handlers: [{{reply: [{breaks}{{}}]}}]}}\n");
    }
    let text = format!(
        "seed: 1\n{apps}clients:\n  - {{name: caller, from: client, request: {{url: \"http://helloworld/\"}}, traffic: {{rate: 1/s, duration: 100s}}}}\ntimeline:\n{}",
        ["first", "second", "third", "fourth"].map(|phase| format!("  - {{phase: {phase}, for: 100s}}\n")).concat()
    );
    let report = story("", &text).with_mesh("mesh.yaml", &mesh).run();
    report.pages().phase("first").all(100, 200);
    for (n, phase) in ["first", "second", "third", "fourth"].into_iter().enumerate() {
        let failed = u64::from(n > 0);
        assert_eq!(report.pages().phase(phase).status(503).count(), failed, "{phase}: the call that finds out");
        let here = report.calls().phase(phase).workload(&format!("hello-{}", n + 1));
        assert_eq!(here.arrived(), 100 - failed, "{phase}");
    }
}

#[test]
fn g21_t18_a_route_timeout_cuts_a_slow_external_host() {
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: httpbin-ext}
spec: {hosts: [httpbin.org], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS, location: MESH_EXTERNAL}
---
";
    let limit = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: httpbin-ext}
spec: {hosts: [httpbin.org], http: [{timeout: 3s, route: [{destination: {host: httpbin.org}}]}]}
";
    let text = "
seed: 1
apps: [{hosts: [httpbin.org], handlers: [{serviceTime: 5s}]}]
clients:
  - {name: caller, from: client, request: {url: \"http://httpbin.org/delay/5\"}, traffic: {rate: 1/s, requests: 10}}
";
    let mesh = [DEFAULT_NAMESPACE, &service("client"), entry].concat();
    let before = story("", text).with_mesh("mesh.yaml", &mesh).run();
    before.pages().all(10, 200);
    before.pages().took(Duration::from_secs(5));
    let after = story("", text).with_mesh("mesh.yaml", &mesh).with_mesh("limit.yaml", limit).run();
    after.pages().flags("UT").all(10, 504);
    after.pages().took(Duration::from_secs(3));
}

#[test]
fn g22_every_scenario_gives_the_same_bytes_twice_on_one_and_on_eight_threads() {
    for path in all_scenarios() {
        let reports = [1, 8].map(|threads| crate::support::run::json_on_threads(&path, threads));
        assert_eq!(reports[0], reports[1], "{path}");
        assert_eq!(reports[0], crate::support::run::json(scenario(&path)), "{path}");
    }
}

#[test]
fn g22_the_program_prints_the_same_bytes_in_any_directory() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/bookinfo-timeout-cascade");
    let print = || {
        let elsewhere = tempfile::tempdir().expect("a directory of its own");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_meshsim"))
            .args(["run", "--no-charts", "-o", "json", scenario])
            .current_dir(elsewhere.path())
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let first = print();
    assert!(!first.is_empty());
    assert_eq!(first, print());
}
