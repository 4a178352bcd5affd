//! Whose request it is, by the tokens that it carries (Envoy: `envoy.filters.http.jwt_authn`, as the
//! control plane sets it up: a token is not asked for, but one that is there must be good).

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::matching::join;
use super::path::split_query;
use super::request::Request;
use super::token::{ReadToken, Token, TokenRefusal, TokenStanding, encoded};
use crate::mesh::authorization::Issuer;
use crate::mesh::{Proxy, ProxyKind};

/// A request after its tokens were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated<'r> {
    /// With the headers that reading adds and takes away.
    pub request: Cow<'r, Request>,
    /// The claims of its token, if there is one.
    pub claims: Option<Map<String, Json>>,
}

impl<'r> Authenticated<'r> {
    /// A request that nobody looked at.
    #[must_use]
    pub const fn untouched(request: &'r Request) -> Self {
        Authenticated { request: Cow::Borrowed(request), claims: None }
    }
}

/// A request as the routes of a proxy see it: gateways read tokens before they look for a route. One
/// that the gateway refuses is left as it is; whether it is refused is asked elsewhere.
#[must_use]
pub fn at_routes<'r>(proxy: &Proxy, request: &'r Request) -> Authenticated<'r> {
    if proxy.spec.kind == ProxyKind::Sidecar {
        return Authenticated::untouched(request);
    }
    authenticate(&proxy.inbound.authorization.issuers, request).unwrap_or_else(|_| Authenticated::untouched(request))
}

/// Reads the tokens of a request. Each issuer looks where it is told to; the first one that is
/// content decides. If there are tokens and nobody is content, the request is refused.
///
/// # Errors
/// Why it is refused.
pub fn authenticate<'r>(issuers: &[Issuer], request: &'r Request) -> Result<Authenticated<'r>, TokenRefusal> {
    if issuers.is_empty() || is_preflight(request) {
        return Ok(Authenticated::untouched(request));
    }
    let mut seen = Authenticated::untouched(request);
    let mut failures = Vec::with_capacity(issuers.len());
    for issuer in issuers {
        seen.clean(issuer);
        match seen.verify(issuer, Strictness::EveryToken) {
            Ok(Found::Token) => return Ok(seen),
            Ok(Found::Nothing) => {}
            Err(failure) => failures.push(failure),
        }
    }
    // The second way in: everybody has nothing to say against the first token that they find.
    if failures.is_empty() || issuers.iter().all(|issuer| seen.verify(issuer, Strictness::FirstToken).is_ok()) {
        return Ok(seen);
    }
    let says_more = |failure: &&TokenRefusal| **failure != TokenRefusal::Issuer;
    Err(failures.iter().find(says_more).or(failures.first()).copied().unwrap_or(TokenRefusal::Issuer))
}

/// Preflights carry no credentials (Envoy: `bypass_cors_preflight`).
fn is_preflight(request: &Request) -> bool {
    let has = |name: &str| request.header(name).is_some_and(|value| !value.is_empty());
    request.method == "OPTIONS" && has("origin") && has("access-control-request-method")
}

/// Which of several tokens at the places of one issuer must be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// All of them.
    EveryToken,
    /// The first, which is looked at last.
    FirstToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Token,
}

/// Where a token was found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Header(String),
    Parameter(String),
    Cookie,
}

