//! The table of `istioctl authn tls-check`, column by column as Istio 1.1 printed it.

use crate::analysis::TlsCheckRow;
use crate::text::width;

const HEAD: [&str; 6] = ["HOST:PORT", "STATUS", "SERVER", "CLIENT", "AUTHN POLICY", "DESTINATION RULE"];

/// Blanks between two columns.
const PADDING: usize = 5;

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
    let table: Vec<[String; 6]> = std::iter::once(HEAD.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
    let widths: Vec<usize> =
        (0..HEAD.len()).map(|column| table.iter().map(|row| width(&row[column])).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &table {
        for (cell, wanted) in row.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', wanted + PADDING - width(cell)));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
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
