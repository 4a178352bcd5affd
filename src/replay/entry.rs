//! One line of an access log.

use serde_json::Value as Json;

use crate::routing::{Request, Scheme};

/// What a line says about a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogEntry {
    /// Method.
    pub method: String,
    /// Path with query, as it was before any rewrite.
    pub path: String,
    /// Authority.
    pub authority: String,
    /// Status.
    pub status: u16,
    /// Response flags, `-` for none.
    pub flags: String,
    /// The cluster it went to, if the format says so.
    pub cluster: Option<String>,
    /// Port that was dialled, if the format says so.
    pub port: Option<u16>,
    /// Server name of the client's TLS, if there was any.
    pub server_name: Option<String>,
    /// Headers that the format records, lower-case.
    pub headers: Vec<(String, String)>,
}

/// Why a line is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It has another shape.
    #[error("neither Envoy's or Istio's default format nor JSON")]
    Format,
    /// It is JSON without what a request needs.
    #[error("JSON without method, path or authority")]
    Fields,
    /// It is about bytes.
    #[error("about a connection without HTTP")]
    NotHttp,
}

/// Fields of the defaults behind the request line: Envoy's, and Istio's, which has more.
const ENVOY_FIELDS: usize = 11;
const ISTIO_FIELDS: usize = 20;

impl LogEntry {
    /// Reads a line.
    ///
    /// # Errors
    /// It is no line about an HTTP request.
    pub fn parse(line: &str) -> Result<Self, LogError> {
        let line = line.trim();
        if line.starts_with('{') {
            return Self::of_json(&serde_json::from_str(line).map_err(|_| LogError::Format)?);
        }
        // Logs of a cluster have the pod's name and other words before the line itself.
        let start = line.find('[').ok_or(LogError::Format)?;
        let fields = fields(&line[start..]).ok_or(LogError::Format)?;
        Self::of_fields(&fields)
    }

    fn of_fields(fields: &[String]) -> Result<Self, LogError> {
        let [_, request, rest @ ..] = fields else { return Err(LogError::Format) };
        let mut words = request.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(LogError::Format) };
        let at = |index: usize| rest.get(index).map_or("-", String::as_str);
        let known = |text: &str| (text != "-" && !text.is_empty()).then(|| text.to_owned());
        // Istio's default tells details, termination and the upstream's failure after the flags.
        let (shift, is_istio) = match rest.len() {
            ENVOY_FIELDS => (0, false),
            ISTIO_FIELDS => (3, true),
            _ => return Err(LogError::Format),
        };
        let headers = [("x-forwarded-for", 6), ("user-agent", 7), ("x-request-id", 8)];
        let entry = LogEntry {
            method: method.to_owned(),
            path: path.to_owned(),
            authority: at(shift + 9).to_owned(),
            status: at(0).parse().map_err(|_| LogError::Format)?,
            flags: at(1).to_owned(),
            cluster: known(at(shift + 11)).filter(|_| is_istio),
            port: known(at(shift + 13)).filter(|_| is_istio).and_then(|address| port_of(&address)),
            server_name: known(at(shift + 15)).filter(|_| is_istio),
            headers: headers.into_iter().filter_map(|(name, index)| Some((name.to_owned(), known(at(shift + index))?))).collect(),
        };
        entry.checked()
    }

    fn of_json(json: &Json) -> Result<Self, LogError> {
        let text = |names: &[&str]| -> Option<String> {
            let value = names.iter().find_map(|name| json.get(name))?;
            let text = value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))?;
            (text != "-" && !text.is_empty()).then_some(text)
        };
        let needed = |names: &[&str]| text(names).ok_or(LogError::Fields);
        let mut headers = Vec::new();
        for (name, keys) in [
            ("x-forwarded-for", &["x_forwarded_for", "x-forwarded-for"][..]),
            ("user-agent", &["user_agent", "user-agent"]),
            ("x-request-id", &["request_id", "x_request_id", "x-request-id"]),
        ] {
            headers.extend(text(keys).map(|value| (name.to_owned(), value)));
        }
        // A log that was made to keep headers has them in a mapping.
        if let Some(more) = json.get("request_headers").or_else(|| json.get("headers")).and_then(Json::as_object) {
            for (name, value) in more.iter().filter(|(name, _)| !name.starts_with(':')) {
                headers.extend(value.as_str().map(|value| (name.to_ascii_lowercase(), value.to_owned())));
            }
        }
        let address = text(&["downstream_local_address"]);
        let entry = LogEntry {
            method: needed(&["method", ":method", "request_method"])?,
            path: needed(&["path", "x_envoy_original_path", ":path", "request_path"])?,
            authority: needed(&["authority", ":authority", "host"])?,
            status: needed(&["response_code", "status"])?.parse().map_err(|_| LogError::Fields)?,
            flags: text(&["response_flags"]).unwrap_or_else(|| "-".to_owned()),
            cluster: text(&["upstream_cluster"]),
            port: address.and_then(|address| port_of(&address)),
            server_name: text(&["requested_server_name"]),
            headers,
        };
        entry.checked()
    }

    fn checked(self) -> Result<Self, LogError> {
        if self.method == "-" || self.path == "-" { Err(LogError::NotHttp) } else { Ok(self) }
    }

    /// Whether the line was written where the request arrived, not where it was sent.
    #[must_use]
    pub fn is_inbound(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.starts_with("inbound|"))
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            method: self.method.clone(),
            scheme: if self.server_name.is_some() { Scheme::Https } else { Scheme::Http },
            authority: self.authority.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
        }
    }
}

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

