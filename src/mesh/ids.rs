//! Numbers instead of strings: how the parts of a mesh refer to each other.

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The position it stands for.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of a position.
            ///
            /// # Panics
            /// If there are 2^32 or more of them.
            #[must_use]
            pub fn new(index: usize) -> Self {
                $name(u32::try_from(index).expect("fewer than 2^32 parts of one kind"))
            }
        }
    )*};
}

ids! {
    /// An object of the input, in [`Mesh::objects`](super::Mesh::objects).
    ObjectId;
    /// A service, in [`Mesh::services`](super::Mesh::services).
    ServiceId;
    /// A workload, in [`Mesh::workloads`](super::Mesh::workloads).
    WorkloadId;
    /// A pod, in [`Mesh::pods`](super::Mesh::pods).
    PodId;
    /// A proxy configuration, in [`Mesh::proxies`](super::Mesh::proxies).
    ProxyId;
    /// A route table of one proxy, in [`Proxy::route_tables`](super::Proxy::route_tables).
    RouteTableId;
    /// The name of a cluster, the same for all proxies of a mesh: [`Proxy::clusters`](super::Proxy::clusters)
    /// tells whether a proxy has it.
    ClusterId;
}

/// Where something compiled comes from: the object and the place in it. Things the control plane
/// makes up (a default route) have neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// The object.
    pub object: Option<ObjectId>,
    /// The place.
    pub span: crate::source::Span,
}
