//! Tokens that clients send. Nothing is signed: a token says itself what would be found out about it.

use serde_json::{Map as Json, Value as JsonValue, json};

use crate::source::{Span, Spanned};
use crate::yaml::{Cx, Decode, Node};

/// A token: `invalid` for a text that is none, or its claims.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenTemplate {
    /// A text that is no token.
    Invalid(Span),
    /// A token with these claims.
    Declared(Box<DeclaredToken>),
}

crate::record! {
    /// A JSON web token.
    pub struct DeclaredToken {
        /// Who has issued it: the claim `iss`.
        pub issuer: Option<Spanned<String>> = "issuer",
        /// Whom it is about: the claim `sub`.
        pub subject: Option<Spanned<String>> = "subject",
        /// Whom it is for: the claim `aud`.
        pub audiences: Vec<Spanned<String>> = "audiences",
        /// All other claims.
        pub claims: Option<Node> = "claims",
        /// What whoever checks it finds; `valid` if absent.
        pub state: Option<TokenState> = "state",
        /// The header that carries it; `authorization` if absent.
        pub header: Option<Spanned<String>> = "header",
        /// What stands before it in the header; `Bearer ` in `authorization`, nothing in others.
        pub prefix: Option<Spanned<String>> = "prefix",
        /// The query parameter that carries it, instead of a header.
        pub param: Option<Spanned<String>> = "param",
        /// The cookie that carries it, instead of a header.
        pub cookie: Option<Spanned<String>> = "cookie",
    }
}

crate::choice! {
    /// What whoever checks a token finds, besides its issuer and audiences.
    pub enum TokenState {
        /// It is good.
        Valid = "valid",
        /// Its time is over.
        Expired = "expired",
        /// Its time has not come.
        NotYetValid = "notYetValid",
        /// Its signature is not its issuer's.
        Forged = "forged",
    }
}

impl Decode for TokenTemplate {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match node.as_str() {
            Some("invalid") => Some(TokenTemplate::Invalid(node.span)),
            Some(_) => {
                cx.wrong_type(node, "`invalid`, or a mapping with `issuer` and `claims`");
                None
            }
            None => {
                let token = DeclaredToken::decode(node, cx)?;
                if let Some(claims) = token.claims.as_ref().filter(|claims| claims.entries().is_none()) {
                    cx.field("claims", |cx| cx.wrong_type(claims, "a mapping"));
                }
                let places = [token.header.as_ref(), token.param.as_ref(), token.cookie.as_ref()];
                if let [_, second, ..] = places.into_iter().flatten().collect::<Vec<_>>().as_slice() {
                    cx.invalid(second.span, "a token is in one place: give one of `header`, `param` and `cookie`");
                }
                Some(TokenTemplate::Declared(Box::new(token)))
            }
        }
    }

    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"anyOf": [{"type": "string", "enum": ["invalid"]}, DeclaredToken::schema(definitions)]})
    }
}

impl DeclaredToken {
    /// All its claims by name.
    #[must_use]
    pub fn all_claims(&self) -> Json<String, JsonValue> {
        let mut all = Json::new();
        let mut put = |name: &str, value: &Option<Spanned<String>>| {
            if let Some(value) = value {
                all.insert(name.to_owned(), JsonValue::from(value.value.as_str()));
            }
        };
        put("iss", &self.issuer);
        put("sub", &self.subject);
        match self.audiences.as_slice() {
            [] => {}
            [one] => {
                all.insert("aud".to_owned(), JsonValue::from(one.value.as_str()));
            }
            several => {
                let several: Vec<&str> = several.iter().map(|audience| audience.value.as_str()).collect();
                all.insert("aud".to_owned(), json!(several));
            }
        }
        if let Some(JsonValue::Object(claims)) = self.claims.as_ref().map(Node::to_json) {
            all.extend(claims);
        }
        all
    }
}