/// The fields of a line: `[…]` and `"…"` are one each.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (field, after) = match rest.as_bytes()[0] {
            b'[' => rest[1..].split_once(']')?,
            b'"' => rest[1..].split_once('"')?,
            _ => rest.split_once(' ').unwrap_or((rest, "")),
        };
        fields.push(field.to_owned());
        rest = after.trim_start_matches(' ');
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVOY: &str =
        r#"[2026-01-02T03:04:05.006Z] "GET /a?b HTTP/1.1" 200 - 0 2 7 6 "10.0.0.9" "curl/8 (x)" "id-1" "app:80" "10.0.0.1:8080""#;
    const ISTIO: &str = r#"page-1 istio-proxy [2026-01-02T03:04:05.006Z] "POST /a HTTP/2" 503 NC cluster_not_found - "-" 0 0 0 - "-" "curl/8" "id-2" "app" "-" - - 10.1.2.3:9080 10.0.0.9:1 - default"#;
    const SECURE: &str = r#"[t] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 2 7 6 "-" "-" "-" "a.test" "10.0.0.1:8080" outbound|80|v1|app.default.svc.cluster.local 10.0.0.2:5 10.0.0.3:8443 10.0.0.9:1 a.test -"#;
    const JSON: &str = r#"{"method":"GET","path":"/a","authority":"app","response_code":200,"response_flags":"-","upstream_cluster":"inbound|80||","headers":{"X-User":"jo",":path":"/a"},"downstream_local_address":"10.0.0.3:80"}"#;

    #[test]
    fn lines_are_read_in_each_format() {
        let envoy = LogEntry::parse(ENVOY).unwrap();
        assert_eq!(
            (envoy.method.as_str(), envoy.path.as_str(), envoy.authority.as_str(), envoy.status),
            ("GET", "/a?b", "app:80", 200)
        );
        assert_eq!(envoy.headers.len(), 3);
        assert_eq!((envoy.cluster, envoy.port), (None, None));
        let istio = LogEntry::parse(ISTIO).unwrap();
        assert_eq!((istio.status, istio.flags.as_str(), istio.authority.as_str(), istio.port), (503, "NC", "app", Some(9080)));
        assert_eq!(istio.request().header("user-agent"), Some("curl/8"));
        let secure = LogEntry::parse(SECURE).unwrap();
        assert_eq!(secure.cluster.as_deref(), Some("outbound|80|v1|app.default.svc.cluster.local"));
        assert_eq!((secure.server_name.as_deref(), secure.request().scheme), (Some("a.test"), Scheme::Https));
        let json = LogEntry::parse(JSON).unwrap();
        assert!(json.is_inbound());
        assert_eq!((json.request().header("x-user"), json.port), (Some("jo"), Some(80)));
    }

    #[test]
    fn what_is_no_request_is_told() {
        for (line, error) in [
            ("", LogError::Format),
            ("hello", LogError::Format),
            ("[t] \"GET / HTTP/1.1\" 200", LogError::Format),
            ("[t] \"GET / HTTP/1.1", LogError::Format),
            ("{\"method\": \"GET\"}", LogError::Fields),
            ("{", LogError::Format),
            (&ENVOY.replace("GET /a?b HTTP/1.1", "- - -"), LogError::NotHttp),
            (&ENVOY.replace(" 200 ", " two "), LogError::Format),
        ] {
            assert_eq!(LogEntry::parse(line), Err(error), "{line}");
        }
    }
}
