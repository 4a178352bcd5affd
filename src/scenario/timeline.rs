//! The timeline: what changes while requests are sent.

use crate::source::Spanned;
use crate::time::Duration;
use crate::yaml::{Map, Node};

crate::record! {
    /// One step. Steps that say `at` happen then; a step that opens a phase with `for` lasts that
    /// long, and the next step without `at` follows it. All changes of a step are one push.
    pub struct Step {
        /// When, from the start of the run; right after the previous phase if absent.
        pub at: Option<Spanned<Duration>> = "at",
        /// Name of the phase that begins here.
        pub phase: Option<Spanned<String>> = "phase",
        /// One sentence on what happens and what to look at.
        pub note: Option<Spanned<String>> = "note",
        /// How long the phase lasts.
        pub lasts: Option<Spanned<Duration>> = "for",
        /// Mesh files whose objects are created or replaced.
        pub apply: Vec<Spanned<String>> = "apply",
        /// Objects that are deleted: `Kind/namespace/name`, or `Kind/name` in the scenario's namespace;
        /// `Namespace/name` deletes everything in it.
        pub delete: Vec<Spanned<String>> = "delete",
        /// Numbers of pods.
        pub scale: Vec<Scale> = "scale",
        /// Changes of single fields.
        pub patch: Vec<Patch> = "patch",
    }

    /// A number of pods.
    pub struct Scale {
        /// `name` or `name.namespace`.
        pub workload: Spanned<String> = "workload",
        /// How many.
        pub replicas: Spanned<u32> = "replicas",
    }

    /// A change of single fields of one object.
    pub struct Patch {
        /// `Kind/namespace/name` or `Kind/name`.
        pub object: Spanned<String> = "object",
        /// New values by path, such as `spec.http[0].fault.delay.fixedDelay`; null removes the field.
        pub set: Map<Node> = "set",
    }
}