impl Authenticated<'_> {
    /// Headers that tell of tokens are the proxy's own, whoever sent them.
    fn clean(&mut self, issuer: &Issuer) {
        let own = || issuer.payload_header.iter().chain(issuer.claim_headers.iter().map(|(header, _)| header));
        if own().any(|header| self.request.header(header).is_some()) {
            self.request.to_mut().headers.retain(|(name, _)| own().all(|header| header != name));
        }
    }

    /// Verifies the tokens at the places of one issuer, the last place first.
    fn verify(&mut self, issuer: &Issuer, strictness: Strictness) -> Result<Found, TokenRefusal> {
        let mut result = Ok(Found::Nothing);
        for (place, text) in places(issuer, &self.request).into_iter().rev() {
            result = accepted(issuer, &text).map(|read| {
                self.take(issuer, &place, &read);
                Found::Token
            });
            if result.is_err() && strictness == Strictness::EveryToken {
                return result;
            }
        }
        result
    }

    /// What a good token does to its request.
    fn take(&mut self, issuer: &Issuer, place: &Place, read: &ReadToken<'_>) {
        if let Some(header) = &issuer.payload_header {
            self.add(header, read.payload.to_owned());
        }
        for (header, name) in &issuer.claim_headers {
            if let Some(text) = nested(&read.token.claims, name).and_then(header_text).filter(|text| !text.is_empty()) {
                self.add(header, text);
            }
        }
        if !issuer.forward {
            match place {
                Place::Header(name) => self.request.to_mut().headers.retain(|(key, _)| key != name),
                Place::Parameter(name) => {
                    let path = without_parameter(&self.request.path, name);
                    self.request.to_mut().path = path;
                }
                // Envoy leaves cookies alone.
                Place::Cookie => {}
            }
        }
        self.claims = Some(normalised(issuer, &read.token.claims));
    }

    fn add(&mut self, header: &str, value: String) {
        self.request.to_mut().headers.push((header.to_owned(), value));
    }
}

/// Where one issuer's tokens may be, with what is there: headers by name, then parameters, then
/// cookies.
fn places(issuer: &Issuer, request: &Request) -> Vec<(Place, String)> {
    let mut found = Vec::new();
    let mut headers: Vec<(&str, &str)> =
        issuer.from_headers.iter().map(|(name, prefix)| (name.as_str(), prefix.as_str())).collect();
    let mut parameters: Vec<&str> = issuer.from_params.iter().map(String::as_str).collect();
    if issuer.looks_at_defaults() {
        headers.push(("authorization", "Bearer "));
        parameters.push("access_token");
    }
    headers.sort_by_key(|(name, prefix)| format!("{name}{prefix}"));
    headers.dedup();
    for (name, prefix) in headers {
        for line in lines(request, name) {
            let Some(start) = line.find(prefix).filter(|_| !prefix.is_empty()).map(|at| at + prefix.len()) else {
                if prefix.is_empty() {
                    found.push((Place::Header(name.to_owned()), line));
                }
                continue;
            };
            let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let skipped = line.as_bytes()[start..].iter().position(|byte| is_of_token(*byte));
            let text = skipped.map_or(line.as_str(), |skipped| &line[start + skipped..]);
            found.push((Place::Header(name.to_owned()), text.to_owned()));
        }
    }
    parameters.sort_unstable();
    parameters.dedup();
    for name in parameters {
        let pairs = split_query(&request.path).1.trim_start_matches('?').split('&');
        let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        found.extend(value.map(|(_, value)| (Place::Parameter(name.to_owned()), value.to_owned())));
    }
    let mut cookies: Vec<&String> = issuer.from_cookies.iter().collect();
    cookies.sort_unstable();
    cookies.dedup();
    found.extend(cookies.into_iter().filter_map(|name| Some((Place::Cookie, request.cookie(name)?.to_owned()))));
    found
}

/// The values of a header as filters see them.
fn lines(request: &Request, name: &str) -> Vec<String> {
    let mut all: Vec<String> = request.lines(name).map(str::to_owned).collect();
    if super::matching::is_joined(name) && all.len() > 1 {
        let joined = all.iter().fold(String::new(), |mut joined, line| {
            join(&mut joined, line);
            joined
        });
        all = vec![joined];
    }
    all
}

/// The path without a query parameter.
fn without_parameter(path: &str, name: &str) -> String {
    let (bare, query) = split_query(path);
    let pairs = query.trim_start_matches('?').split('&');
    let rest: Vec<&str> = pairs.filter(|pair| pair.split('=').next() != Some(name)).collect();
    if rest.is_empty() { bare.to_owned() } else { format!("{bare}?{}", rest.join("&")) }
}

