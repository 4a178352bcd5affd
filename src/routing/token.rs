//! JSON web tokens as texts in requests.
//!
//! Nothing here is cryptography. A token that this program makes says in the place of its signature
//! whether it is to count as good; the signature of any other is taken to be good, and so are its
//! times, because there is no clock that they could be held against.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value as Json, json};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Token {
    /// Its claims by name.
    pub claims: Map<String, Json>,
    /// What would be found out about it.
    pub standing: TokenStanding,
}

/// What whoever checks a token finds, apart from its issuer and audiences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TokenStanding {
    /// It is good.
    #[default]
    Valid,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Its signature is not the issuer's.
    Forged,
}

impl TokenStanding {
    const ALL: [TokenStanding; 4] =
        [TokenStanding::Valid, TokenStanding::Expired, TokenStanding::NotYetValid, TokenStanding::Forged];

    /// What stands in place of a signature.
    const fn signature(self) -> &'static str {
        match self {
            TokenStanding::Valid => "declared valid",
            TokenStanding::Expired => "declared expired",
            TokenStanding::NotYetValid => "declared not yet valid",
            TokenStanding::Forged => "declared forged",
        }
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenRefusal {
    /// It has not three parts.
    Format,
    /// Its first part is not base64.
    HeaderEncoding,
    /// Its first part is no JSON object.
    HeaderJson,
    /// It does not say by which algorithm it is signed.
    NoAlgorithm,
    /// It is signed by an algorithm that nobody knows, or by none.
    Algorithm,
    /// Its second part is not base64.
    PayloadEncoding,
    /// Its second part is no JSON object.
    PayloadJson,
    /// Its issuer is no text.
    IssuerType,
    /// Its subject is no text.
    SubjectType,
    /// Its audiences are no texts.
    AudienceType,
    /// Its third part is not base64.
    SignatureEncoding,
    /// No RequestAuthentication names its issuer for the place where it was found.
    Issuer,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is for others.
    Audience,
    /// Its signature is not the issuer's.
    Signature,
}

impl TokenRefusal {
    /// What the caller is told, and what the access log says in its place (jwt_verify_lib:
    /// `getStatusString`; Envoy: `generateRcDetails`).
    const fn texts(self) -> (&'static str, &'static str) {
        macro_rules! texts {
            ($message:literal, $details:literal) => {
                ($message, concat!("jwt_authn_access_denied{", $details, "}"))
            };
        }
        match self {
            TokenRefusal::Format => texts!(
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
                "Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections"
            ),
            TokenRefusal::HeaderEncoding => {
                texts!("Jwt header is an invalid Base64url encoded", "Jwt_header_is_an_invalid_Base64url_encoded")
            }
            TokenRefusal::HeaderJson => texts!("Jwt header is an invalid JSON", "Jwt_header_is_an_invalid_JSON"),
            TokenRefusal::NoAlgorithm => texts!(
                "Jwt header [alg] field is required and must be a string",
                "Jwt_header_[alg]_field_is_required_and_must_be_a_string"
            ),
            TokenRefusal::Algorithm => texts!("Jwt header [alg] is not supported", "Jwt_header_[alg]_is_not_supported"),
            TokenRefusal::PayloadEncoding => {
                texts!("Jwt payload is an invalid Base64url encoded", "Jwt_payload_is_an_invalid_Base64url_encoded")
            }
            TokenRefusal::PayloadJson => texts!("Jwt payload is an invalid JSON", "Jwt_payload_is_an_invalid_JSON"),
            TokenRefusal::IssuerType => {
                texts!("Jwt payload [iss] field is not a string", "Jwt_payload_[iss]_field_is_not_a_string")
            }
            TokenRefusal::SubjectType => {
                texts!("Jwt payload [sub] field is not a string", "Jwt_payload_[sub]_field_is_not_a_string")
            }
            TokenRefusal::AudienceType => texts!(
                "Jwt payload [aud] field is not a string or string list",
                "Jwt_payload_[aud]_field_is_not_a_string_or_string_list"
            ),
            TokenRefusal::SignatureEncoding => {
                texts!("Jwt signature is an invalid Base64url encoded", "Jwt_signature_is_an_invalid_Base64url_encoded")
            }
            TokenRefusal::Issuer => texts!("Jwt issuer is not configured", "Jwt_issuer_is_not_configured"),
            TokenRefusal::Expired => texts!("Jwt is expired", "Jwt_is_expired"),
            TokenRefusal::NotYetValid => texts!("Jwt not yet valid", "Jwt_not_yet_valid"),
            TokenRefusal::Audience => texts!("Audiences in Jwt are not allowed", "Audiences_in_Jwt_are_not_allowed"),
            TokenRefusal::Signature => texts!("Jwt verification fails", "Jwt_verification_fails"),
        }
    }

