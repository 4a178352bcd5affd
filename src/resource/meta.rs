//! What every object has: version, kind and metadata.

use crate::source::Spanned;
use crate::yaml::Map;

crate::record! {
    /// `metadata`, as far as it matters to traffic.
    pub struct ObjectMeta {
        /// Name.
        pub name: Option<Spanned<String>> = "name",
        /// Prefix of a name that the API server would complete.
        pub generate_name: Option<Spanned<String>> = "generateName",
        /// Namespace; absent means the default namespace of the invocation.
        pub namespace: Option<Spanned<String>> = "namespace",
        /// Labels.
        pub labels: Map<Spanned<String>> = "labels",
        /// Annotations.
        pub annotations: Map<Spanned<String>> = "annotations",
        /// Creation time in RFC 3339; orders objects that compete. A quoted or a bare timestamp.
        pub creation_timestamp: Option<super::Timestamp> = "creationTimestamp",
        /// What manages it; a Deployment's ReplicaSets and their pods say so here.
        pub owner_references: Vec<OwnerReference> = "ownerReferences",
    }
    irrelevant "uid resourceVersion generation deletionTimestamp deletionGracePeriodSeconds finalizers managedFields selfLink clusterName";
}

crate::record! {
    /// The owner of an object, in the same namespace.
    pub struct OwnerReference {
        /// Kind.
        pub kind: Option<Spanned<String>> = "kind",
        /// Name.
        pub name: Option<Spanned<String>> = "name",
        /// Whether it is the one that manages the object.
        pub controller: Option<bool> = "controller",
    }
    irrelevant "apiVersion uid blockOwnerDeletion";

    /// A label selector.
    pub struct LabelSelector {
        /// All of these labels must be there.
        pub match_labels: Map<Spanned<String>> = "matchLabels",
        /// All of these must hold.
        pub match_expressions: Vec<LabelRequirement> = "matchExpressions",
    }

    /// One requirement of a label selector.
    pub struct LabelRequirement {
        /// The label.
        pub key: Option<Spanned<String>> = "key",
        /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
        pub operator: Option<Spanned<String>> = "operator",
        /// The values of `In` and `NotIn`.
        pub values: Vec<Spanned<String>> = "values",
    }
}
