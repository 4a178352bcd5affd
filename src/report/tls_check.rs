//! The table of `istioctl authn tls-check`, column by column as Istio 1.1 printed it.

use super::columns::columns;
use crate::analysis::TlsCheckRow;

const HEAD: [&str; 6] = ["HOST:PORT", "STATUS", "SERVER", "CLIENT", "AUTHN POLICY", "DESTINATION RULE"];

/// The table, with its head.
#[must_use]
pub fn tls_check(rows: &[TlsCheckRow]) -> String {
    let cells = |row: &TlsCheckRow| {
        [
            format!("{}:{}", row.host, row.port),
            row.status.to_owned(),
            row.server.to_owned(),
            row.client.to_owned(),
            row.policy.clone(),
            row.rule.clone(),
        ]
    };
    columns(HEAD, rows.iter().map(cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_five_blanks_apart() {
        let row = TlsCheckRow {
            host: "httpbin.default.svc.cluster.local".to_owned(),
            port: 8000,
            status: "CONFLICT",
            server: "mTLS",
            client: "HTTP",
            policy: "default/".to_owned(),
            rule: "httpbin/default".to_owned(),
        };
        let expected = "\
HOST:PORT                                  STATUS       SERVER     CLIENT     AUTHN POLICY     DESTINATION RULE
httpbin.default.svc.cluster.local:8000     CONFLICT     mTLS       HTTP       default/         httpbin/default
";
        assert_eq!(tls_check(&[row]), expected);
    }
}