/// A token that this issuer is content with.
fn accepted<'t>(issuer: &Issuer, text: &'t str) -> Result<ReadToken<'t>, TokenRefusal> {
    let read = Token::read(text)?;
    let claims = &read.token.claims;
    if claims.get("iss").and_then(Json::as_str).unwrap_or("") != issuer.name {
        return Err(TokenRefusal::Issuer);
    }
    match read.token.standing {
        TokenStanding::NotYetValid => return Err(TokenRefusal::NotYetValid),
        TokenStanding::Expired => return Err(TokenRefusal::Expired),
        TokenStanding::Valid | TokenStanding::Forged => {}
    }
    let is_for = |audience: &String| {
        let own = claims.get("aud").into_iter().flat_map(super::token::claim_texts);
        own.into_iter().any(|own| bare_audience(own) == bare_audience(audience))
    };
    if !issuer.audiences.is_empty() && !issuer.audiences.iter().any(is_for) {
        return Err(TokenRefusal::Audience);
    }
    match read.token.standing {
        TokenStanding::Forged => Err(TokenRefusal::Signature),
        _ => Ok(read),
    }
}

/// Audiences are compared without scheme and closing slash (jwt_verify_lib: `sanitizeAudience`).
fn bare_audience(audience: &str) -> &str {
    let bare = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://")).unwrap_or(audience);
    bare.strip_suffix('/').unwrap_or(bare)
}

/// A claim by its name with dots between the levels.
fn nested<'c>(claims: &'c Map<String, Json>, name: &str) -> Option<&'c Json> {
    claims.get(name).or_else(|| {
        let keys: Vec<String> = name.split('.').map(str::to_owned).collect();
        super::token::claim(claims, &keys)
    })
}

/// A claim as a header says it: what is no text, number or truth value in base64.
fn header_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(match number.as_u64() {
            Some(whole) => whole.to_string(),
            None => format!("{:.6}", number.as_f64()?),
        }),
        Json::Bool(truth) => Some(truth.to_string()),
        Json::Array(_) | Json::Object(_) => Some(encoded(&value.to_string())),
        Json::Null => None,
    }
}

/// Claims that hold several words are lists to whoever compares them (Envoy:
/// `normalize_payload_in_metadata`).
fn normalised(issuer: &Issuer, claims: &Map<String, Json>) -> Map<String, Json> {
    let mut claims = claims.clone();
    let own = issuer.space_delimited.iter().map(String::as_str);
    for name in ["scope", "permission"].into_iter().chain(own) {
        if let Some(Json::String(words)) = claims.get(name) {
            let words: Vec<Json> = words.split(' ').filter(|word| !word.is_empty()).map(Json::from).collect();
            claims.insert(name.to_owned(), Json::Array(words));
        }
    }
    claims
}

