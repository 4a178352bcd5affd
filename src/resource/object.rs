//! One object: who it is, and its content by kind.

use super::kinds::Body;
use super::meta::ObjectMeta;
use crate::diagnostic::ObjectRef;
use crate::source::Span;
use crate::yaml::Node;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// API version, such as `networking.istio.io/v1`.
    pub api_version: String,
    /// Name. Never empty: an object without one is left out with a finding.
    pub name: String,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// The rest of the metadata.
    pub meta: ObjectMeta,
    /// What it is.
    pub body: Body,
    /// What the cluster says about an object of the Gateway API; absent in manifests.
    pub status: Option<Node>,
    /// Where the document stands.
    pub span: Span,
}

impl Object {
    /// How findings name it.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: self.body.kind().to_owned(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}