    /// What the caller is told.
    #[must_use]
    pub const fn message(self) -> &'static str {
        self.texts().0
    }

    /// Response code details in the access log.
    #[must_use]
    pub const fn details(self) -> &'static str {
        self.texts().1
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        if matches!(self, TokenRefusal::Audience) { 403 } else { 401 }
    }
}

/// Algorithms that Envoy knows.
const ALGORITHMS: &[&str] =
    &["ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

/// A token as it was read: with the text of its claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadToken<'t> {
    pub(super) token: Token,
    /// Its second part as it stands.
    pub(super) payload: &'t str,
}

impl Token {
    /// The text that requests carry.
    #[must_use]
    pub fn text(&self) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT"}).to_string();
        let payload = Json::Object(self.claims.clone()).to_string();
        [header.as_str(), payload.as_str(), self.standing.signature()].map(|part| BASE64.encode(part)).join(".")
    }

    /// Reads a token, in the order in which Envoy finds fault with it.
    pub(super) fn read(text: &str) -> Result<ReadToken<'_>, TokenRefusal> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else { return Err(TokenRefusal::Format) };
        let header = BASE64.decode(header).map_err(|_| TokenRefusal::HeaderEncoding)?;
        let header: Map<String, Json> = serde_json::from_slice(&header).map_err(|_| TokenRefusal::HeaderJson)?;
        let algorithm = header.get("alg").and_then(Json::as_str).ok_or(TokenRefusal::NoAlgorithm)?;
        if !ALGORITHMS.contains(&algorithm) {
            return Err(TokenRefusal::Algorithm);
        }
        let decoded = BASE64.decode(payload).map_err(|_| TokenRefusal::PayloadEncoding)?;
        let claims: Map<String, Json> = serde_json::from_slice(&decoded).map_err(|_| TokenRefusal::PayloadJson)?;
        let is_text = |name: &str| claims.get(name).is_none_or(Json::is_string);
        if !is_text("iss") {
            return Err(TokenRefusal::IssuerType);
        }
        if !is_text("sub") {
            return Err(TokenRefusal::SubjectType);
        }
        let are_texts = |audiences: &Json| match audiences {
            Json::Array(all) => all.iter().all(Json::is_string),
            one => one.is_string(),
        };
        if !claims.get("aud").is_none_or(are_texts) {
            return Err(TokenRefusal::AudienceType);
        }
        let signature = BASE64.decode(signature).map_err(|_| TokenRefusal::SignatureEncoding)?;
        let standing = TokenStanding::ALL.into_iter().find(|standing| standing.signature().as_bytes() == signature);
        Ok(ReadToken { token: Token { claims, standing: standing.unwrap_or_default() }, payload })
    }
}

/// The claim at the end of a path.
#[must_use]
pub fn claim<'c>(claims: &'c Map<String, Json>, keys: &[String]) -> Option<&'c Json> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(claims.get(first)?, |value, key| value.get(key))
}

/// Hands over the texts that a claim is compared by: itself, or its elements if it is a list.
pub fn claim_texts(value: &Json) -> impl Iterator<Item = &str> {
    let (one, several) = match value {
        Json::Array(all) => (None, all.as_slice()),
        one => (one.as_str(), &[][..]),
    };
    one.into_iter().chain(several.iter().filter_map(Json::as_str))
}