/// Puts a token where a request carries it for an issuer: in the header `authorization`, or at the
/// first place where it is looked for if that is not one of them.
pub fn carry(request: &mut Request, token: &Token, issuer: Option<&Issuer>) {
    let text = token.text();
    let Some(issuer) = issuer.filter(|issuer| !issuer.looks_at_defaults()) else {
        request.headers.push(("authorization".to_owned(), format!("Bearer {text}")));
        return;
    };
    if let Some((name, prefix)) = issuer.from_headers.first() {
        request.headers.push((name.clone(), format!("{prefix}{text}")));
    } else if let Some(name) = issuer.from_params.first() {
        request.add_parameter(name, &text);
    } else if let Some(name) = issuer.from_cookies.first() {
        request.headers.push(("cookie".to_owned(), format!("{name}={text}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Scheme;
    use serde_json::json;

    fn token(issuer: &str, standing: TokenStanding) -> String {
        let claims = json!({"iss": issuer, "sub": "me", "aud": "web", "groups": ["g1", "g2"], "n": 7, "deep": {"er": "z"}});
        Token { claims: claims.as_object().unwrap().clone(), standing }.text()
    }

    fn good(issuer: &str) -> String {
        token(issuer, TokenStanding::Valid)
    }

    fn request(path: &str, headers: &[(&str, &str)]) -> Request {
        Request {
            method: "GET".to_owned(),
            scheme: Scheme::Http,
            authority: "web".to_owned(),
            path: path.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn issuer(name: &str) -> Issuer {
        Issuer { name: name.to_owned(), ..Issuer::default() }
    }

    fn elsewhere(name: &str) -> Issuer {
        Issuer {
            from_headers: vec![("x-jwt".to_owned(), "tok ".to_owned())],
            from_params: vec!["t".to_owned()],
            from_cookies: vec!["c".to_owned()],
            ..issuer(name)
        }
    }

    /// What comes of a request: the issuer of the token that was read, or nothing, or why not.
    fn outcome(issuers: &[Issuer], request: &Request) -> Result<Option<String>, TokenRefusal> {
        let seen = authenticate(issuers, request)?;
        Ok(seen.claims.map(|claims| claims["iss"].as_str().unwrap().to_owned()))
    }

    /// Measured on Envoy 1.40, with the configuration that the control plane makes.
    #[test]
    fn a_token_is_not_asked_for_but_must_be_good() {
        use TokenRefusal::{
            Audience, Expired, Format, HeaderEncoding, Issuer as Unknown, NotYetValid, Signature, SignatureEncoding,
        };
        let web = Issuer { audiences: vec!["web".to_owned()], ..issuer("i1") };
        let other = Issuer { audiences: vec!["other".to_owned()], ..issuer("i1") };
        let slash = Issuer { audiences: vec!["https://web/".to_owned()], ..issuer("i1") };
        let two = [issuer("i1"), issuer("i2")];
        let bearer = |token: String| vec![("authorization", format!("Bearer {token}"))];
        let some = |issuer: &str| Ok(Some(issuer.to_owned()));
        let one = std::slice::from_ref::<Issuer>;
        for (issuers, headers, expected) in [
            (one(&web), vec![], Ok(None)),
            (one(&web), bearer(good("i1")), some("i1")),
            (one(&web), vec![("authorization", "Basic abc".to_owned())], Ok(None)),
            (one(&web), vec![("authorization", format!("bearer {}", good("i1")))], Ok(None)),
            (one(&web), bearer("x".to_owned()), Err(Format)),
            (one(&web), bearer(good("i2")), Err(Unknown)),
            (one(&web), bearer(token("i2", TokenStanding::Expired)), Err(Unknown)),
            (one(&web), bearer(token("i1", TokenStanding::Expired)), Err(Expired)),
            (one(&web), bearer(token("i1", TokenStanding::NotYetValid)), Err(NotYetValid)),
            (one(&web), bearer(token("i1", TokenStanding::Forged)), Err(Signature)),
            (one(&other), bearer(token("i1", TokenStanding::Forged)), Err(Audience)),
            (one(&slash), bearer(good("i1")), some("i1")),
            (one(&web), [bearer(good("i1")), bearer("x".to_owned())].concat(), Err(SignatureEncoding)),
            (one(&web), [bearer("x".to_owned()), bearer(good("i1"))].concat(), Err(HeaderEncoding)),
            (&two, bearer(good("i2")), some("i2")),
            (&two, bearer(good("i3")), Err(Unknown)),
            (&two, bearer(token("i2", TokenStanding::Expired)), Err(Expired)),
            (&two, bearer("x".to_owned()), Err(Format)),
            (&two, vec![], Ok(None)),
            (&[], bearer("x".to_owned()), Ok(None)),
        ] {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(outcome(issuers, &request("/", &headers)), expected, "{headers:?}");
        }
    }

    #[test]
    fn each_issuer_looks_where_it_is_told_to() {
        let (text, with) = (good("i1"), |prefix: &str| format!("{prefix}{}", good("i1")));
        let issuers = [elsewhere("i1")];
        for (path, headers, found) in [
            ("/".to_owned(), vec![("authorization", with("Bearer "))], false),
            ("/".to_owned(), vec![("x-jwt", with("tok "))], true),
            ("/".to_owned(), vec![("x-jwt", text.clone())], false),
            (format!("/?a=1&t={text}"), vec![], true),
            (format!("/?access_token={text}"), vec![], false),
            ("/".to_owned(), vec![("cookie", format!("z=1; c={text}"))], true),
        ] {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(outcome(&issuers, &request(&path, &headers)).unwrap().is_some(), found, "{path} {headers:?}");
        }
        assert_eq!(outcome(&[issuer("i1")], &request(&format!("/?access_token={text}"), &[])), Ok(Some("i1".to_owned())));
    }

    #[test]
    fn the_first_issuer_that_is_content_decides_and_others_look_no_further() {
        let issuers = [Issuer { from_headers: vec![("x-jwt".to_owned(), String::new())], ..issuer("i1") }, issuer("i2")];
        let (own, other) = (good("i1"), format!("Bearer {}", good("i2")));
        for (headers, expected) in [
            ([("x-jwt", own.as_str()), ("authorization", other.as_str())], "i1"),
            ([("x-jwt", own.as_str()), ("authorization", "Bearer x")], "i1"),
            ([("x-jwt", "x"), ("authorization", other.as_str())], "i2"),
        ] {
            assert_eq!(outcome(&issuers, &request("/", &headers)), Ok(Some(expected.to_owned())), "{headers:?}");
        }
        let misplaced = request("/", &[("authorization", &format!("Bearer {own}"))]);
        assert_eq!(outcome(&issuers, &misplaced), Err(TokenRefusal::Issuer));
    }

    #[test]
    fn reading_a_token_changes_its_request() {
        let told = Issuer {
            payload_header: Some("x-payload".to_owned()),
            claim_headers: [("x-sub", "sub"), ("x-n", "n"), ("x-groups", "groups"), ("x-deep", "deep.er"), ("x-none", "none")]
                .map(|(header, claim)| (header.to_owned(), claim.to_owned()))
                .to_vec(),
            ..issuer("i1")
        };
        let text = good("i1");
        let bearer = format!("Bearer {text}");
        let sent = request("/", &[("x-sub", "admin"), ("authorization", &bearer), ("x-none", "y")]);
        let payload = text.split('.').nth(1).unwrap();
        let seen = authenticate(std::slice::from_ref(&told), &sent).unwrap();
        let expected = [("x-payload", payload), ("x-sub", "me"), ("x-n", "7"), ("x-groups", "WyJnMSIsImcyIl0="), ("x-deep", "z")];
        assert_eq!(*seen.request, request("/", &expected));
        // Without a token, too, nobody can say such things.
        let seen = authenticate(std::slice::from_ref(&told), &request("/", &[("x-sub", "admin")])).unwrap().request.into_owned();
        assert_eq!(seen, request("/", &[]));
        let forwarded = Issuer { forward: true, ..issuer("i1") };
        let sent = request("/", &[("authorization", &bearer)]);
        assert_eq!(*authenticate(&[forwarded], &sent).unwrap().request, sent);
        let sent = request(&format!("/x?a=1&access_token={text}&b=2"), &[]);
        assert_eq!(authenticate(&[issuer("i1")], &sent).unwrap().request.path, "/x?a=1&b=2");
    }

    #[test]
    fn preflights_are_not_looked_at() {
        let headers = [("authorization", "Bearer x"), ("origin", "http://a"), ("access-control-request-method", "GET")];
        let preflight = Request { method: "OPTIONS".to_owned(), ..request("/", &headers) };
        assert_eq!(outcome(&[issuer("i1")], &preflight), Ok(None));
        assert_eq!(outcome(&[issuer("i1")], &request("/", &headers)), Err(TokenRefusal::Format));
    }

    #[test]
    fn words_in_one_text_are_a_list_to_whoever_compares() {
        let claims = json!({"iss": "i1", "scope": "read  write", "roles": "a b"}).as_object().unwrap().clone();
        let text = Token { claims, ..Token::default() }.text();
        let own = Issuer { space_delimited: vec!["roles".to_owned()], ..issuer("i1") };
        let claims = |issuer: Issuer| {
            let sent = request("/", &[("authorization", &format!("Bearer {text}"))]);
            let claims = authenticate(&[issuer], &sent).unwrap().claims.unwrap();
            [claims["scope"].clone(), claims["roles"].clone()]
        };
        assert_eq!(claims(issuer("i1")), [json!(["read", "write"]), json!("a b")]);
        assert_eq!(claims(own), [json!(["read", "write"]), json!(["a", "b"])]);
    }

    #[test]
    fn a_token_is_put_where_its_issuer_looks() {
        let valid = Token { claims: json!({"iss": "i1"}).as_object().unwrap().clone(), ..Token::default() };
        let (default, header) = (issuer("i1"), elsewhere("i1"));
        let param = Issuer { from_headers: Vec::new(), ..elsewhere("i1") };
        let cookie = Issuer { from_params: Vec::new(), ..param.clone() };
        for issuers in [[default], [header], [param], [cookie]] {
            let mut sent = request("/?x=1", &[]);
            carry(&mut sent, &valid, issuers.first());
            assert_eq!(outcome(&issuers, &sent), Ok(Some("i1".to_owned())), "{sent:?}");
        }
    }
}
