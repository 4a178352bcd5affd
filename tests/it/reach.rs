//! Which routes requests reach: what is called dead is never hit, and what is called live is hit by
//! the request that comes with it.

use meshsim::analysis::space::{Reach, Reaches, Space, ways};
use meshsim::mesh::{Mesh, ProxyId, RouteTableId};
use meshsim::routing::{Chances, Conn, Verdict, decide, listen, select};
use rayon::prelude::*;

use crate::conformance::cases;

/// The answers about all routes of a proxy.
fn reaches(mesh: &Mesh, proxy: ProxyId) -> Vec<((RouteTableId, usize, usize), Reach)> {
    let configured = &mesh.proxies[proxy.index()];
    let (ways, mut space, mut all) = (ways(configured), Space::new(), Vec::new());
    for (table, routes) in configured.route_tables.iter().enumerate() {
        let table = RouteTableId::new(table);
        for (host, virtual_host) in routes.virtual_hosts.iter().enumerate() {
            let reaches = Reaches::new(&mut space, configured, &ways, table, host);
            all.extend((0..virtual_host.routes.len()).map(|route| ((table, host, route), reaches.of(&mut space, route))));
        }
    }
    all
}

#[derive(Debug, Default)]
struct Counts {
    live: usize,
    dead: usize,
    undecided: Vec<String>,
    hits: usize,
}

#[test]
fn no_measured_request_hits_a_dead_route_and_every_live_route_has_a_request_that_hits_it() {
    let check = |case: &meshsim::conformance::Case| {
        let (_, mesh, _) = case.compiled();
        let mut counts = Counts::default();
        for (index, configured) in mesh.proxies.iter().enumerate() {
            let proxy = ProxyId::new(index);
            let answers = reaches(&mesh, proxy);
            for ((table, host, route), reach) in &answers {
                let at = format!("{}/{} {} {} {host} {route}", case.group, case.name, configured.spec.name, table.index());
                match reach {
                    Reach::Live(witness) => {
                        counts.live += 1;
                        let chances = Chances { stream: 0, delay: 0, abort: 0 };
                        let decision = decide(&mesh, proxy, &witness.dial, &witness.request, chances).expect("it is HTTP");
                        let hit = Verdict::Route { host: *host as u32, route: *route as u32 };
                        assert_eq!((decision.selection.table, decision.selection.verdict), (*table, hit), "{at} {witness:?}");
                    }
                    Reach::Undecided(why) => counts.undecided.push(format!("{at}: {why}")),
                    Reach::Shadowed(_) | Reach::Impossible | Reach::Cut => counts.dead += 1,
                }
            }
            for asked in case.requests.iter().filter(|asked| asked.from == configured.spec.name) {
                let Conn::Http(http) = listen(configured, &asked.dial, &asked.request.authority) else { continue };
                let selection = select(configured, http.table, &asked.request);
                let Verdict::Route { host, route } = selection.verdict else { continue };
                let place = (http.table, host as usize, route as usize);
                let (_, reach) = answers.iter().find(|(own, _)| *own == place).expect("every route has an answer");
                assert!(
                    matches!(reach, Reach::Live(_) | Reach::Undecided(_)),
                    "{}/{} {}: {reach:?}",
                    case.group,
                    case.name,
                    asked.id
                );
                counts.hits += 1;
            }
        }
        counts
    };
    let counts: Vec<Counts> = cases().par_iter().map(check).collect();
    let sum = |of: fn(&Counts) -> usize| counts.iter().map(of).sum::<usize>();
    let undecided: Vec<&String> = counts.iter().flat_map(|count| &count.undecided).collect();
    assert_eq!(undecided, Vec::<&String>::new());
    assert!(sum(|c| c.hits) > 3000 && sum(|c| c.live) > 5000 && sum(|c| c.dead) > 300);
}