/// A text in base64, as part of a token.
pub(super) fn encoded(text: &str) -> String {
    use base64::engine::general_purpose::STANDARD;
    STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> String {
        BASE64.encode(text)
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let claims = json!({"iss": "i", "deep": {"er": [1, "ü"]}}).as_object().unwrap().clone();
        for standing in TokenStanding::ALL {
            let token = Token { claims: claims.clone(), standing };
            assert_eq!(Token::read(&token.text()).unwrap().token, token);
        }
    }

    #[test]
    fn a_signature_of_somebody_else_counts_as_good() {
        let text = format!("{}.{}.{}", part(r#"{"alg":"ES256"}"#), part(r#"{"iss":"i"}"#), part("whatever"));
        assert_eq!(Token::read(&text).unwrap().token.standing, TokenStanding::Valid);
    }

    /// Measured on Envoy 1.40.
    #[test]
    fn faults_are_found_in_envoys_order() {
        let good = part(r#"{"alg":"RS256"}"#);
        for (text, expected) in [
            ("x".to_owned(), TokenRefusal::Format),
            ("a.b.c.d".to_owned(), TokenRefusal::Format),
            ("a.b.c".to_owned(), TokenRefusal::HeaderEncoding),
            (format!("{}.b.c", part("[]")), TokenRefusal::HeaderJson),
            (format!("{}.b.c", part("{}")), TokenRefusal::NoAlgorithm),
            (format!("{}.b.c", part(r#"{"alg":"none"}"#)), TokenRefusal::Algorithm),
            (format!("{good}.b.c"), TokenRefusal::PayloadEncoding),
            (format!("{good}.{}.c", part("x")), TokenRefusal::PayloadJson),
            (format!("{good}.{}.c", part(r#"{"iss":1}"#)), TokenRefusal::IssuerType),
            (format!("{good}.{}.c", part(r#"{"sub":5.5}"#)), TokenRefusal::SubjectType),
            (format!("{good}.{}.c", part(r#"{"aud":[1]}"#)), TokenRefusal::AudienceType),
            (format!("{good}.{}.c", part("{}")), TokenRefusal::SignatureEncoding),
        ] {
            assert_eq!(Token::read(&text), Err(expected), "{text}");
        }
    }

    #[test]
    fn details_are_the_message_without_spaces() {
        let all = [
            TokenRefusal::Format,
            TokenRefusal::HeaderEncoding,
            TokenRefusal::HeaderJson,
            TokenRefusal::NoAlgorithm,
            TokenRefusal::Algorithm,
            TokenRefusal::PayloadEncoding,
            TokenRefusal::PayloadJson,
            TokenRefusal::IssuerType,
            TokenRefusal::SubjectType,
            TokenRefusal::AudienceType,
            TokenRefusal::SignatureEncoding,
            TokenRefusal::Issuer,
            TokenRefusal::Expired,
            TokenRefusal::NotYetValid,
            TokenRefusal::Audience,
            TokenRefusal::Signature,
        ];
        for refusal in all {
            let expected = format!("jwt_authn_access_denied{{{}}}", refusal.message().replace(' ', "_"));
            assert_eq!(refusal.details(), expected);
        }
    }

    #[test]
    fn claims_are_found_by_path_and_compared_by_element() {
        let claims = json!({"a": {"b": ["x", 1, "y"]}, "c": "z", "n": 1}).as_object().unwrap().clone();
        let texts = |path: &[&str]| -> Vec<String> {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            claim(&claims, &path).into_iter().flat_map(claim_texts).map(str::to_owned).collect()
        };
        assert_eq!(texts(&["a", "b"]), ["x", "y"]);
        assert_eq!(texts(&["c"]), ["z"]);
        assert!(texts(&["n"]).is_empty() && texts(&["a", "x"]).is_empty() && texts(&[]).is_empty());
    }
}
